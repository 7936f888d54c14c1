"""The task scope: what one call of a self-contained function uses and pays."""

from __future__ import annotations

from contextvars import ContextVar


class Scope:
    """Counts for one call: cold starts, their seconds, and hits."""

    __slots__ = ("build_seconds", "cold_starts", "hits")

    def __init__(self) -> None:
        self.cold_starts = 0
        self.build_seconds = 0.0
        self.hits = 0


current: ContextVar[Scope | None] = ContextVar("gc_warm_scope", default=None)
