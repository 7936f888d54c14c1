"""What ``gc-warm doctor`` looks at, and what it says of one thing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """What was found out about one thing.

    Attributes:
        name: What was looked at.
        status: Whether it is as it should be; ``warn`` is what costs something, or is not known.
        message: What was found.
        fix: What to change; empty if nothing.
        details: What was measured, as plain data.
    """

    name: str
    status: Status
    message: str
    fix: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Examination:
    """What to examine.

    Attributes:
        probe: What describes the worker that runs it: ``gc_warm.functions.probe.probe``.
        count: What counts its calls in a worker: ``gc_warm.functions.counter.increase_count``.
        endpoint_id: The endpoint; None if there is none yet.
        user_endpoint_config: What its user endpoint is started with.
        tasks: How many tasks show what its workers are.
        timeout: How many seconds the first of them may take.
    """

    probe: Callable[..., dict[str, Any]]
    count: Callable[[], Any]
    endpoint_id: UUID | None = None
    user_endpoint_config: dict[str, Any] | None = None
    tasks: int = 20
    timeout: float = 120.0
