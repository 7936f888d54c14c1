"""``gc-warm node``: what the processes of this node share."""

from __future__ import annotations

import json
import time

import click

from gc_warm.commands.shared.arguments import AS_JSON
from gc_warm.commands.shared.command import Exit
from gc_warm.commands.shared.show import printable
from gc_warm.errors import UsageError
from gc_warm.units import amount, duration
from gc_warm.worker.node import place
from gc_warm.worker.node.stats import clear, node_stats


@click.group()
def node() -> None:
    """List and remove what this node's workers share.

    That is what @node_folder has filled for this user, where GC_WARM_NODE_DIR, the scheduler or
    TMPDIR says. In a job of its own, a scheduler may have another place.
    """


@node.command("path")
def path_() -> None:
    """Print where the folders are."""
    click.echo(place.path())


@node.command("list")
@AS_JSON
def list_(*, as_json: bool) -> None:
    """List the folders, and what is being filled now."""
    found = node_stats()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for each in found["folders"]:
        use = "in use" if each["in_use"] else f"used {_since(each['used'])} ago"
        size = amount(each["bytes"] or 0)
        click.echo(f"{printable(_call(each))}: {size}, {use}\n    {printable(each['path'])}")
    for each in found["building"]:
        what = each.get("what", "something")
        who = f"process {each['pid']} for {_since(each['since'])}" if each else "an unknown process"
        click.echo(f"{printable(what)}: being filled by {who}")
    if not found["folders"] and not found["building"]:
        click.echo(f"Nothing in {found['place']}.")


@node.command("clear")
@click.argument("initialiser", required=False)
def clear_(initialiser: str | None) -> int:
    """Remove the folders that nobody uses.

    With INITIALISER, as `list` names it: only its folders.

    Exits with 1 if some are in use, and stay; with 2 if there are none of that name.
    """
    known = {each["initialiser"] for each in node_stats()["folders"]}
    if initialiser and initialiser not in known:
        names = ", ".join(sorted(printable(each) for each in known if each)) or "none"
        raise UsageError(f"No folder here is of {printable(initialiser)!r}. There are: {names}.")
    removed = clear(initialiser)
    left = sum(initialiser in {None, each["initialiser"]} for each in node_stats()["folders"])
    click.echo(f"Removed {removed}." + (f" In use: {left}." if left else ""))
    return Exit.FAILED if left else Exit.OK


def _call(folder: dict[str, object]) -> str:
    if folder["initialiser"] is None:
        return "something that cannot be read"
    return f"{folder['initialiser']}({folder['arguments']})"


def _since(then: float) -> str:
    return duration(max(1, round(time.time() - then)))
