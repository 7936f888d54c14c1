"""How often one may ask."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gc_warm.local.service.refusals import TooMany

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

REQUESTS = 20
SECONDS = 10.0


class Limits:
    """The services' own limit: 20 requests of one identity in any 10 seconds.

    Args:
        clock: What time it is, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked: dict[UUID, deque[float]] = {}

    def count(self, asker: UUID) -> None:
        """Count a request.

        Raises:
            TooMany: It is one too many, and does not count.
        """
        now = self._clock()
        asked = self._asked.setdefault(asker, deque(maxlen=REQUESTS))
        if len(asked) == REQUESTS and now - asked[0] < SECONDS:
            wait = SECONDS - (now - asked[0])
            text = f"More than {REQUESTS} requests in {SECONDS:.0f} seconds."
            raise TooMany("RATE_LIMIT_EXCEEDED", text, wait)
        asked.append(now)
