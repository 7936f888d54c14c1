"""bc, as it is: one of these for every worker."""

from collections.abc import Iterator

from gc_warm import Sentinel, WarmProcess, self_contained, warm

BC = Sentinel('print "{token}\\n"', error_pattern=r"error|warning", with_stderr=True)


@warm
def bc() -> Iterator[WarmProcess]:
    with WarmProcess(["bc", "-q", "-l"], framing=BC, timeout=60) as program:
        yield program


@self_contained
def calculate(text: str) -> str:
    return bc().call(text)
