"""When a program that failed may be started again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gc_warm.worker.state.initialiser import require

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class RestartPolicy:
    """How often, and how soon, a program that failed is started again.

    Attributes:
        budget: How many failures within the window are tolerated; beyond that, calls fail at once
            until the oldest is out of it.
        window: In seconds.
        backoff: Seconds to wait after a failure. It doubles with each further failure until a call
            succeeds.
        longest: The longest wait, in seconds.
    """

    budget: int = 5
    window: float = 60.0
    backoff: float = 0.1
    longest: float = 10.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            valid = isinstance(value, int if name == "budget" else int | float) and value >= 0
            require(valid, name, "a number that is not negative", value)


class Restarts:
    """The failures of one program; ``timer`` returns the time in seconds."""

    def __init__(self, policy: RestartPolicy, timer: Callable[[], float]) -> None:
        self._policy = policy
        self._timer = timer
        self._failures: deque[float] = deque()
        self._in_a_row = 0

    def failed(self) -> None:
        """Note that the program failed now."""
        self._failures.append(self._timer())
        self._in_a_row += 1

    def succeeded(self) -> None:
        """Note that a call succeeded."""
        self._in_a_row = 0

    def seconds_to_wait(self) -> float:
        """Return how long to wait before the next start; 0 to start now."""
        if not self._in_a_row:
            return 0.0
        doubled = self._policy.backoff * 2.0 ** min(self._in_a_row - 1, 30)
        pause = min(self._policy.longest, doubled)
        return max(0.0, self._failures[-1] + pause - self._timer())

    def seconds_refused(self) -> float:
        """Return for how long there are no more starts; 0 while the budget lasts."""
        now = self._timer()
        while self._failures and now - self._failures[0] >= self._policy.window:
            self._failures.popleft()
        if len(self._failures) <= self._policy.budget:
            return 0.0
        return self._policy.window - (now - self._failures[-self._policy.budget - 1])
