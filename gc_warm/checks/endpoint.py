"""Will an endpoint config keep its workers warm? All findings at once.

A folder, a template, or a rendered YAML or ``config.py`` is loaded as the endpoint would load it,
up to where its engine would hand a block to the scheduler, in a process of its own; and then every
rule looks at it. docs/checks.md lists the rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gc_warm.checks.findings import LOADING, Findings
from gc_warm.checks.loading import SECONDS, load
from gc_warm.checks.reading import Document, Keywords, read_text, read_yaml
from gc_warm.checks.rules.rule import RULES, Finding, Needs, Rule
from gc_warm.checks.template_check import TemplateCheck
from gc_warm.endpoint_config import SCHEMA, TEMPLATES
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["LOADING", "RULES", "Needs", "Rule", "check_endpoint"]


def check_endpoint(
    path: Path,
    *,
    options: Mapping[str, Any] | None = None,
    needs: Needs | None = None,
    timeout: float = SECONDS,
    execute: bool = True,
) -> list[Finding]:
    """Check a config folder, a template, a rendered YAML, or a ``config.py``.

    A ``config.py`` is run, and templates are rendered, in a process of their own. Providers are
    kept from acting: no connection is opened, and no scheduler is asked.

    Args:
        path: What to check.
        options: What a user would give to the template; by default ``options.example.json``
            beside it, or nothing.
        needs: What warmth is worth: pauses, the length of a build, the size of a state.
        timeout: How long rendering and loading may take each, in seconds.
        execute: False runs no ``config.py`` and renders no template, and so says less.

    Returns:
        All findings, by file and line; none if it stays warm.

    Raises:
        UsageError: There is nothing at the path that can be read.
    """
    findings = Findings(needs or Needs())
    check = _Check(findings, options, timeout, execute)
    try:
        if not path.exists():
            raise UsageError(f"There is no {path}.")
        if path.is_dir():
            check.folder(path)
        elif path.suffix == ".py":
            check.python(path)
        elif path.suffix == ".j2" or _is_template(path):
            check.template(path)
        else:
            check.rendered(path)
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"Cannot read {path}: {error}.") from error
    return findings.sorted()


def _is_template(path: Path) -> bool:
    return bool(re.search(r"\{\{|\{%", read_text(path)))


@dataclass
class _Check:
    """Looks at each kind of thing that can be checked."""

    findings: Findings
    options: Mapping[str, Any] | None
    timeout: float
    execute: bool

    def folder(self, folder: Path) -> None:
        """Check what the endpoint would find in its folder."""
        core, python = folder / "config.yaml", folder / "config.py"
        has_python = python.is_file()
        if has_python:
            self.python(python)
        document = self.findings.yaml(core) if core.is_file() else Document()
        settings = document.data if document else {}
        if "engine" in settings and document is not None:
            self.findings.misplaced_engine(core, document.lines.get(("engine",), 1))
            self.rendered(core)
            return
        if document and core.is_file() and not has_python:
            [answer] = load(folder=folder, timeout=self.timeout)
            self.findings.failed(core, answer, 1)
        if (template := _template_in(folder, settings)) is not None:
            self.template(template, _schema_in(folder, settings))
        elif not has_python:
            reason = f"{folder} has neither an engine in config.yaml nor {TEMPLATES[0]}."
            fix = f"Copy {TEMPLATES[0]} from one of the endpoint_configs."
            self.findings.found("GW007", folder, 1, reason, fix)

    def python(self, path: Path) -> None:
        """Check a config that is a program, by what it makes."""
        text = read_text(path)
        if path.name != "config.py":
            raise UsageError(f"An endpoint loads config.py, not {path.name}.")
        if not self.execute:
            self.findings.not_executed(path, "run, so nothing of it is checked")
            return
        [answer] = load(folder=path.parent, timeout=self.timeout)
        self.findings.failed(path, answer, 1)
        if answer.settings:
            if "engine" in answer.settings:
                self.findings.misplaced_engine(path, 1)
            self.findings.settings(answer.settings, path, Keywords(text))

    def rendered(self, path: Path) -> None:
        """Check a config as a template would render it."""
        text = read_text(path)
        document = read_yaml(text)
        if document.failure:
            self.findings.unreadable(path, document)
            return
        if "engine" not in document.data:
            reason = f"{path} has no engine: it says who may use an endpoint, not how it runs."
            self.findings.found("GW007", path, 1, reason, "Check its folder, or its template.")
            return
        [answer] = load(text=text, timeout=self.timeout)
        self.findings.failed(path, answer, document.lines.get(("engine",), 1))
        self.findings.settings(document.data, path, document.lines)

    def template(self, path: Path, schema: Path | None = None) -> None:
        """Check a template, and what it renders to."""
        schema = schema or path.with_name(SCHEMA)
        check = TemplateCheck(self.findings, path, schema, self.options, self.timeout, self.execute)
        check.run()


def _template_in(folder: Path, core: Mapping[str, Any]) -> Path | None:
    named = core.get("user_config_template_path")
    if isinstance(named, str) and named and "\0" not in named:
        return path if (path := folder / named).is_file() else None
    found = (folder / name for name in TEMPLATES)
    return next((path for path in found if path.is_file()), None)


def _schema_in(folder: Path, core: Mapping[str, Any]) -> Path:
    named = core.get("user_config_schema_path")
    return folder / (named if isinstance(named, str) and "\0" not in named else SCHEMA)
