"""``gc-warm register`` and ``gc-warm functions``: what the service knows, and its manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gc_warm.commands.arguments import find_self_contained
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from gc_warm.client.registry import FunctionRegistry, Registration

MANIFEST = click.option(
    "--manifest",
    default="functions.json",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that remembers functions.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
NAMES = click.argument("names", metavar="[NAME]...", nargs=-1)


@click.command()
@click.argument("targets", metavar="MODULE:FUNCTION...", nargs=-1, required=True)
@MANIFEST
@click.option("--name", help="What to call it in the manifest.  [default: the function's name]")
@click.option("--description", help="What the service shall say of it.  [default: its docstring]")
@click.option("--public", is_flag=True, help="Let anyone run it.")
@click.option("--group", metavar="ID", help="Let the members of a Globus group run it.")
@click.option("--again", is_flag=True, help="Register it even if it did not change.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@AS_JSON
def register(
    targets: tuple[str, ...], manifest: Path, name: str | None, *, as_json: bool, **options: Any
) -> int:
    r"""Register self-contained functions, unless they are, with the same source.

    \b
    For example:
        gc-warm register gc_warm.functions.counter:increase_count --dry-run
    """
    from gc_warm.client.registry import FunctionRegistry

    if name and len(targets) > 1:
        raise UsageError("--name is for one function, and there are several.")
    registry = FunctionRegistry(manifest)
    functions = [(target, find_self_contained(target)) for target in targets]
    done = []
    for target, function in functions:
        done.append(registry.register(function, name=name, **options))
        if not as_json:
            click.echo(_line(target, done[-1], dry_run=options["dry_run"]))
    if as_json:
        click.echo(json.dumps([_as_dict(each) for each in done], indent=2))
    return 0


def _line(target: str, done: Registration, *, dry_run: bool) -> str:
    if dry_run:
        verb = "would be registered" if done.changed else "would stay"
    else:
        verb = "registered" if done.changed else "unchanged"
    return f"{target}: {verb}, because {done.reason}  {done.function_id}".rstrip()


def _as_dict(done: Registration) -> dict[str, Any]:
    entry = {"name": done.entry.name, **done.entry.as_dict()}
    return {**entry, "changed": done.changed, "reason": done.reason}


@click.group()
def functions() -> None:
    """Look at the functions that a manifest remembers."""


def _registry(manifest: Path) -> FunctionRegistry:
    from gc_warm.client.registry import FunctionRegistry

    return FunctionRegistry(manifest)


@functions.command(name="list")
@MANIFEST
@AS_JSON
def list_functions(manifest: Path, *, as_json: bool) -> int:
    """List them, with their ids."""
    entries = _registry(manifest).entries()
    if as_json:
        click.echo(json.dumps({n: e.as_dict() for n, e in entries.items()}, indent=2))
        return 0
    for name, entry in entries.items():
        old = f"  ({len(entry.history)} older)" if entry.history else ""
        click.echo(f"{entry.current.id}  {name}  {entry.target}{old}")
    return 0


@functions.command()
@click.argument("name")
@MANIFEST
@click.option("--verify", is_flag=True, help="Ask the service whether it still knows it.")
def show(name: str, manifest: Path, *, verify: bool) -> int:
    """Show all that is remembered of one."""
    registry = _registry(manifest)
    click.echo(json.dumps({"name": name, **registry[name].as_dict()}, indent=2))
    if verify:
        registry.verify([name])
    return 0


@functions.command()
@NAMES
@MANIFEST
@click.option("--keep", default=0, type=click.IntRange(min=0), help="How many old versions.")
@click.option("--delete", is_flag=True, help="Delete them from the service, too.")
def prune(names: tuple[str, ...], manifest: Path, keep: int, *, delete: bool) -> int:
    """Forget old versions."""
    for version in _registry(manifest).prune(names, keep=keep, delete=delete):
        click.echo(f"{version.id}  {'deleted' if delete else 'forgotten'}")
    return 0


@functions.command()
@NAMES
@MANIFEST
def allow(names: tuple[str, ...], manifest: Path) -> int:
    """Print the block of an endpoint's config.yaml that allows them, and no others."""
    click.echo(_registry(manifest).allowed_functions(names))
    return 0
