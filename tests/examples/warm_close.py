from collections.abc import Iterator

from gc_warm import warm


@warm
def scratch(name: str) -> Iterator[str]:
    print(f"making {name}")
    yield name
    print(f"removing {name}")


@warm
class Database:
    def __init__(self, url: str) -> None:
        print(f"connecting to {url}")

    def close(self) -> None:
        print("disconnecting")


@warm
class Simulator:
    def __enter__(self) -> None:
        print("starting the simulator")

    def __exit__(self, *details: object) -> None:
        print("stopping the simulator")


scratch("a")
scratch("b")  # "a" has to go first
Database("sqlite://")
Simulator()

Simulator.clear()
Database.clear()
print("there was one:", scratch.invalidate("b"))
