"""What workers may use: memory, and time."""

from __future__ import annotations

import contextlib
import resource
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gc_warm.local.pool.fork_server import Template
    from gc_warm.local.pool.handle import Member


class BlockLimits:
    """The limits of a pool's workers.

    Attributes:
        memory: Of each worker's address space, in bytes; None for none.
        walltime: How long a template and its workers may last, in seconds; None for ever.
    """

    def __init__(self) -> None:
        self.memory: int | None = None
        self.walltime: float | None = None

    def impose(self, member: Member) -> None:
        """Limit a worker's memory, or lift the limit."""
        if member.pid is None or (self.memory is None and not member.limited):
            return
        member.limited = True
        soft = resource.RLIM_INFINITY if self.memory is None else self.memory
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(member.pid, resource.RLIMIT_AS)
            resource.prlimit(member.pid, resource.RLIMIT_AS, (soft, hard))

    def start_clock(self, template: Template) -> None:
        """End a template when the walltime is over, unless by then there is none."""
        if self.walltime is not None and not template.ending:
            clock = threading.Timer(self.walltime, self._end, [template])
            clock.daemon = True
            clock.start()

    def _end(self, template: Template) -> None:
        if self.walltime is not None and not template.dead:
            template.hang_up()
