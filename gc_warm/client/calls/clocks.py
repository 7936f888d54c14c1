"""What workers' clocks show, told by the client's."""

from __future__ import annotations


class Clocks:
    """How far hosts' clocks are from this one, as far as tasks can tell.

    A task begins after it was submitted, and ends before its result is received. Every task narrows
    down what its host's clock can be ahead; where that is consistent with nothing, it is taken to
    be right.
    """

    def __init__(self) -> None:
        self._bounds: dict[str, tuple[float, float]] = {}

    def note(
        self, host: str, submitted: float, started: float, ended: float, received: float
    ) -> float:
        """Learn from a task, and return how many seconds its host's clock is ahead.

        Args:
            host: The host.
            submitted: When it was submitted, by this clock.
            started: When it began, by the host's.
            ended: When it ended, by the host's.
            received: When its result came, by this clock.
        """
        low, high = self._bounds.get(host, (float("-inf"), float("inf")))
        low, high = max(low, ended - received), min(high, started - submitted)
        self._bounds[host] = (low, high)
        if low <= 0 <= high:
            return 0.0
        return (low + high) / 2
