"""What receipts add up to."""

from __future__ import annotations

import heapq
import statistics
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gc_warm.client.calls.records import TaskRecord

SHOWN = 10


class SlowCall(NamedTuple):
    """One of the slowest calls.

    Attributes:
        seconds: How long it took.
        function: The function.
        item: The item's number in its `map`; None if it has none.
        host: The worker's machine.
        pid: The worker's process.
    """

    seconds: float
    function: str
    item: int | None
    host: str
    pid: int


class StateFigures(NamedTuple):
    """What was built of one warm state.

    Attributes:
        state: The initialiser.
        arguments: Its arguments, as text.
        builds: How often it was built.
        seconds: How long that took together.
        workers: On how many workers.
    """

    state: str
    arguments: str
    builds: int
    seconds: float
    workers: int


@dataclass
class WorkerFigures:
    """What one worker did.

    Attributes:
        host: Its machine.
        pid: Its process id.
        rank: Its rank in its block, if it has one.
        block: Its block, if it has one.
        tasks: How many tasks it ran.
        calls: How many calls these made.
        failed: How many of these raised an error.
        cold: How many built a warm state.
        builds: How many states it built.
        build_seconds: How long that took.
        busy_seconds: How long its tasks ran.
    """

    host: str
    pid: int
    rank: str | None = None
    block: str | None = None
    tasks: int = 0
    calls: int = 0
    failed: int = 0
    cold: int = 0
    builds: int = 0
    build_seconds: float = 0.0
    busy_seconds: float = 0.0

    @property
    def name(self) -> str:
        """What to call it."""
        return f"{self.host}:{self.pid}"

    def add(self, record: TaskRecord) -> None:
        """Count a task."""
        self.tasks += 1
        self.builds += len(record.builds)
        self.busy_seconds += record.seconds
        _add(self, record, "calls", "failed", "cold", "build_seconds")


@dataclass
class Figures:
    """What tasks add up to.

    Attributes:
        clients: Who submitted them: hosts and processes.
        tasks: How many tasks ended, those that were lost included.
        calls: How many calls they made.
        failed: How many calls raised an error.
        cold: How many calls built a warm state.
        warm: How many calls used one, and built none.
        retried: How many tasks held calls that had been lost before.
        lost: How many tasks ended without an answer, by reason.
        wall_seconds: From the first submission to the last result.
        call_seconds: How long all calls took together.
        build_seconds: How long the builds took together.
        payload_bytes: What was sent, besides the functions.
        result_bytes: What came back.
        overhead_seconds: How long tasks were under way besides running: the median.
        cold_call_builds: How long a cold call built, on average; None if none was cold.
        workers: What each worker did, by host and process.
        states: What was built, the most expensive first.
        slowest: The slowest calls.
    """

    clients: list[str] = field(default_factory=list)
    tasks: int = 0
    calls: int = 0
    failed: int = 0
    cold: int = 0
    warm: int = 0
    retried: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    wall_seconds: float = 0.0
    call_seconds: float = 0.0
    build_seconds: float = 0.0
    payload_bytes: int = 0
    result_bytes: int = 0
    overhead_seconds: float | None = None
    workers: dict[tuple[str, int], WorkerFigures] = field(default_factory=dict)
    states: list[StateFigures] = field(default_factory=list)
    slowest: list[SlowCall] = field(default_factory=list)

    @property
    def cold_rate(self) -> float | None:
        """Which share of the calls that use warm state had to build it; None if none does."""
        using = self.cold + self.warm
        return self.cold / using if using else None

    @property
    def saved_seconds(self) -> float:
        """How much longer calls had taken if the warm ones had built as long as the cold ones."""
        return self.warm * self.build_seconds / self.cold if self.cold else 0.0

    @property
    def calls_per_second(self) -> float:
        """Calls over the time from the first submission to the last result."""
        return self.calls / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def utilisation(self) -> float | None:
        """Which share of that time workers were busy, on average; None if there were none."""
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


def figures_of(records: Iterable[TaskRecord]) -> Figures:
    """Add records up."""
    records = list(records)
    found = Figures()
    if not records:
        return found
    found.clients = sorted({each.client for each in records})
    first = min(each.submitted for each in records)
    found.wall_seconds = max(each.received for each in records) - first
    lost: Counter[str] = Counter()
    overheads = []
    for each in records:
        _count(found, each)
        if each.worker is None:
            lost[each.lost or "no answer"] += 1
            continue
        overheads.append(max(0.0, each.received - each.submitted - each.seconds))
        worker = found.workers.get(each.worker)
        if worker is None:
            worker = WorkerFigures(*each.worker, each.rank, each.block)
            found.workers[each.worker] = worker
        worker.add(each)
    found.lost = dict(lost.most_common())
    found.overhead_seconds = statistics.median(overheads) if overheads else None
    found.workers = dict(sorted(found.workers.items()))
    found.states = _states(records)
    found.slowest = _slowest(records)
    return found


def _count(found: Figures, record: TaskRecord) -> None:
    found.tasks += 1
    found.retried += record.attempt > 1
    _add(found, record, "calls", "failed", "cold", "warm", "call_seconds", "build_seconds")
    _add(found, record, "payload_bytes", "result_bytes")


def _add(found: Figures | WorkerFigures, record: TaskRecord, *names: str) -> None:
    for name in names:
        setattr(found, name, getattr(found, name) + getattr(record, name))


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
    """Write a share in per cent."""
    if part is None:
        return "-"
    return f"{part:.1%}" if part >= 0.001 or not part else f"{part:.3%}"  # noqa: PLR2004
