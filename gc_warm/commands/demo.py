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
    from gc_warm.demo import Report

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

    report = demonstration.Report()
    root = path.absolute() if path else demonstration.standard_library()
    interrupted = False
    try:
        _identify(root, report, saved)
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        click.echo(json.dumps({**report.as_dict(), "interrupted": interrupted}, indent=2))
    else:
        _show_report(root, report)
        if report.figures.workers:
            click.echo(f"What each worker did when: {printable(str(saved))}")
    if interrupted:
        raise KeyboardInterrupt
    return Exit.FAILED if report.skipped and not report.figures.workers else Exit.OK


def _identify(root: Path, report: Report, saved: Path) -> None:
    from gc_warm import demo as demonstration

    paths = demonstration.find_files(root, report)
    if not paths:
        return
    demonstration.identify_files(paths, report, saved)
    demonstration.measure_cold_calls(report)


def _show_report(root: Path, report: Report) -> None:
    click.echo(f"{counted(report.files, 'file')} under {root}")
    if report.types:
        _show_types(report)
    _show_skipped(report)
    if report.costs and report.figures.workers:
        from rich.console import Console

        click.echo("\nWhat the calls have cost")
        Console().print(report.costs)
        _show_gain(report)


def _show_types(report: Report) -> None:
    shown = report.types.most_common(SHOWN_TYPES)
    if others := len(report.types) - len(shown):
        rest = report.files - sum(count for _, count in shown)
        shown.append((f"{others} other types", rest))
    rows = ((name, f"{count:,}", f"{count / report.files:.1%}") for name, count in shown)
    show_table(("type", "files", "share"), rows, left=("type",))


def _show_skipped(report: Report) -> None:
    if not report.skipped:
        return
    click.echo(f"{len(report.skipped):,} skipped:")
    for path, reason in report.skipped[:SHOWN_SKIPPED]:
        click.echo(f"  {printable(str(path))}: {reason}")
    if len(report.skipped) > SHOWN_SKIPPED:
        click.echo(f"  ... and {len(report.skipped) - SHOWN_SKIPPED:,} more; --json lists all.")


def _show_gain(report: Report) -> None:
    from gc_warm.demo import median

    cold, spent = median(report.cold_seconds), report.figures.call_seconds
    if cold is None or report.speedup is None:
        return
    click.echo(
        f"A warm call takes {duration(median(report.warm_seconds))}, a cold one {duration(cold)} "
        f"(median of {len(report.cold_seconds)}, each in a fresh worker).\n"
        f"{counted(report.calls, 'call')} took {duration(spent)} of worker time. If each had been "
        f"cold: {duration(report.cold_estimate)}, {report.speedup:.1f} times as long."
    )
