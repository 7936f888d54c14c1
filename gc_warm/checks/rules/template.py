"""What rules see of a template: its schema, and where it prints what."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

RESERVED = {"_GC", "parent_config", "mapped_identity", "user_runtime"}
DEFAULT = {"default", "d"}
MAX_LINE = 500


@dataclass(frozen=True)
class Output:
    """One ``{{ ... }}``: its expression, and the text around it on its line."""

    line: int
    before: str
    after: str
    expression: nodes.Expr

    def filters(self) -> set[str]:
        """Return the names of the filters that it goes through."""
        return {found.name for found in walk(self.expression, nodes.Filter)}

    def names(self) -> set[str]:
        """Return the names of the variables that it uses."""
        return {found.name for found in walk(self.expression, nodes.Name)}


@dataclass
class Template:
    """A template and its schema, each with its file's name and text."""

    file: str
    text: str
    schema_file: str = "user_config_schema.json"
    schema_text: str = ""
    schema: Any = None  # what the text says; None if there is none, or none that can be read
    has_schema: bool = False  # whether there is such a file

    def __post_init__(self) -> None:
        self.failure = ""
        self.failure_line = 1
        self.tree = nodes.Template([])
        try:
            self.tree = jinja2.Environment(autoescape=False).parse(self.text)  # noqa: S701 - YAML
        except jinja2.TemplateSyntaxError as error:
            self.failure, self.failure_line = str(error.message), error.lineno
        except (RecursionError, ValueError, OverflowError) as error:
            self.failure = f"{type(error).__name__}: {error}"

    @property
    def options(self) -> dict[str, Any]:
        """The options that the schema knows, and what it says of each."""
        found = self.schema.get("properties") if isinstance(self.schema, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def schema_name(self) -> str:
        """The name of the schema's file."""
        return Path(self.schema_file).name

    def schema_line(self, name: str) -> int:
        """Return the line of the schema that first names something."""
        return self._schema_lines.get(name, 1)

    @functools.cached_property
    def _schema_lines(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for number, line in enumerate(self.schema_text.splitlines(), 1):
            for name in re.findall(r'"([^"]*)"\s*:', line):
                found.setdefault(name, number)
        return found

    @functools.cached_property
    def names(self) -> dict[str, int]:
        """The variables that the template reads and does not set, and where first."""
        found = list(walk(self.tree, nodes.Name))
        own = {node.name for node in found if node.ctx != "load"}
        loops = {"loop", "caller", "varargs", "kwargs", "self", "range", "dict", "namespace"}
        return {
            node.name: node.lineno
            for node in reversed(found)
            if node.ctx == "load"
            and (node.name not in own or node.name in self.options)
            and node.name not in loops | RESERVED
        }

    def unset(self) -> set[str]:
        """Return the variables without which it cannot render."""
        spares = DEFAULT | {"defined", "undefined"}
        spared = [n for n in walk(self.tree, nodes.Filter, nodes.Test) if n.name in spares]
        optional = {found.name for node in spared for found in walk(node, nodes.Name)}
        return self.names.keys() - optional

    def runtime_line(self) -> int | None:
        """Return where the template first reads what the client's machine is; None if nowhere."""
        for node in walk(self.tree, nodes.Name, nodes.Getattr, nodes.Getitem):
            name = node.name if isinstance(node, nodes.Name) else _part(node)
            if name == "user_runtime":
                line: int = node.lineno
                return line
        return None

    def outputs(self) -> Iterator[Output]:
        """Yield each expression that the template prints."""
        for output in walk(self.tree, nodes.Output):
            parts = output.nodes
            for index, part in enumerate(parts):
                if not isinstance(part, nodes.TemplateData):
                    before = _data(parts, index - 1).rpartition("\n")[2]
                    after = _data(parts, index + 1).partition("\n")[0]
                    yield Output(part.lineno, before, after, part)


def _part(node: Any) -> str:
    """Return what an attribute or an item is called."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    is_constant = isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const)
    return str(node.arg.value) if is_constant else ""


def _data(parts: list[nodes.Expr], index: int) -> str:
    found = parts[index] if 0 <= index < len(parts) else None
    return found.data if isinstance(found, nodes.TemplateData) else ""


def walk(node: nodes.Node, *kinds: type) -> Iterator[Any]:
    """Yield a node and all in it that are of a kind, in the order of the template."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if isinstance(found, kinds):
            yield found
        waiting.extend(reversed(list(found.iter_child_nodes())))


def key_before(text: str) -> re.Match[str] | None:
    """Match when what stands before on a line is a setting's name and nothing else."""
    if len(text) > MAX_LINE:
        return None  # nobody writes that, and matching takes the square of it
    return re.fullmatch(r"\s*(?:- )?(?:[\w./-]+\s*:)?\s*(?:- )?", text)
