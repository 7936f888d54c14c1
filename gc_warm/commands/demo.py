"""``gc-warm demo``: what staying warm is worth, on your own files."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gc_warm.commands.shared.arguments import AS_JSON
from gc_warm.commands.shared.command import Command, Exit
from gc_warm.commands.shared.show import printable, show_table
from gc_warm.units import counted, duration

if TYPE_CHECKING:
    from gc_warm.demo import Demonstration

SHOWN_TYPES = 20
SHOWN_SKIPPED = 10


@click.command(cls=Command)
@click.argument("path", type=click.Path(exists=True, path_type=Path), required=False)
@click.option(
    "--report",
    "saved",
    type=click.Path(path_type=Path),
    default="gc-warm-demo.html",
    help="Save what the calls have cost, as .html, .svg or .jsonl.",
)
@AS_JSON
def demo(path: Path | None, saved: Path, *, as_json: bool) -> int:
    """Identify the files of a folder with a warm model.

    PATH is a folder or a file; by default the folder of Python's standard library.
    """
    from gc_warm.client.report.report import format_of

    format_of(saved)  # before the work, and not after it
    if importlib.util.find_spec("magika") is None:
        raise click.ClickException("the demo needs its model: pip install 'gc-warm[demo]'")
    from gc_warm import demo as demonstration

    found = demonstration.Demonstration()
    root = path.absolute() if path else demonstration.standard_library()
    interrupted = False
    try:
        _identify(root, found, saved)
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        click.echo(json.dumps({**found.as_dict(), "interrupted": interrupted}, indent=2))
    else:
        _show_report(root, found)
        if found.figures.workers:
            click.echo(f"What each worker did when: {printable(str(saved))}")
    if interrupted:
        raise KeyboardInterrupt
    return Exit.FAILED if found.skipped and not found.figures.workers else Exit.OK


def _identify(root: Path, found: Demonstration, saved: Path) -> None:
    from gc_warm import demo as demonstration

    paths = demonstration.find_files(root, found)
    if not paths:
        return
    demonstration.identify_files(paths, found, saved)
    demonstration.measure_cold_calls(found)


def _show_report(root: Path, found: Demonstration) -> None:
    click.echo(f"{counted(found.files, 'file')} under {root}")
    if found.types:
        _show_types(found)
    _show_skipped(found)
    if found.costs and found.figures.workers:
        from rich.console import Console

        click.echo("\nWhat the calls have cost")
        Console().print(found.costs)
        _show_gain(found)


def _show_types(found: Demonstration) -> None:
    shown = found.types.most_common(SHOWN_TYPES)
    if others := len(found.types) - len(shown):
        rest = found.files - sum(count for _, count in shown)
        shown.append((f"{others} other types", rest))
    rows = ((name, f"{count:,}", f"{count / found.files:.1%}") for name, count in shown)
    show_table(("type", "files", "share"), rows, left=("type",))


def _show_skipped(found: Demonstration) -> None:
    if not found.skipped:
        return
    click.echo(f"{len(found.skipped):,} skipped:")
    for path, reason in found.skipped[:SHOWN_SKIPPED]:
        click.echo(f"  {printable(str(path))}: {reason}")
    if len(found.skipped) > SHOWN_SKIPPED:
        click.echo(f"  ... and {len(found.skipped) - SHOWN_SKIPPED:,} more; --json lists all.")


def _show_gain(found: Demonstration) -> None:
    from gc_warm.demo import median

    cold, spent = median(found.cold_seconds), found.figures.call_seconds
    if cold is None or found.speedup is None:
        return
    click.echo(
        f"A warm call takes {duration(median(found.warm_seconds))}, a cold one {duration(cold)} "
        f"(median of {len(found.cold_seconds)}, each in a fresh worker).\n"
        f"{counted(found.calls, 'call')} took {duration(spent)} of worker time. If each had been "
        f"cold: {duration(found.cold_estimate)}, {found.speedup:.1f} times as long."
    )
