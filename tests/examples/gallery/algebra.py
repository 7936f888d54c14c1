"""A program that stays running: bc here, and Octave, R, PARI/GP or your own in the same way."""

from collections.abc import Iterator

from gc_warm import WarmProcess, self_contained, warm


@warm
def bc() -> Iterator[WarmProcess]:
    with WarmProcess(["bc", "-l"], framing="bc", timeout=60) as program:
        program.call("scale = 12")  # what is slow to set up is done once
        yield program


@self_contained
def evaluate(expression: str) -> str:
    return bc().call(expression).strip()
