"""What a check finds."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any


class Severity(str, enum.Enum):
    """How bad a finding is."""

    ERROR = "error"  # it does not work, or not as it is written
    WARNING = "warning"  # warmth is lost
    NOTE = "note"  # could not be checked here

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, where, why, and what to do.

    Attributes:
        code: Of the rule, such as ``GW101``; docs/checks.md lists all.
        severity: How bad it is.
        file: Where it stands.
        line: Its line, counted from 1; or where it is missing.
        reason: What will happen, in one or two sentences.
        fix: What to write instead.
    """

    code: str
    severity: Severity
    file: str
    line: int
    reason: str
    fix: str

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain data, ready for JSON."""
        return {**asdict(self), "severity": str(self.severity)}

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity} {self.code}: {self.reason}"
