"""Measured cases: ``python -m benchmarks.cases``, the table in README.md.

Each case calls the same function in real worker processes, one task for each call: first with the
state built in every call, as a plain function does, then with the state warm. What the worker has
imported stays imported in both. What is not installed is skipped, and said to be.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import platform
import shutil
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks import workloads
from gc_warm import LocalExecutor
from gc_warm.demo import standard_library
from gc_warm.units import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gc_warm import Receipted

WORKERS = 2
COLD_CALLS = 6


class Case(NamedTuple):
    """Something to be measured: a function in two forms, and what it is called with."""

    name: str
    missing: Callable[[], str]
    warm: Any
    cold: Any
    items: list[Any]


class Measured(NamedTuple):
    """What came of a case; seconds are medians of calls, as their receipts say."""

    case: Case
    cold: float
    warm: float
    builds: int
    workers: int
    took: float


def packages(*names: str) -> Callable[[], str]:
    """Return what says which packages are missing."""

    def missing() -> str:
        absent = [name for name in names if importlib.util.find_spec(name) is None]
        return f"not installed: pip install {' '.join(absent)}" if absent else ""

    return missing


def program(name: str) -> Callable[[], str]:
    """Return what says whether a program is missing."""
    return lambda: "" if shutil.which(name) else f"there is no {name} here"


def any_of(*checks: Callable[[], str]) -> Callable[[], str]:
    """Return what says the first thing that is missing."""
    return lambda: next(filter(None, (check() for check in checks)), "")


def cases() -> list[Case]:
    """Return all cases."""
    files = [str(path) for path in itertools.islice(standard_library().rglob("*.py"), 500)]
    lengths = [5.4 + number / 2500 for number in range(500)]
    sizes = [2 + number % 9 for number in range(500)]
    return [
        Case(
            "Magika, file types (ONNX Runtime)",
            packages("magika"),
            workloads.identify,
            workloads.identify_cold,
            files,
        ),
        Case(
            "CHGNet, energies (torch)",
            packages("chgnet", "torch"),
            workloads.energy,
            workloads.energy_cold,
            lengths,
        ),
        Case(
            "Transformer of 1.5 GB on a GPU (torch)",
            any_of(packages("torch"), program("nvidia-smi")),
            workloads.encode,
            workloads.encode_cold,
            list(range(500)),
        ),
        Case(
            "Octave, condition numbers",
            program("octave-cli"),
            workloads.condition,
            workloads.condition_cold,
            sizes,
        ),
    ]


def measure(case: Case) -> Measured:
    """Run one case."""
    with (
        tempfile.TemporaryDirectory() as node,
        LocalExecutor(workers=WORKERS, worker_env={"GC_WARM_NODE_DIR": node}) as executor,
    ):

        def run(function: Any, items: Iterable[Any]) -> list[Any]:
            futures = [executor.submit(function.receipted, item) for item in items]
            return [future.result() for future in futures]

        cold = run(case.cold, case.items[: COLD_CALLS + WORKERS])
        begun = time.monotonic()
        calls: list[Receipted[object]] = run(case.warm, case.items)
        took = time.monotonic() - begun
    if [call.value for call in cold] != [call.value for call in calls[: len(cold)]]:
        raise AssertionError(f"{case.name}: cold and warm calls returned different results")
    receipts = [call.receipt for call in calls]
    return Measured(
        case,
        # Each worker's first call also imports: later ones are what a plain function costs.
        statistics.median([call.receipt.seconds for call in cold[WORKERS:]]),
        statistics.median([receipt.seconds for receipt in receipts if not receipt.cold_starts]),
        sum(receipt.cold_starts for receipt in receipts),
        len({receipt.pid for receipt in receipts}),
        took,
    )


def main() -> None:
    """Measure all cases, and print the table."""
    table = Table(title=f"{WORKERS} workers, {os.cpu_count()} cores, {platform.python_version()}")
    for name in ("case", "calls", "cold, a call", "warm, a call", "builds", "workers"):
        table.add_column(name, justify="left" if name == "case" else "right")
    table.add_column("all calls cold -> with gc-warm", justify="right")
    for case in cases():
        if missing := case.missing():
            table.add_row(case.name, f"skipped: {missing}")
            continue
        print(f"measuring {case.name} ...", flush=True)
        m = measure(case)
        cold = m.cold * len(case.items) / m.workers
        table.add_row(
            *(case.name, str(len(case.items)), duration(m.cold), duration(m.warm)),
            *(str(m.builds), str(m.workers), f"{duration(cold)} -> {duration(m.took)}"),
        )
    Console(width=140).print(table)
    print("All calls cold: the median cold call, times the calls, over the workers.")


if __name__ == "__main__":
    main()
