from collections.abc import Iterator

import gc_warm
from gc_warm import warm

gc_warm.group("gpu", maxsize=1)


class Weights:
    """Stands for what takes gigabytes; counts how many there are."""

    alive = 0

    def __init__(self, name: str) -> None:
        Weights.alive += 1
        print(f"{name} is on the GPU: {Weights.alive} alive")

    def __del__(self) -> None:
        Weights.alive -= 1


@warm(group="gpu")
def translator(language: str) -> Iterator[Weights]:
    weights = Weights(f"translator({language})")
    yield weights
    del weights  # the generator's own reference
    print(f"translator({language}) has left: {Weights.alive} alive")  # torch.cuda.empty_cache()


@warm(group="gpu")
def speech() -> Weights:
    return Weights("speech")


translator("fr")
speech()
translator("fr")
translator("de")
