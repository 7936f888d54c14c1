"""How many items a task gets, and how many tasks are under way."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_SECONDS = 0.05
"""A task of this length hides what `LocalExecutor` itself needs for it."""

MOST_SECONDS = 10.0
"""A longer task would hide more, but keep results and other workers waiting."""

MOST_ITEMS = 10_000

_GUESS = 4  # workers, where nobody knows
_TIMES_OVERHEAD = 4
_PATIENCE = 4  # a task that takes so many times as long as it should gives back the rest
_RECENT = 16


class Pace:
    """Adapts to what calls and round trips take.

    Args:
        chunksize: How many items a task gets; None to adapt.
        lanes: Returns how many calls can run at once, if that is known.
    """

    def __init__(
        self, chunksize: int | None, lanes: Callable[[], int | None] = lambda: None
    ) -> None:
        self._fixed = chunksize
        self._lanes = lanes
        self._seen: set[tuple[str, int]] = set()
        self._seconds: float | None = None  # a call's, builds left out
        self._overheads: deque[float] = deque(maxlen=_RECENT)

    def note(
        self, worker: tuple[str, int], calls: int, seconds: float, builds: float, overhead: float
    ) -> None:
        """Learn from a task: what its calls took with their builds, and its round trip besides."""
        self._seen.add(worker)
        self._overheads.append(overhead)
        new = max(seconds - builds, 1e-7) / calls
        old = new if self._seconds is None else self._seconds
        weight = max(calls / (calls + _RECENT), 1 / 4)  # one must not decide for long
        self._seconds = old + weight * (new - old)

    @property
    def lanes(self) -> int:
        """How many calls can run at once, as far as can be told."""
        return self._lanes() or max(_GUESS, len(self._seen) * 3 // 2)

    @property
    def low(self) -> int:
        """When so few tasks are under way, it is time to send more."""
        return 2 * self.lanes

    @property
    def high(self) -> int:
        """How many tasks may be under way."""
        return 3 * self.lanes

    @property
    def _task_seconds(self) -> float:
        """How long a task should take: much longer than what it costs to send it."""
        least = min(self._overheads, default=0.0)  # others waited for a worker, too
        return min(max(_TIMES_OVERHEAD * least, LEAST_SECONDS), MOST_SECONDS)

    def size(self, left: int | None, tasks: int) -> int:
        """Return how many items each of so many tasks should get, of those that are left."""
        if self._fixed is not None:
            return self._fixed
        if self._seconds is None:
            return 1
        size = max(1, min(MOST_ITEMS, int(self._task_seconds / self._seconds)))
        if left is not None:  # every worker must get some
            size = min(size, max(1, math.ceil(left / tasks)))
        return size

    @property
    def deadline(self) -> float | None:
        """After how many seconds a task gives back what it has not begun; None for never."""
        if self._fixed is not None:
            return None
        return max(1.0, _PATIENCE * self._task_seconds)  # on a busy machine all take longer
