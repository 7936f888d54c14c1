"""One line of what ``gc-warm doctor`` says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

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
