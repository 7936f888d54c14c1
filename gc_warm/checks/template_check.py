"""Check a template: what it says, what its schema allows, and what it renders to."""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jsonschema

from gc_warm.checks.loading import Loaded, load
from gc_warm.checks.reading import original_lines, read_text, read_yaml
from gc_warm.checks.rules.template import Template
from gc_warm.endpoint_config import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gc_warm.checks.findings import Findings

EXAMPLE = "options.example.json"
# Stands for options that a template needs and nobody gave, so that its other settings are checked.
PLACEHOLDER = "placeholder:1.0"


@dataclass
class TemplateCheck:
    """Checks one template."""

    findings: Findings
    path: Path
    schema: Path  # need not exist
    options: Mapping[str, Any] | None  # what a user would give; None for the example beside it
    timeout: float  # how long rendering and loading may take, in seconds
    execute: bool  # whether the template may be rendered, which runs what stands in it

    def run(self) -> None:
        """Look at the template, render it, and look at what comes of it."""
        has_schema = self.schema.is_file()
        schema_text = self.findings.text(self.schema) if has_schema else ""
        template = Template(
            str(self.path),
            read_text(self.path),
            schema_file=str(self.schema),
            schema_text=schema_text,
            schema=self._parsed(schema_text) if schema_text else None,
            has_schema=has_schema,
        )
        if template.failure:
            reason = f"It is no template: {template.failure}."
            self.findings.found("GW001", self.path, template.failure_line, reason, "Fix it.")
            return
        self.findings.template(template)
        if self.execute:
            self._render(template)
        else:
            self.findings.not_executed(self.path, "rendered, so what it renders to is not checked")

    def _parsed(self, text: str) -> Any:
        """Parse a schema; None if it cannot be used."""
        try:
            schema = json.loads(text)
            jsonschema.validators.validator_for(schema).check_schema(schema)
        except jsonschema.SchemaError as error:
            reason = f"It is no JSON schema: {error.message}."
            self.findings.found("GW006", self.schema, 1, reason, "Fix it.")
        except (ValueError, RecursionError) as error:
            self.findings.found("GW001", self.schema, 1, f"It is not JSON: {error}.", "Fix it.")
        except Exception as error:  # noqa: BLE001 - schemas can refer to anything
            self.findings.found("GW006", self.schema, 1, f"It cannot be used: {error}.", "Fix it.")
        else:
            return schema
        return None

    def _render(self, template: Template) -> None:
        example = self.path.with_name(EXAMPLE)
        options = self.options or self._example(example)
        if not options and template.schema is None:
            options = dict.fromkeys(template.unset(), PLACEHOLDER)
        bare, answer = load(
            template=self.path,
            schema=self.schema if template.schema is not None else None,
            options=({}, options),
            environment=self._variables,
            timeout=self.timeout,
        )
        if bare.step == "render" and bare.kind not in {"", "ValidationError"}:
            self.findings.failed(self.path, bare, _line_of_missing(template, bare.failure))
        if options and answer.step == "render" and answer.kind:
            given = self.path if self.options else example
            reason = f"With options {json.dumps(dict(options))[:500]}: {answer.failure}"
            self.findings.found("GW005", given, 1, reason, "Fix the options.")
        elif answer.step != "render":
            self._look_at(template, answer)
        elif not options and answer.kind == "ValidationError":
            self._stand_in(template, answer)

    def _stand_in(self, template: Template, refused: Loaded) -> None:
        """Look at what does not depend on the options that the schema demands."""
        reason = f"Not verified without options. {refused.failure.partition(chr(10))[0]}."
        fix = f"Give --options, or put an example into {EXAMPLE} beside it."
        self.findings.found("GW004", self.path, 1, reason, fix)
        [answer] = load(
            template=self.path,
            options=[dict.fromkeys(template.unset(), PLACEHOLDER)],
            environment=self._variables,
            timeout=self.timeout,
        )
        if answer.step != "render":
            self._look_at(template, replace(answer, kind=""))

    def _look_at(self, template: Template, answer: Loaded) -> None:
        """Look at a rendered template."""
        text = answer.text or ""
        document = read_yaml(text)
        origin = original_lines(template.text, text)
        if document.failure:
            line = origin[min(document.failure_line, len(origin)) - 1] if origin else 1
            reason = f"It renders to invalid YAML: {document.failure}."
            self.findings.found("GW002", self.path, line, reason, "Quote what is printed there.")
        elif "engine" not in document.data:
            self.findings.found("GW007", self.path, 1, "It renders to no engine.", "Add `engine:`.")
        else:
            lines = {
                place: origin[line - 1]
                for place, line in document.lines.items()
                if line <= len(origin)
            }
            self.findings.failed(self.path, answer, lines.get(("engine",), 1))
            self.findings.settings(document.data, self.path, lines)

    def _example(self, path: Path) -> dict[str, Any]:
        """Read the example options, if there are any."""
        if not path.is_file():
            return {}
        try:
            options = json.loads(self.findings.text(path) or "{}")
        except (ValueError, RecursionError) as error:
            self.findings.found("GW001", path, 1, f"It is not JSON: {error}.", "Fix it.")
            return {}
        return options if isinstance(options, dict) else {}

    @functools.cached_property
    def _variables(self) -> dict[str, str]:
        """The variables that the endpoint gives its processes."""
        path = self.path.with_name(ENVIRONMENT)
        document = self.findings.yaml(path) if path.is_file() else None
        named = ((str(k), _shown(v)) for k, v in document.data.items()) if document else ()
        return {key: value for key, value in named if _is_variable(key, value)}


def _shown(value: Any) -> str:
    try:
        return str(value)
    except ValueError:  # a number of thousands of digits
        return ""


def _is_variable(key: str, value: str) -> bool:
    try:
        os.fsencode(key + value)
    except UnicodeError:
        return False
    return bool(key) and "=" not in key and "\0" not in key + value


def _line_of_missing(template: Template, failure: str) -> int:
    found = re.match(r"'(\w+)' is undefined", failure)
    return template.names.get(found[1], 1) if found else 1
