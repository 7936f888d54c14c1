"""What calls cost: printed as tables, or saved as a page, a picture, or lines of JSON."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.client.calls.records import TaskRecord, read_records
from gc_warm.client.report.figures import Figures, figures_of
from gc_warm.client.report.page import page
from gc_warm.client.report.summary import details, headline, tables
from gc_warm.client.report.timeline import svg
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 100


class Report:
    """What tasks cost. Printing it shows tables.

    Args:
        records: The tasks.
    """

    def __init__(self, records: Sequence[TaskRecord]) -> None:
        self.records = records

    @classmethod
    def load(cls, *paths: str | os.PathLike[str]) -> Report:
        """Read the receipts of one or several clients; what is in two files counts once.

        Args:
            paths: Files of JSON lines: ``WarmExecutor(receipts=PATH)``, or saved reports.

        Raises:
            UsageError: A file cannot be read, or is something else.
        """
        return cls(list(read_records(paths)))

    def figures(self) -> Figures:
        """Return what the tasks cost together."""
        return figures_of(self.records)

    def save(self, path: str | os.PathLike[str], *, title: str = "gc-warm report") -> None:
        """Write it to a file, as a whole or not at all, that only its owner can read.

        Args:
            path: Its ending says what is written: ``.html``, a page that needs no network;
                ``.svg``, the timeline; ``.jsonl``, one line for each task, which `load` reads.
            title: The title of the page.

        Raises:
            UsageError: The name ends with something else, or the file cannot be written.
        """
        target = Path(path)
        text = self._text(format_of(target), title)
        try:
            _replace(target, text)
        except OSError as error:
            raise UsageError(f"Cannot write {path}: {error.strerror}.") from error

    def _text(self, kind: str, title: str) -> str:
        if kind == ".html":
            return page(self.records, self.figures(), title)
        if kind == ".svg":
            return svg(self.records, standalone=True)
        return "".join(record.as_json() for record in self.records)

    def __rich__(self) -> Any:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        found = self.figures()
        lines = Table.grid(padding=(0, 2))
        for name in ("right", "left"):
            lines.add_column(justify=name)
        lines.add_column(style="dim", overflow="fold")
        shown: dict[str, Any] = {}
        for line in (*headline(found), *details(found)):
            shown.setdefault(line.name, line)
        for line in shown.values():
            value = Text(_printable(line.value), style="bold")
            lines.add_row(Text(line.name), value, Text(line.meaning))
        parts: list[Any] = [lines, ""]  # a table ends with an empty line, too
        for each in tables(found):
            table = Table(title=Text(each.title), title_justify="left", box=box.SIMPLE_HEAD)
            for name in each.columns:
                justify: Any = "right" if name[0] == ">" else "left"
                table.add_column(Text(name.lstrip(">")), justify=justify, overflow="fold")
            for row in each.rows:
                table.add_row(*(Text(_printable(cell)) for cell in row))
            parts.append(table)
        return Group(*parts)

    def __str__(self) -> str:
        import io

        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=_WIDTH, color_system=None).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format of a report that is saved under a name: its ending.

    Raises:
        UsageError: There is no such format.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in {".html", ".svg", ".jsonl"}:
        raise UsageError(f"{str(path)!r} must end with .html, .svg or .jsonl.")
    return suffix


def _printable(text: str) -> str:
    """Replace what would control a terminal."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def _replace(path: Path, text: str) -> None:
    """Write a file for its owner only, under another name until it is complete."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
