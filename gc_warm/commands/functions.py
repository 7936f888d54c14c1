"""``gc-warm functions``: what a manifest remembers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gc_warm.commands.shared.arguments import AS_JSON, MANIFEST, complete_names
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from gc_warm.client.registry import FunctionRegistry

NAMES = click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_names)


@click.group()
def functions() -> None:
    """List, show, allow or prune registered functions."""


def _registry(manifest: Path) -> FunctionRegistry:
    """Return the functions of a manifest, which must be there to be looked at."""
    from gc_warm.client.registry import FunctionRegistry

    registry = FunctionRegistry(manifest)
    if not registry.exists():
        raise UsageError(
            f"There is no {manifest}. gc-warm register makes it; --manifest names another."
        )
    return registry


@functions.command(name="list")
@MANIFEST
@AS_JSON
def list_functions(manifest: Path, *, as_json: bool) -> None:
    """List registered functions, with their ids."""
    entries = _registry(manifest).entries()
    if as_json:
        click.echo(json.dumps({n: e.as_dict() for n, e in entries.items()}, indent=2))
        return
    for name, entry in entries.items():
        old = f"  ({len(entry.history)} older)" if entry.history else ""
        click.echo(f"{entry.current.id}  {name}  {entry.target}  {entry.current.strategy}{old}")
    if not entries:
        click.echo(f"{manifest} has no functions.", err=True)


@functions.command()
@click.argument("name", shell_complete=complete_names)
@MANIFEST
@click.option("--verify", is_flag=True, help="Ask the service whether it still knows it.")
def show(name: str, manifest: Path, *, verify: bool) -> None:
    """Show all that is remembered of a function."""
    registry = _registry(manifest)
    click.echo(json.dumps({"name": name, **registry[name].as_dict()}, indent=2))
    if verify:
        registry.verify([name])


@functions.command()
@NAMES
@MANIFEST
@click.option("--keep", default=0, type=click.IntRange(min=0), help="How many old versions.")
@click.option("--delete", is_flag=True, help="Delete them from the service, too.")
def prune(names: tuple[str, ...], manifest: Path, keep: int, *, delete: bool) -> None:
    """Forget old versions of functions."""
    for version in _registry(manifest).prune(names, keep=keep, delete=delete):
        click.echo(f"{version.id}  {'deleted' if delete else 'forgotten'}")


@functions.command()
@NAMES
@MANIFEST
@click.option(
    "--endpoint-config",
    metavar="DIR",
    help="Make sure that the allowed_serializers of this folder or template allow them, too.",
)
def allow(names: tuple[str, ...], manifest: Path, endpoint_config: str | None) -> None:
    """Print an endpoint's allowed_functions.

    That is what its config.yaml needs in order to allow these functions alone.
    """
    registry = _registry(manifest)
    if endpoint_config is not None:
        from gc_warm.client.strategies import require_allowed

        chosen = {name: registry[name].current.strategy for name in names or registry.entries()}
        require_allowed(chosen, Path(endpoint_config))
    click.echo(registry.allowed_functions(names))
