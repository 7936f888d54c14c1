"""Two models, of which a worker has room for one."""

import time

from gc_warm import self_contained, warm


@warm
def model(name: str) -> str:
    time.sleep(0.1)  # as if it were large
    return name


@self_contained
def classify(name: str, number: int) -> str:
    if number < 0:
        raise ValueError(f"{number} is no picture")
    return f"{model(name)} {number}"


def forget() -> None:
    model.clear()
