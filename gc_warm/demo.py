"""The demonstration: what is in your files, by a model that each worker loads once.

Everything is measured, nothing printed: `gc_warm.cli` shows the `Report`.
"""

from __future__ import annotations

import os
import statistics
import sysconfig
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.client.executor import WarmExecutor
from gc_warm.functions.filetype import identify, model
from gc_warm.local.executor import LocalExecutor

if TYPE_CHECKING:
    from gc_warm.worker.receipt import Receipt, Receipted

WORKERS = 2
COLD_CALLS = 3
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
        prewarm_seconds: How long it took to build the model before the first call.
    """

    pid: int
    call_seconds: list[float] = field(default_factory=list)
    cold_starts: int = 0
    build_seconds: float = 0.0
    warm_seconds: list[float] = field(default_factory=list)
    prewarm_seconds: float = 0.0

    def prewarm(self, receipt: Receipt) -> None:
        """Count what was built before the first call."""
        self.prewarm_seconds += receipt.seconds
        self.cold_starts += receipt.cold_starts
        self.build_seconds += receipt.build_seconds

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
        return sum(
            worker.prewarm_seconds + sum(worker.call_seconds) for worker in self.workers.values()
        )

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

    def of(self, pid: int) -> WorkerReport:
        """Return the report of a worker."""
        return self.workers.setdefault(pid, WorkerReport(pid))

    def add(self, path: str, receipted: Receipted[list[dict[str, Any]]]) -> None:
        """Count the answer for one file."""
        receipt = receipted.receipt
        self.of(receipt.pid).add(receipt)
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


def identify_files(paths: list[str], report: Report, save: Path | None = None) -> None:
    """Identify files in real worker processes, one call each, and fill the report.

    Args:
        paths: What to identify.
        report: Filled as results arrive, so that it is right also after an interruption.
        save: Where to save what the calls have cost, as a page or a picture; nowhere if None.
    """
    with WarmExecutor(LocalExecutor(workers=WORKERS, output=False)) as executor:
        for worker in executor.prewarm(model, workers=WORKERS).ready:
            report.of(worker.pid).prewarm(worker.receipt)
        calls = [[path] for path in paths]
        results = executor.map(identify.receipted, calls, return_exceptions=True)
        try:
            for path, result in zip(paths, results, strict=True):
                if isinstance(result, BaseException):
                    report.skipped.append((path, f"Call failed: {result}"))
                else:
                    report.add(path, result)
        finally:
            if save is not None:
                executor.report().save(save, title="gc-warm demo")


def measure_cold_calls(report: Report) -> None:
    """Identify a file of the report again in several fresh workers, one after the other."""
    for _ in range(COLD_CALLS if report.sample else 0):
        with LocalExecutor(workers=1, output=False) as executor:
            receipted = executor.submit(identify.receipted, [report.sample]).result()
        report.cold_seconds.append(receipted.receipt.seconds)
