"""How benchmarks measure: alternately, so that what disturbs one disturbs all."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Ratio:
    """One line of the report: ours against another, measured in the same run.

    Attributes:
        name: What is measured.
        ours: Our figure.
        other: The other's.
        other_name: Who the other is.
        unit: Of both.
        ratio: Ours over the other's; for rates the same.
        target: What the ratio must be, such as ``"<= 2"``.
        met: Whether it is.
    """

    name: str
    ours: float
    other: float
    other_name: str
    unit: str
    target: str = ""

    @property
    def ratio(self) -> float:
        """Ours over the other's."""
        return self.ours / self.other

    @property
    def met(self) -> bool | None:
        """Whether the ratio is as targeted; None without a target."""
        if not self.target:
            return None
        sign, limit = self.target.split()
        return self.ratio <= float(limit) if sign == "<=" else self.ratio >= float(limit)

    def as_dict(self) -> dict[str, Any]:
        """Return the line as plain data."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def alternate(
    subjects: Mapping[str, Callable[[], object]], *, calls: int, rounds: int
) -> dict[str, float]:
    """Time functions in turn, many rounds long.

    Args:
        subjects: Functions of no arguments, by name.
        calls: How often each is called in one round.
        rounds: How many rounds; of these the fastest counts, being the least disturbed.

    Returns:
        Seconds per call of each.
    """
    best = dict.fromkeys(subjects, float("inf"))
    for _ in range(rounds):
        for name, function in subjects.items():
            repeat = range(calls)
            start = time.perf_counter()
            for _ in repeat:
                function()
            best[name] = min(best[name], (time.perf_counter() - start) / calls)
    return best


def medians(
    subjects: Mapping[str, Callable[[], object]], *, calls: int, warm_up: int
) -> dict[str, float]:
    """Time single calls of functions in turn; return the median (p50) of each in seconds."""
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(warm_up + calls):
        for name, function in subjects.items():
            start = time.perf_counter()
            function()
            if number >= warm_up:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}
