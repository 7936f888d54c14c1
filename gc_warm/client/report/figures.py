"""What receipts add up to."""

from __future__ import annotations

import heapq
import statistics
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gc_warm.client.calls.records import TaskRecord

SHOWN = 10


class SlowCall(NamedTuple):
    """One of the slowest calls."""

    seconds: float
    function: str
    item: int | None  # its number in its `map`, if it has one
    host: str
    pid: int


class StateFigures(NamedTuple):
    """What was built of one warm state."""

    state: str  # the initialiser
    arguments: str
    builds: int
    seconds: float  # all builds together
    workers: int  # on how many it was built


@dataclass
class WorkerFigures:
    """What one worker did."""

    host: str
    pid: int
    rank: str | None = None  # in its block, if it has one
    block: str | None = None
    tasks: int = 0
    calls: int = 0
    failed: int = 0  # calls that raised an error
    cold: int = 0  # calls that built a warm state
    builds: int = 0
    build_seconds: float = 0.0
    busy_seconds: float = 0.0  # how long its tasks ran

    @property
    def name(self) -> str:
        """Its host and process."""
        return f"{self.host}:{self.pid}"

    def add(self, record: TaskRecord) -> None:
        """Add a task."""
        self.tasks += 1
        self.calls += record.calls
        self.failed += record.failed
        self.cold += record.cold
        self.builds += len(record.builds)
        self.build_seconds += record.build_seconds
        self.busy_seconds += record.seconds


@dataclass
class Figures:
    """What tasks add up to."""

    clients: list[str] = field(default_factory=list)  # hosts and processes that submitted them
    tasks: int = 0  # that ended, lost ones included
    calls: int = 0
    failed: int = 0  # calls that raised an error
    cold: int = 0  # calls that built a warm state
    warm: int = 0  # calls that used one, and built none
    retried: int = 0  # tasks with calls that had been lost before
    lost: dict[str, int] = field(default_factory=dict)  # tasks without an answer, by reason
    wall_seconds: float = 0.0  # from the first submission to the last result
    call_seconds: float = 0.0  # all calls together
    build_seconds: float = 0.0  # all builds together
    payload_bytes: int = 0  # what was sent, besides the functions
    result_bytes: int = 0
    overhead_seconds: float | None = None  # the median of how long tasks took besides running
    workers: dict[tuple[str, int], WorkerFigures] = field(default_factory=dict)
    states: list[StateFigures] = field(default_factory=list)  # the most expensive first
    slowest: list[SlowCall] = field(default_factory=list)

    @property
    def cold_rate(self) -> float | None:
        """The share of cold calls among those that use warm state; None if none does."""
        using = self.cold + self.warm
        return self.cold / using if using else None

    @property
    def saved_seconds(self) -> float:
        """How much longer calls would have taken if warm ones had built like cold ones."""
        return self.warm * self.build_seconds / self.cold if self.cold else 0.0

    @property
    def calls_per_second(self) -> float:
        """Calls over the time from the first submission to the last result."""
        return self.calls / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def utilisation(self) -> float | None:
        """The share of that time that workers were busy, on average; None without workers."""
        if not self.workers or not self.wall_seconds:
            return None
        busy = sum(each.busy_seconds for each in self.workers.values())
        return busy / (self.wall_seconds * len(self.workers))

    def as_dict(self) -> dict[str, Any]:
        """Return them as plain data, ready for JSON."""
        return {
            **asdict(self),
            **{name: getattr(self, name) for name in _DERIVED},
            "workers": [asdict(each) for each in self.workers.values()],
            "states": [each._asdict() for each in self.states],
            "slowest": [each._asdict() for each in self.slowest],
        }


_DERIVED = ("cold_rate", "saved_seconds", "calls_per_second", "utilisation")


_SUMMED = (
    *("calls", "failed", "cold", "warm"),
    *("call_seconds", "build_seconds", "payload_bytes", "result_bytes"),
)


def figures_of(records: Sequence[TaskRecord]) -> Figures:
    """Add records up."""
    if not records:
        return Figures()
    workers: dict[tuple[str, int], WorkerFigures] = {}
    overheads = []
    for each in records:
        if each.worker is not None:
            found = WorkerFigures(*each.worker, each.rank, each.block)
            workers.setdefault(each.worker, found).add(each)
            overheads.append(max(0.0, each.received - each.submitted - each.seconds))
    lost = Counter(each.lost or "no answer" for each in records if each.worker is None)
    first = min(each.submitted for each in records)
    return Figures(
        clients=sorted({each.client for each in records}),
        tasks=len(records),
        retried=sum(each.attempt > 1 for each in records),
        lost=dict(lost.most_common()),
        wall_seconds=max(each.received for each in records) - first,
        overhead_seconds=statistics.median(overheads) if overheads else None,
        workers=dict(sorted(workers.items())),
        states=_states(records),
        slowest=_slowest(records),
        **{name: sum(getattr(each, name) for each in records) for name in _SUMMED},
    )


def _states(records: Iterable[TaskRecord]) -> list[StateFigures]:
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    workers: dict[tuple[str, str], set[Any]] = defaultdict(set)
    for record in records:
        for state, arguments, took, _ in record.builds:
            seconds[state, arguments].append(took)
            workers[state, arguments].add(record.worker)
    found = [
        StateFigures(*key, len(took), sum(took), len(workers[key])) for key, took in seconds.items()
    ]
    return sorted(found, key=lambda each: -each.seconds)


def _slowest(records: Iterable[TaskRecord]) -> list[SlowCall]:
    calls = (
        SlowCall(seconds, record.function, item, *record.worker)
        for record in records
        if record.worker is not None
        for seconds, item in record.slowest
    )
    return heapq.nlargest(SHOWN, calls, key=lambda call: call.seconds)


def share(part: float | None) -> str:
    """Return a share in per cent; ``-`` for None."""
    if part is None:
        return "-"
    return f"{part:.1%}" if part >= 0.001 or not part else f"{part:.3%}"  # noqa: PLR2004
