"""What a rule is, and what rules look at."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gc_warm.checks.finding import Finding, Severity
from gc_warm.checks.reading import Place, line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gc_warm.checks.rules.template import Template


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


@dataclass
class Settings:
    """One user endpoint's settings, and where each stands.

    Attributes:
        data: The settings.
        file: The file to name in findings.
        lines: The line of each setting.
        needs: What warmth is worth.
    """

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
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if is_number and abs(value) < 1e18 else default  # noqa: PLR2004

    def text(self, *place: str) -> str:
        """Return a setting that is text; nothing if it is none."""
        value = self.get(*place, default="")
        return value if isinstance(value, str) else ""

    def is_set(self, *place: str) -> bool:
        """Return whether a setting is there, and not null."""
        return self.get(*place) is not None

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


@dataclass(frozen=True)
class Rule:
    """A rule: its code, its name, and what it says of settings or of a template."""

    code: str
    name: str
    severity: Severity
    summary: str
    of_templates: bool
    look: Callable[..., Iterator[Trouble]]

    def check(self, subject: Settings | Template) -> list[Finding]:
        """Return what the rule finds, in the form that a user sees."""
        return [
            Finding(
                code=self.code,
                severity=self.severity,
                file=trouble.file or subject.file,
                line=trouble.where
                if isinstance(trouble.where, int)
                else line_of(subject.lines, trouble.where),
                reason=trouble.reason,
                fix=trouble.fix,
            )
            for trouble in self.look(subject)
        ]


RULES: dict[str, Rule] = {}


def rule(
    code: str, severity: Severity = Severity.WARNING, *, of_templates: bool = False
) -> Callable[[Callable[..., Iterator[Trouble]]], Rule]:
    """Make a function a rule; its name and the first line of its docstring describe it."""
    return functools.partial(_register, code, severity, of_templates)


def _register(
    code: str,
    severity: Severity,
    of_templates: bool,  # noqa: FBT001 - passed on by `rule`
    look: Callable[..., Iterator[Trouble]],
) -> Rule:
    assert code not in RULES, code
    summary = (inspect.getdoc(look) or "").partition("\n")[0]
    name = look.__name__.replace("_", "-")
    RULES[code] = Rule(code, name, severity, summary, of_templates, look)
    return RULES[code]
