"""``gc-warm report``: what calls cost together."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gc_warm.commands.shared.arguments import AS_JSON
from gc_warm.commands.shared.command import Command


@click.command(
    "report",
    cls=Command,
    examples=[
        "gc-warm report run.jsonl",
        "gc-warm report run-1.jsonl run-2.jsonl --save run.html",
    ],
)
@click.argument(
    "receipts",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(dir_okay=False, path_type=Path),
)
@click.option(
    "--save",
    "targets",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write .html, .svg or .jsonl instead; can be given again.",
)
@click.option("--title", default="gc-warm report", show_default=True, help="The title of the page.")
@AS_JSON
def show_report(
    receipts: tuple[Path, ...], targets: tuple[Path, ...], title: str, *, as_json: bool
) -> None:
    """Show what calls cost, by their receipts.

    Receipts come from WarmExecutor(receipts=FILE), from gc-warm map --receipts FILE, or from a
    report that was saved as .jsonl. Those of several clients become one report.
    """
    from rich.console import Console

    from gc_warm.client.report.report import Report

    found = Report.load(*receipts)
    for target in targets:
        found.save(target, title=title)
        click.echo(f"saved {target}", err=as_json)
    if as_json:
        click.echo(json.dumps(found.figures().as_dict(), indent=2))
    elif not targets:
        Console().print(found)
