"""What a rule is, what rules look at, and what they find."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gc_warm.checks.rules.template import Template

Place = tuple[str, ...]
"""Where a setting stands: its keys from the top."""


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


@dataclass(frozen=True)
class Needs:
    """What warmth is worth here.

    Attributes:
        pause: The longest pause between tasks after which workers must still be warm, in seconds.
        build_seconds: How long building the state takes.
        state_gb: How much memory it needs, if known.
    """

    pause: float = 3600
    build_seconds: float = 180
    state_gb: float | None = None


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a setting is a number, which ``true`` is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass
class Settings:
    """One user endpoint's settings, and the line of each in its file."""

    data: dict[str, Any]
    file: str = "config.yaml"
    lines: Mapping[Place, int] = field(default_factory=dict)
    needs: Needs = field(default_factory=Needs)

    def get(self, *place: str, default: Any = None) -> Any:
        """Return a setting; the default if it is missing or null."""
        value: Any = self.data
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        return default if value is None else value

    def number(self, *place: str, default: float) -> float:
        """Return a setting that is a number; the default if it is none."""
        value = self.get(*place)
        return value if is_number(value) and abs(value) < 1e18 else default  # noqa: PLR2004

    def text(self, *place: str) -> str:
        """Return a setting that is text; nothing if it is none."""
        value = self.get(*place, default="")
        return value if isinstance(value, str) else ""

    def is_set(self, *place: str) -> bool:
        """Return whether a setting is there, and not null."""
        return self.get(*place) is not None

    def line_of(self, place: Place) -> int:
        """Return the line of a setting; of a missing one, the line of what lacks it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    @property
    def engine(self) -> str:
        """The type of the engine."""
        return self.text("engine", "type")

    @property
    def provider(self) -> str:
        """The type of the provider, if the engine has one."""
        return self.text("engine", "provider", "type") or "LocalProvider"

    @property
    def has_blocks(self) -> bool:
        """Whether workers come in blocks from a provider."""
        blocks = {"GlobusComputeEngine", "GlobusMPIEngine", "HighThroughputEngine"}
        return self.engine in blocks or (not self.engine and self.is_set("engine", "provider"))

    @property
    def is_mpi(self) -> bool:
        """Whether tasks are MPI programs: the engine has its own notion of workers."""
        return self.engine == "GlobusMPIEngine"

    @property
    def has_workers(self) -> bool:
        """Whether each node of a block has a number of workers, which accelerators may limit."""
        return self.has_blocks and not self.is_mpi

    @property
    def accelerators(self) -> int:
        """How many accelerators workers are pinned to; 0 if they are not."""
        value = self.get("engine", "available_accelerators", default=0)
        if isinstance(value, list | tuple):
            return len(value)
        return int(self.number("engine", "available_accelerators", default=0))


@dataclass(frozen=True)
class Trouble:
    """What a rule found: where, why, and what to do."""

    where: Place | int
    reason: str
    fix: str
    file: str = ""  # where it is another than the subject's


Troubles = Iterator[Trouble]


@dataclass(frozen=True)
class Rule:
    """A rule: its code, its name, and what it says of settings or of a template."""

    code: str
    name: str
    severity: Severity
    summary: str
    of_templates: bool
    look: Callable[..., Troubles]

    def check(self, subject: Settings | Template) -> list[Finding]:
        """Return what the rule finds, in the form that a user sees."""
        return [
            Finding(
                code=self.code,
                severity=self.severity,
                file=trouble.file or subject.file,
                line=_line(subject, trouble.where),
                reason=trouble.reason,
                fix=trouble.fix,
            )
            for trouble in self.look(subject)
        ]


def _line(subject: Settings | Template, where: Place | int) -> int:
    if isinstance(where, int):
        return where
    assert isinstance(subject, Settings)  # a template's findings name their line
    return subject.line_of(where)


RULES: dict[str, Rule] = {}


def rule(
    code: str, severity: Severity = Severity.WARNING, *, of_templates: bool = False
) -> Callable[[Callable[..., Troubles]], Rule]:
    """Make a function a rule; its name and the first line of its docstring describe it."""

    def register(look: Callable[..., Troubles]) -> Rule:
        assert code not in RULES, code
        summary = (inspect.getdoc(look) or "").partition("\n")[0]
        name = look.__name__.replace("_", "-")
        RULES[code] = Rule(code, name, severity, summary, of_templates, look)
        return RULES[code]

    return register
