"""The demonstration: what is in your files, by a model that each worker loads once.

Everything is measured, nothing printed: ``gc-warm demo`` shows the `Demonstration`.
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
from gc_warm.client.report.figures import Figures
from gc_warm.functions.filetype import identify, model
from gc_warm.local.executor import LocalExecutor

if TYPE_CHECKING:
    from gc_warm.client.report.report import Report
    from gc_warm.worker.receipt import Receipted

WORKERS = 2
COLD_CALLS = 3
_NOT_STANDARD = {"site-packages", "dist-packages", "__pycache__"}


@dataclass
class Demonstration:
    """What the demonstration found and measured.

    Attributes:
        types: How many files there are of each type.
        skipped: Path and reason of everything that could not be identified.
        costs: What the calls and the builds before them have cost; None if there were none.
        warm_seconds: How long each call that found its model warm took, in seconds.
        cold_seconds: How long each call in a fresh worker took, in seconds.
        calls: How many files workers were asked about.
        sample: A file that was identified.
    """

    types: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    costs: Report | None = None
    warm_seconds: list[float] = field(default_factory=list)
    cold_seconds: list[float] = field(default_factory=list)
    calls: int = 0
    sample: str | None = None

    @property
    def files(self) -> int:
        """How many files were identified."""
        return self.types.total()

    @property
    def figures(self) -> Figures:
        """What the costs add up to."""
        return self.costs.figures() if self.costs else Figures()

    @property
    def cold_estimate(self) -> float | None:
        """How long the same calls would have taken if each had been cold, in seconds."""
        cold = median(self.cold_seconds)
        return None if cold is None else cold * self.calls

    @property
    def speedup(self) -> float | None:
        """How many times less work warm calls are, with the builds before them."""
        spent = self.figures.call_seconds
        return self.cold_estimate / spent if self.cold_estimate and spent else None

    def add(self, path: str, receipted: Receipted[list[dict[str, Any]]]) -> None:
        """Count the answer for one file."""
        receipt = receipted.receipt
        self.calls += 1
        if receipt.hits and not receipt.cold_starts:
            self.warm_seconds.append(receipt.seconds)
        (answer,) = receipted.value
        if "error" in answer:
            self.skipped.append((path, answer["error"]))
        elif answer["label"] == "empty":
            self.skipped.append((path, "Empty file"))
        else:
            self.types[answer["label"]] += 1
            self.sample = self.sample or path

    def as_dict(self) -> dict[str, Any]:
        """Return it all as plain data, ready for JSON."""
        return {
            "files": self.files,
            "types": dict(self.types.most_common()),
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped],
            "costs": self.figures.as_dict(),
            "warm_seconds_median": median(self.warm_seconds),
            "cold_seconds_median": median(self.cold_seconds),
            "speedup": self.speedup,
        }


def median(seconds: list[float]) -> float | None:
    """Return the median of some measurements; None if there are none."""
    return statistics.median(seconds) if seconds else None


def standard_library() -> Path:
    """Return the folder of Python's standard library: files that every machine has."""
    return Path(sysconfig.get_path("stdlib"))


def find_files(root: Path, found: Demonstration) -> list[str]:
    """Return every path under a folder that is not a folder itself, sorted.

    Links to folders are not followed. What is installed beside the standard library, and
    compiled copies of it, are not part of it. Folders that cannot be read are noted.

    Args:
        root: A folder, or one file; absolute, because workers have another working directory.
        found: Where to note what is skipped.
    """
    if not root.is_dir():
        return [str(root)]

    def note(error: OSError) -> None:
        found.skipped.append((str(error.filename), error.strerror or str(error)))

    ignored = _NOT_STANDARD if root == standard_library() else set()
    paths: list[str] = []
    for folder, folders, names in os.walk(root, onerror=note):
        folders[:] = sorted(set(folders) - ignored)
        paths.extend(os.path.join(folder, name) for name in sorted(names))  # noqa: PTH118  (faster)
    return paths


def identify_files(paths: list[str], found: Demonstration, save: Path) -> None:
    """Identify files in real worker processes, one call each, and note what they are.

    Args:
        paths: What to identify.
        found: Filled as results arrive, so that it is right also after an interruption.
        save: Where to save what the calls have cost.
    """
    with WarmExecutor(LocalExecutor(workers=WORKERS, output=False)) as executor:
        executor.prewarm(model, workers=WORKERS)
        calls = [[path] for path in paths]
        results = executor.map(identify.receipted, calls, return_exceptions=True)
        try:
            for path, result in zip(paths, results, strict=True):
                if isinstance(result, BaseException):
                    found.skipped.append((path, f"Call failed: {result}"))
                else:
                    found.add(path, result)
        finally:
            found.costs = executor.report()
            found.costs.save(save, title="gc-warm demo")


def measure_cold_calls(found: Demonstration) -> None:
    """Identify a file again in several fresh workers, one after the other."""
    for _ in range(COLD_CALLS if found.sample else 0):
        with LocalExecutor(workers=1, output=False) as executor:
            receipted = executor.submit(identify.receipted, [found.sample]).result()
        found.cold_seconds.append(receipted.receipt.seconds)
