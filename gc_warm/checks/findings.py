"""What a check finds: what loading says, and what every rule says of what was loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gc_warm.checks.reading import Document, read_text, read_yaml
from gc_warm.checks.rules import blocks, downloads, starting, templates, workers
from gc_warm.checks.rules.rule import RULES, Finding, Needs, Place, Settings, Severity
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gc_warm.checks.loading import Loaded
    from gc_warm.checks.rules.template import Template

_RULES = (blocks, downloads, starting, templates, workers)  # imported to register their rules

# What loading itself may find, beside the rules.
LOADING = {
    "GW001": "A file cannot be read: invalid YAML, JSON or template syntax.",
    "GW002": "The template does not render.",
    "GW003": "The endpoint cannot load the config.",
    "GW004": "Something cannot be verified on this machine, or without running it.",
    "GW005": "The example options are refused.",
    "GW006": "The schema is not a JSON schema.",
    "GW007": "There is nothing to check: no engine and no template.",
    "GW008": "It loads, but its engine could not start or submit a block.",
    "GW009": "The endpoint does not start, because its engine is not in the template.",
}
# No reason is longer: some say what stands in a file.
MAX_REASON = 2000


@dataclass
class Findings:
    """What a check has found so far."""

    needs: Needs
    all: list[Finding] = field(default_factory=list)

    def sorted(self) -> list[Finding]:
        """Return each finding once, by file and line."""
        unique = dict.fromkeys(self.all)
        if any(found.code.startswith("GW50") for found in unique):  # they say why, and what to do
            unique = {found: None for found in unique if found.code != "GW008"}
        return sorted(unique, key=lambda found: (found.file, found.line, found.code))

    def found(self, code: str, path: Path, line: int, reason: str, fix: str) -> None:
        """Add what loading found."""
        severity = Severity.NOTE if code == "GW004" else Severity.ERROR
        short = reason if len(reason) <= MAX_REASON else reason[:MAX_REASON] + "..."
        self.all.append(Finding(code, severity, str(path), line, short, fix))

    def text(self, path: Path) -> str:
        """Return the text of a file beside what is checked; a failure is a finding."""
        try:
            return read_text(path)
        except UsageError as error:
            self.found("GW001", path, 1, str(error), "Fix it.")
            return ""

    def yaml(self, path: Path) -> Document | None:
        """Read a YAML file beside what is checked; None, with a finding, if that fails."""
        document = read_yaml(self.text(path))
        if document.failure:
            self.unreadable(path, document)
            return None
        return document

    def unreadable(self, path: Path, document: Document) -> None:
        """Add that a file is not YAML."""
        reason = f"It cannot be read: {document.failure}."
        self.found("GW001", path, document.failure_line, reason, "Fix it.")

    def failed(self, path: Path, answer: Loaded, line: int) -> None:
        """Add that the endpoint would not load something, or that this machine cannot."""
        for note in answer.notes:
            fix = "Run the check where the endpoint will run, or look at this yourself."
            self.found("GW004", path, line, f"Not verified: {note}.", fix)
        if not answer.kind:
            return
        reason = " ".join(answer.failure.split()) or answer.kind
        if answer.here:
            fix = "Run the check where the endpoint will run, with what its provider needs."
            self.found("GW004", path, line, f"Not loaded here: {reason}", fix)
        elif answer.step == "render":
            missing = answer.kind == "UndefinedError"
            default = "Give the variable a default, or make it required in the schema."
            fix = default if missing else "Correct it."
            self.found("GW002", path, line, f"It does not render: {reason}", fix)
        elif answer.step == "load":
            self.found("GW003", path, line, f"The endpoint refuses it: {reason}", "Correct it.")
        else:
            self.found("GW008", path, line, f"It loads, but cannot run: {reason}", "Correct it.")

    def misplaced_engine(self, path: Path, line: int) -> None:
        """Add that an engine is where an endpoint no longer looks for it."""
        reason = f"{path.name} has an engine, and `globus-compute-endpoint start` refuses that."
        fix = "Move `engine`, and what is about it, to user_config_template.yaml.j2 beside it."
        self.found("GW009", path, line, reason, fix)

    def not_executed(self, path: Path, what: str) -> None:
        """Add that something was not run, as asked."""
        self.found("GW004", path, 1, f"Not {what}.", "Check it without --no-exec.")

    def settings(self, data: dict[str, Any], path: Path, lines: Mapping[Place, int]) -> None:
        """Apply the rules for settings."""
        settings = Settings(data, str(path), lines, self.needs)
        for rule in RULES.values():
            if not rule.of_templates:
                self.all += rule.check(settings)

    def template(self, template: Template) -> None:
        """Apply the rules for templates."""
        for rule in RULES.values():
            if rule.of_templates:
                self.all += rule.check(template)
