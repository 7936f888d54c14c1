"""The demonstration: what is in your files, by a model that each worker loads once.

Everything is measured, nothing printed: `gc_warm.cli` shows the `Report`.
"""

from __future__ import annotations

import os
import statistics
import sysconfig
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.functions.filetype import identify
from gc_warm.local.executor import LocalExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gc_warm.worker.receipt import Receipt, Receipted

WORKERS = 2
COLD_CALLS = 3
# Enough to keep the workers busy, few enough to stop promptly on Ctrl-C.
IN_FLIGHT = 32
_NOT_STANDARD = {"site-packages", "dist-packages", "__pycache__"}


@dataclass
class WorkerReport:
    """What one worker did.

    Attributes:
        pid: Its process id.
        call_seconds: How long each of its calls took, in order, in seconds.
        cold_starts: How many models it built.
        build_seconds: How long that took.
        warm_seconds: How long each call that found its model warm took.
    """

    pid: int
    call_seconds: list[float] = field(default_factory=list)
    cold_starts: int = 0
    build_seconds: float = 0.0
    warm_seconds: list[float] = field(default_factory=list)

    def add(self, receipt: Receipt) -> None:
        """Count one call."""
        self.call_seconds.append(receipt.seconds)
        self.cold_starts += receipt.cold_starts
        self.build_seconds += receipt.build_seconds
        if receipt.hits and not receipt.cold_starts:
            self.warm_seconds.append(receipt.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return the worker's figures as plain data."""
        return {
            "pid": self.pid,
            "tasks": len(self.call_seconds),
            "cold_starts": self.cold_starts,
            "build_seconds": self.build_seconds,
            "warm_seconds_median": median(self.warm_seconds),
        }


@dataclass
class Report:
    """What the demonstration found and measured.

    Attributes:
        types: How many files there are of each type.
        skipped: Path and reason of everything that could not be identified.
        workers: The workers, by process id.
        cold_seconds: How long each call in a fresh worker took, in seconds.
        sample: A file that was identified.
    """

    types: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    workers: dict[int, WorkerReport] = field(default_factory=dict)
    cold_seconds: list[float] = field(default_factory=list)
    sample: str | None = None

    @property
    def files(self) -> int:
        """How many files were identified."""
        return self.types.total()

    @property
    def tasks(self) -> int:
        """How many tasks were run."""
        return sum(len(worker.call_seconds) for worker in self.workers.values())

    @property
    def seconds_spent(self) -> float:
        """How long all calls together took, cold starts included, in seconds."""
        return sum(sum(worker.call_seconds) for worker in self.workers.values())

    @property
    def cold_estimate(self) -> float | None:
        """How long the same calls would have taken if each had been cold, in seconds."""
        cold = median(self.cold_seconds)
        return None if cold is None else cold * self.tasks

    @property
    def speedup(self) -> float | None:
        """How many times less work that is: `cold_estimate` over `seconds_spent`."""
        if self.cold_estimate is None or not self.seconds_spent:
            return None
        return self.cold_estimate / self.seconds_spent

    def add(self, path: str, receipted: Receipted[list[dict[str, Any]]]) -> None:
        """Count the answer for one file."""
        receipt = receipted.receipt
        self.workers.setdefault(receipt.pid, WorkerReport(receipt.pid)).add(receipt)
        (answer,) = receipted.value
        if "error" in answer:
            self.skipped.append((path, answer["error"]))
        elif answer["label"] == "empty":
            self.skipped.append((path, "Empty file"))
        else:
            self.types[answer["label"]] += 1
            self.sample = self.sample or path

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data, ready for JSON."""
        return {
            "files": self.files,
            "types": dict(self.types.most_common()),
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped],
            "workers": [worker.as_dict() for _, worker in sorted(self.workers.items())],
            "cold_seconds_median": median(self.cold_seconds),
            "speedup": self.speedup,
        }


def median(seconds: list[float]) -> float | None:
    """Return the median of some measurements; None if there are none."""
    return statistics.median(seconds) if seconds else None


def standard_library() -> Path:
    """Return the folder of Python's standard library: files that every machine has."""
    return Path(sysconfig.get_path("stdlib"))


def find_files(root: Path, report: Report) -> list[str]:
    """Return every path under a folder that is not a folder itself, sorted.

    Links to folders are not followed. What is installed beside the standard library, and
    compiled copies of it, are not part of it. Folders that cannot be read are noted in the report.

    Args:
        root: A folder, or one file; absolute, because workers have another working directory.
        report: Where to note what is skipped.
    """
    if not root.is_dir():
        return [str(root)]

    def note(error: OSError) -> None:
        report.skipped.append((str(error.filename), error.strerror or str(error)))

    ignored = _NOT_STANDARD if root == standard_library() else set()
    found: list[str] = []
    for folder, folders, names in os.walk(root, onerror=note):
        folders[:] = sorted(set(folders) - ignored)
        found.extend(os.path.join(folder, name) for name in sorted(names))  # noqa: PTH118  (faster)
    return found


def identify_files(paths: list[str], report: Report, progress: Callable[[], None]) -> None:
    """Identify files in real worker processes, one task each, and fill the report.

    Args:
        paths: What to identify.
        report: Filled as results arrive, so that it is right also after an interruption.
        progress: Called after each task.
    """
    with LocalExecutor(workers=WORKERS, output=False) as executor:
        try:
            for path, future in _submit_all(executor, paths):
                try:
                    report.add(path, future.result())
                except TaskExecutionFailed as error:
                    report.skipped.append((path, f"Task failed: {_last_line(error)}"))
                progress()
        except BaseException:
            executor.abandon()
            raise


def _submit_all(executor: LocalExecutor, paths: list[str]) -> Iterator[tuple[str, Future[Any]]]:
    """Yield each path and its finished future; keep a few tasks in flight."""
    waiting = iter(paths)
    running: dict[Future[Any], str] = {}
    for path in islice(waiting, IN_FLIGHT):
        running[executor.submit(identify.receipted, [path])] = path
    while running:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), future
        for path in islice(waiting, len(done)):
            running[executor.submit(identify.receipted, [path])] = path


def measure_cold_calls(report: Report) -> None:
    """Identify a file of the report again in several fresh workers, one after the other."""
    for _ in range(COLD_CALLS if report.sample else 0):
        with LocalExecutor(workers=1, output=False) as executor:
            receipted = executor.submit(identify.receipted, [report.sample]).result()
        report.cold_seconds.append(receipted.receipt.seconds)


def _last_line(error: TaskExecutionFailed) -> str:
    lines = error.remote_data.strip().splitlines()
    return lines[-1].strip() if lines else "no reason given"
