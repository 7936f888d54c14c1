"""Rules about templates and their schemas: who shares workers with whom, and what options can do.

The endpoint gives templates every text option as JSON, in double quotes. So an option that is a
setting's whole value is safe as it stands, and inside other text it is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import nodes

from gc_warm.checks.rules.rule import Severity, Trouble, Troubles, rule
from gc_warm.checks.rules.template import DEFAULT, MAX_LINE, Output, Template, key_before, walk

if TYPE_CHECKING:
    from collections.abc import Iterator


@rule("GW401", of_templates=True)
def clients_divide_workers(template: Template) -> Troubles:
    """Workers depend on the client's versions, so different clients never share any."""
    if (line := template.runtime_line()) is not None:
        yield Trouble(
            line,
            "The template uses `user_runtime`, what the client's machine reports. Clients with "
            "another Python or SDK get workers of their own, and one that is updated starts cold.",
            "Fix the workers' environment in the template instead. Self-contained functions "
            "carry source, so client and worker may run different Pythons.",
        )


@rule("GW402", of_templates=True)
def options_divide_workers(template: Template) -> Troubles:
    """An option can have any value, and each different one starts workers of its own."""
    for name, says in template.options.items():
        if _is_open(says):
            yield Trouble(
                template.schema_line(name),
                f"The option {name!r} can be anything. Each different value starts a user "
                "endpoint process of its own: one more space, and everything is cold.",
                f'Limit it in {template.schema_name}: give {name!r} an "enum", or a "pattern" for '
                'text and a "maximum" for numbers; or make it part of the template.',
                template.schema_file,
            )


def _is_open(says: Any) -> bool:
    if not isinstance(says, dict):
        return says is True
    if any(key in says for key in ("enum", "const", "$ref", "anyOf", "oneOf", "allOf")):
        return False
    kinds = says.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return any(_is_open_kind(kind, says) for kind in kinds)


def _is_open_kind(kind: Any, says: dict[str, Any]) -> bool:
    if kind in {"boolean", "null"}:
        return False
    if kind in {"integer", "number"}:
        return "maximum" not in says and "exclusiveMaximum" not in says
    if kind == "array":
        return _is_open(says.get("items", True))
    return "pattern" not in says


@rule("GW403", of_templates=True)
def no_schema(template: Template) -> Troubles:
    """There is no schema: any option is accepted, and starts workers of its own."""
    names = sorted(template.names)
    if template.has_schema or not names:
        return
    yield Trouble(
        1,
        f"Nothing limits the options. Each different {names[0]!r}, and each option that the "
        "template does not even know, starts a process of its own, cold.",
        f"Write {template.schema_name} with "
        f'"properties" for {", ".join(names[:5])} and "additionalProperties": false.',
    )


@rule("GW404", of_templates=True)
def unknown_options_accepted(template: Template) -> Troubles:
    """The schema accepts options that it does not know."""
    if not isinstance(template.schema, dict) or _is_closed(template.schema):
        return
    yield Trouble(
        template.schema_line("additionalProperties"),
        f"{template.schema_name} accepts options that it does not name. They change nothing, but "
        "each different one starts a process of its own, cold.",
        f'Set "additionalProperties": false in {template.schema_name}.',
        template.schema_file,
    )


def _is_closed(schema: dict[str, Any]) -> bool:
    return any(
        schema.get(key) is False for key in ("additionalProperties", "unevaluatedProperties")
    )


@rule("GW405", of_templates=True)
def option_without_effect(template: Template) -> Troubles:
    """The schema knows an option that the template does not use."""
    used = template.names
    if any(walk(template.tree, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        return  # what it includes may use it
    for name in template.options:
        if name not in used:
            yield Trouble(
                template.schema_line(name),
                f"The option {name!r} is accepted and changes nothing, except that each value "
                "starts a process of its own, cold.",
                f"Remove {name!r} from {template.schema_name}.",
                template.schema_file,
            )


@rule("GW411", of_templates=True)
def default_not_quoted(template: Template) -> Troubles:
    """A default text is not quoted, and YAML reads it as something else."""
    for output in template.outputs():
        for text in _default_texts(output):
            if key_before(output.before) and _changes(text):
                meant = yaml.safe_load(text)
                yield Trouble(
                    output.line,
                    f"The default {text!r} comes without quotes, and YAML reads it as {meant!r}: "
                    "a value that users give is quoted, a default is not.",
                    f"""Write the quotes into it: `default('"{text}"')`.""",
                )


def _default_texts(output: Output) -> Iterator[str]:
    for found in walk(output.expression, nodes.Filter):
        if found.name in DEFAULT and found.args and isinstance(found.args[0], nodes.Const):
            value = found.args[0].value
            if isinstance(value, str) and not output.filters() & {"tojson", "int", "float"}:
                yield value


def _changes(text: str) -> bool:
    if text.startswith(("'", '"')) or "\n" in text:
        return False
    try:
        return not isinstance(yaml.safe_load(text), str | bool | None) and ":" in text
    except (yaml.YAMLError, ValueError, RecursionError):
        return False  # it does not load at all, which is said elsewhere


@rule("GW412", Severity.ERROR, of_templates=True)
def quoted_twice(template: Template) -> Troubles:
    """An option is in quotes, and brings quotes of its own."""
    for output in template.outputs():
        before, after = output.before.rstrip(), output.after.lstrip()
        alone = key_before(before[:-1]) and before[-1:] in {'"', "'"} and after[:1] == before[-1:]
        if alone and _prints_text(template, output):
            yield Trouble(
                output.line,
                "The endpoint gives text options in quotes already: in these, a text becomes "
                "invalid YAML.",
                "Remove the quotes around it.",
            )


@rule("GW413", of_templates=True)
def option_inside_text(template: Template) -> Troubles:
    """An option becomes part of other text, such as a shell command, without escaping."""
    for output in template.outputs():
        if (
            not _stands_alone(output)
            and _prints_text(template, output)
            and not _limited(template, output)
        ):
            name = min(output.names() & template.names.keys())
            yield Trouble(
                output.line,
                f"{name!r} becomes part of other text. Its quotes become part of it too, and in a "
                "shell `$(command)` runs.",
                f"Write the setting in double quotes on one line, with "
                f"`{{{{ ({name} | shell_escape)[1:-1] }}}}` in it, and give {name!r} a "
                '"pattern" in the schema.',
            )


def _stands_alone(output: Output) -> bool:
    """Return whether an output is all of a value, whose quotes are then YAML's, or ClassAds'."""
    before, after = output.before, re.sub(r"(?:^|\s)#.*$", "", output.after)
    if before[:MAX_LINE].lstrip().startswith("+") and re.fullmatch(r"\s*\+\w+\s*=\s*", before):
        return not after.strip()  # of a job of Condor's, which wants texts in double quotes
    key, bracket, items = before.partition("[")
    if bracket and key_before(key) and re.fullmatch(r"(?:[\s\w.-]*,)?\s*", items[:MAX_LINE]):
        return bool(re.match(r"\s*[\],]", after))
    return bool(key_before(before.rstrip("'\"")) and not after.strip(" \"'\r"))


def _prints_text(template: Template, output: Output) -> bool:
    """Return whether an output prints, as it is, an option that may be text."""
    if output.filters() & {"shell_escape", "tojson", "int", "float", "length"}:
        return False
    if any(walk(output.expression, nodes.Slice)):
        return False  # it takes the quotes off itself
    return any(_may_be_text(template, name) for name in output.names() & template.names.keys())


def _may_be_text(template: Template, name: str) -> bool:
    says = template.options.get(name, {})
    kind = says.get("type", "string") if isinstance(says, dict) else "string"
    return bool({"string", "array"} & {*(kind if isinstance(kind, list) else [kind])})


def _limited(template: Template, output: Output) -> bool:
    names = output.names() & template.names.keys()
    return all(name in template.options and not _is_open(template.options[name]) for name in names)


@rule("GW414", of_templates=True)
def environment_not_quoted(template: Template) -> Troubles:
    """A value of the environment or of the user's account is printed without quotes."""
    for output in template.outputs():
        if "_GC" in output.names() and _is_raw(output):
            yield Trouble(
                output.line,
                "Unlike options, what comes from `_GC.env`, `_GC.mapped_identity` and "
                "`_GC.parent_config` is not quoted: a colon or a quote in it breaks the YAML.",
                "Add `| tojson`.",
            )


def _is_raw(output: Output) -> bool:
    parts = {node.attr for node in walk(output.expression, nodes.Getattr)}
    parts |= {
        str(node.arg.value)
        for node in walk(output.expression, nodes.Getitem)
        if isinstance(node.arg, nodes.Const)
    }
    raw = parts & {"env", "mapped_identity", "parent_config"}
    return bool(raw) and not output.filters() & {"tojson", "int", "float"}
