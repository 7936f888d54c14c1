"""How answers come to their tasks: at once, unless they are to be lost or late."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.local.backend import Job


class Delivery:
    """Loses or delays answers on request.

    Attributes:
        disturbed: Whether it would; so that nobody pays who did not ask.
    """

    def __init__(self) -> None:
        self.disturbed = False
        self._lock = threading.Lock()
        self._drops = 0
        self._delays = 0
        self._seconds = 0.0
        self._lost: list[Job] = []

    def drop(self, count: int) -> None:
        """Lose the next answers."""
        with self._lock:
            self._drops += count
            self.disturbed = True

    def delay(self, seconds: float, count: int) -> None:
        """Bring the next answers late."""
        with self._lock:
            self._seconds, self._delays = seconds, count
            self.disturbed = True

    def clear(self) -> None:
        """Bring all further answers at once."""
        with self._lock:
            self._drops = self._delays = 0
            self.disturbed = False

    def disturb(self, job: Job, bring: Callable[[], None]) -> bool:
        """Bring an answer at once or late, or lose it; return False if it is lost."""
        with self._lock:
            lose, delay = self._drops > 0, self._delays > 0
            if lose:
                self._drops -= 1
                self._lost.append(job)
            elif delay:
                self._delays -= 1
            seconds = self._seconds
            self.disturbed = self._drops > 0 or self._delays > 0
        if lose:
            return False
        if delay:
            timer = threading.Timer(seconds, bring)
            timer.daemon = True
            timer.start()
        else:
            bring()
        return True

    def cancel_lost(self) -> None:
        """Cancel the tasks whose answers were lost, for nobody will ever bring them."""
        with self._lock:
            lost, self._lost = self._lost, []
        for job in lost:
            job.cancel()
