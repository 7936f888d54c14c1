from collections.abc import Iterator

import gc_warm
from gc_warm import self_contained, warm


@warm
def table(name: str) -> Iterator[str]:
    print(f"reading {name}")
    yield name
    print(f"dropping {name}")


@self_contained
def look_up(name: str) -> str:
    return table(name)


with gc_warm.disable():
    look_up("a")
    look_up("a")
look_up("a")
print("plain:", next(table.__wrapped__("b")))
