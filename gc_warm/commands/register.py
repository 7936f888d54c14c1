"""``gc-warm register``: what the service knows, and the manifest remembers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gc_warm.commands.shared.arguments import (
    AS_JSON,
    MANIFEST,
    find_self_contained,
    strategy_option,
)
from gc_warm.commands.shared.command import Command
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from gc_warm.client.registry import Registration


@click.command(
    cls=Command,
    examples=[
        "gc-warm register gc_warm.functions.counter:increase_count --dry-run",
        "gc-warm register mylab.models:classify --strategy PureSourceTextInspect",
    ],
)
@click.argument("targets", metavar="MODULE:FUNCTION...", nargs=-1, required=True)
@MANIFEST
@strategy_option(
    "The SDK's strategy that writes it; an endpoint may allow some only.  "
    "[default: the one it was registered with, or DillCode]"
)
@click.option("--name", help="What to call it in the manifest.  [default: the function's name]")
@click.option("--description", help="What the service says of it.  [default: its docstring]")
@click.option("--public", is_flag=True, help="Let anyone run it.")
@click.option("--group", metavar="ID", help="Let the members of a Globus group run it.")
@click.option("--again", is_flag=True, help="Register it even if it did not change.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@AS_JSON
def register(
    targets: tuple[str, ...], manifest: Path, name: str | None, *, as_json: bool, **options: Any
) -> None:
    """Register functions, once for each version.

    A function whose source did not change keeps its id.
    """
    from gc_warm.client.registry import FunctionRegistry

    if name is not None and len(targets) > 1:
        raise UsageError("--name is for one function, and there are several.")
    registry = FunctionRegistry(manifest)
    functions = [(target, find_self_contained(target)) for target in targets]
    done = []
    try:
        for target, function in functions:
            done.append(registry.register(function, name=name, **options))
            if not as_json:
                click.echo(_line(target, done[-1], dry_run=options["dry_run"]))
    finally:  # those before one that fails are registered
        if as_json:
            click.echo(json.dumps([_as_dict(each) for each in done], indent=2))


def _line(target: str, done: Registration, *, dry_run: bool) -> str:
    if dry_run:
        verb = "would be registered" if done.changed else "would stay"
    else:
        verb = "registered" if done.changed else "unchanged"
    return f"{target}: {verb}, because {done.reason}  {done.function_id}".rstrip()


def _as_dict(done: Registration) -> dict[str, Any]:
    entry = {"name": done.entry.name, **done.entry.as_dict()}
    return {**entry, "changed": done.changed, "reason": done.reason}
