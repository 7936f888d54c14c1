"""Will an endpoint config keep its workers warm? All findings at once.

A folder, a template, or a rendered YAML or ``config.py`` is loaded as the endpoint would load it,
in a process of its own, and then every rule looks at it. docs/checks.md lists the rules.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema

from gc_warm.checks.endpoint_rules import blocks, containers, templates, workers
from gc_warm.checks.endpoint_rules.rule import RULES, Needs, Rule, Settings
from gc_warm.checks.endpoint_rules.template import Template
from gc_warm.checks.finding import Finding, Severity
from gc_warm.checks.loading import SECONDS, Answer, load
from gc_warm.checks.reading import Document, original_lines, read_text, read_yaml
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["LOADING", "RULES", "Needs", "Rule", "check_endpoint"]

_RULES = (blocks, containers, templates, workers)  # imported to register their rules

TEMPLATES = ("user_config_template.yaml.j2", "user_config_template.yaml")
SCHEMA = "user_config_schema.json"
EXAMPLE = "options.example.json"
ENVIRONMENT = "user_environment.yaml"
# Stands for options that a template needs and nobody gave, so that its other settings are checked.
PLACEHOLDER = "placeholder:1.0"

# What loading itself may find, beside the rules.
LOADING = {
    "GW001": "A file cannot be read: invalid YAML, JSON or template syntax.",
    "GW002": "The template does not render.",
    "GW003": "The endpoint cannot load the config.",
    "GW004": "It cannot be loaded on this machine, so its values are not verified.",
    "GW005": "The example options are refused.",
    "GW006": "The schema is not a JSON schema.",
    "GW007": "There is nothing to check: no engine and no template.",
}


def check_endpoint(
    path: Path,
    *,
    options: Mapping[str, Any] | None = None,
    needs: Needs | None = None,
    timeout: float = SECONDS,
) -> list[Finding]:
    """Check a config folder, a template, a rendered YAML, or a ``config.py``.

    Args:
        path: What to check.
        options: What a user would give to the template; by default ``options.example.json``
            beside it, or nothing.
        needs: What warmth is worth: pauses, the length of a build, the size of a state.
        timeout: How long rendering and loading may take each, in seconds.

    Returns:
        All findings, by file and line; none if it stays warm.

    Raises:
        UsageError: There is nothing at the path that can be read.
    """
    if not path.exists():
        raise UsageError(f"There is no {path}.")
    check = _Check(options, needs or Needs(), timeout)
    if path.is_dir():
        check.folder(path)
    elif path.suffix == ".py":
        check.python(path)
    elif path.suffix == ".j2" or _is_template(path):
        check.template(path)
    else:
        check.rendered(path)
    unique = dict.fromkeys(check.findings)
    return sorted(unique, key=lambda found: (found.file, found.line, found.code))


def _is_template(path: Path) -> bool:
    return bool(re.search(r"\{\{|\{%", read_text(path)))


@dataclass
class _Check:
    options: Mapping[str, Any] | None
    needs: Needs
    timeout: float
    findings: list[Finding] = field(default_factory=list)

    def folder(self, folder: Path) -> None:
        """Check what the endpoint would find in its folder."""
        core = folder / "config.yaml"
        if (python := folder / "config.py").exists():
            self.python(python)
        document = read_yaml(read_text(core)) if core.is_file() else Document()
        if document.failure:
            self.unreadable(core, document)
        elif "engine" in document.data:
            self.rendered(core)
            return
        elif core.is_file() and not python.exists():
            self.failed(core, load(folder=folder, timeout=self.timeout)[0], 1)
        if (template := _template_in(folder, document.data)) is not None:
            self.template(template, _schema_in(folder, document.data))
        elif not python.exists():
            self.found(
                "GW007",
                folder,
                1,
                f"{folder} has neither an engine in config.yaml nor {TEMPLATES[0]}.",
                f"Copy {TEMPLATES[0]} from one of the endpoint_configs.",
            )

    def python(self, path: Path) -> None:
        """Check a config that is a program, by what it makes."""
        text = read_text(path)
        if path.name != "config.py":
            raise UsageError(f"An endpoint loads config.py, and no {path.name}.")
        [answer] = load(folder=path.parent, timeout=self.timeout)
        self.failed(path, answer, 1)
        if answer.settings:
            self.settings(answer.settings, path, _Keywords(text))

    def rendered(self, path: Path) -> None:
        """Check a config as a template would render it."""
        text = read_text(path)
        document = read_yaml(text)
        if document.failure:
            self.unreadable(path, document)
            return
        if "engine" not in document.data:
            reason = f"{path} has no engine: it says who may use an endpoint, not how it runs."
            self.found("GW007", path, 1, reason, "Check its folder, or its template.")
            return
        [answer] = load(text=text, timeout=self.timeout)
        self.failed(path, answer, document.lines.get(("engine",), 1))
        self.settings(document.data, path, document.lines)

    def template(self, path: Path, schema: Path | None = None) -> None:
        """Check a template, and what it renders to."""
        schema = schema or path.with_name(SCHEMA)
        template = Template(
            str(path),
            read_text(path),
            schema_file=str(schema),
            schema_text=read_text(schema) if schema.is_file() else "",
            schema=self.schema(schema),
            has_schema=schema.is_file(),
        )
        if template.failure:
            place = template.failure_line
            self.found("GW001", path, place, f"It is no template: {template.failure}.", "Mend it.")
            return
        for rule in RULES.values():
            if rule.of_templates:
                self.findings += rule.check(template)
        self.render(path, template, schema if template.schema is not None else None)

    def schema(self, path: Path) -> Any:
        """Read a schema; None if there is none that can be used."""
        if not path.is_file():
            return None
        try:
            schema = json.loads(read_text(path))
            jsonschema.validators.validator_for(schema).check_schema(schema)
        except jsonschema.SchemaError as error:
            self.found("GW006", path, 1, f"It is no JSON schema: {error.message}.", "Mend it.")
        except (ValueError, RecursionError) as error:
            self.found("GW001", path, 1, f"It is not JSON: {error}.", "Mend it.")
        except Exception as error:  # noqa: BLE001 - schemas can refer to anything
            self.found("GW006", path, 1, f"It cannot be used: {error}.", "Mend it.")
        else:
            return schema
        return None

    def render(self, path: Path, template: Template, schema: Path | None) -> None:
        """Render a template and look at what comes of it."""
        options = self.options or self.example(path.with_name(EXAMPLE))
        if not options and template.schema is None:
            options = dict.fromkeys(template.unset(), PLACEHOLDER)
        bare, answer = load(
            template=path,
            schema=schema,
            options=({}, options),
            environment=self.environment(path.with_name(ENVIRONMENT)),
            timeout=self.timeout,
        )
        if bare.step == "render" and bare.kind not in {"", "ValidationError"}:
            self.failed(path, bare, _line_of_missing(template, bare.failure))
        if options and answer.step == "render" and answer.kind:
            reason = f"With options {json.dumps(dict(options))}: {answer.failure}"
            self.found("GW005", path.with_name(EXAMPLE), 1, reason, "Mend the options.")
        elif answer.step == "load":
            self.loaded(path, template, answer)
        elif not options and answer.kind == "ValidationError":
            reason = f"It needs options to be checked. {answer.failure.partition(chr(10))[0]}."
            self.found("GW004", path, 1, reason, f"Put an example into {EXAMPLE} beside it.")

    def loaded(self, path: Path, template: Template, answer: Answer) -> None:
        """Look at a rendered template."""
        document = read_yaml(answer.text or "")
        origin = original_lines(template.text, answer.text or "")
        lines = {
            place: origin[line - 1] for place, line in document.lines.items() if line <= len(origin)
        }
        if document.failure:
            line = origin[min(document.failure_line, len(origin)) - 1] if origin else 1
            reason = f"It renders to invalid YAML: {document.failure}."
            self.found("GW002", path, line, reason, "Quote what is printed there.")
            return
        if "engine" not in document.data:
            self.found("GW007", path, 1, "It renders to no engine.", "Add `engine:`.")
        elif not document.failure:
            self.failed(path, answer, lines.get(("engine",), 1))
            self.settings(document.data, path, lines)

    def settings(self, data: dict[str, Any], path: Path, lines: Any) -> None:
        """Apply the rules for settings."""
        settings = Settings(data, str(path), lines, self.needs)
        for rule in RULES.values():
            if not rule.of_templates:
                self.findings += rule.check(settings)

    def example(self, path: Path) -> dict[str, Any]:
        """Read the example options, if there are any."""
        if not path.is_file():
            return {}
        try:
            options = json.loads(read_text(path))
        except (ValueError, RecursionError) as error:
            self.found("GW001", path, 1, f"It is not JSON: {error}.", "Mend it.")
            return {}
        return options if isinstance(options, dict) else {}

    def environment(self, path: Path) -> dict[str, str]:
        """Read the variables that the endpoint gives its processes."""
        document = read_yaml(read_text(path)) if path.is_file() else Document()
        if document.failure:
            self.unreadable(path, document)
        named = {str(key): str(value) for key, value in document.data.items()}
        return {k: v for k, v in named.items() if k and "=" not in k and "\0" not in k + v}

    def unreadable(self, path: Path, document: Document) -> None:
        """Say that a file is no YAML."""
        reason = f"It cannot be read: {document.failure}."
        self.found("GW001", path, document.failure_line, reason, "Mend it.")

    def failed(self, path: Path, answer: Answer, line: int) -> None:
        """Say that the endpoint would not load something, or that this machine cannot."""
        if not answer.kind:
            return
        reason = " ".join(answer.failure.split()) or answer.kind
        if answer.here:
            fix = "Run the check where the endpoint will run, with what its provider needs."
            self.found("GW004", path, line, f"Not loaded here: {reason}", fix)
        elif answer.step == "render":
            fix = "Give the variable a default, or make it required in the schema."
            self.found("GW002", path, line, f"It does not render: {reason}", fix)
        else:
            self.found("GW003", path, line, f"The endpoint refuses it: {reason}", "Correct it.")

    def found(self, code: str, path: Path, line: int, reason: str, fix: str) -> None:
        """Remember what loading found."""
        severity = Severity.NOTE if code == "GW004" else Severity.ERROR
        self.findings.append(Finding(code, severity, str(path), line, reason, fix))


class _Keywords(dict[tuple[str, ...], int]):
    """Where a Python config names each setting: the first ``name=`` in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        for number, line in enumerate(text.splitlines(), 1):
            for name in re.findall(r"\b(\w+)\s*=", line):
                self.setdefault((name,), number)

    def __contains__(self, place: object) -> bool:
        return isinstance(place, tuple) and super().__contains__(place[-1:])

    def get(self, place: tuple[str, ...], default: Any = None) -> Any:
        return super().get(place[-1:], default)


def _line_of_missing(template: Template, failure: str) -> int:
    found = re.match(r"'(\w+)' is undefined", failure)
    return template.names().get(found[1], 1) if found else 1


def _template_in(folder: Path, core: Mapping[str, Any]) -> Path | None:
    named = core.get("user_config_template_path")
    if isinstance(named, str) and named and "\0" not in named:
        return path if (path := folder / named).is_file() else None
    found = (folder / name for name in TEMPLATES)
    return next((path for path in found if path.is_file()), None)


def _schema_in(folder: Path, core: Mapping[str, Any]) -> Path:
    named = core.get("user_config_schema_path")
    return folder / (named if isinstance(named, str) and "\0" not in named else SCHEMA)
