"""``gc-warm doctor``: whether scripts reach warm workers, and if not, why."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gc_warm.commands.shared.arguments import AS_JSON, SECONDS, find_self_contained, options_option
from gc_warm.commands.shared.command import Command, Exit
from gc_warm.commands.shared.show import printable

if TYPE_CHECKING:
    from uuid import UUID

    from gc_warm.client.trial import Check

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    cls=Command,
    examples=[
        "gc-warm doctor",
        "gc-warm doctor --endpoint 4b116d3c-1703-4f8f-9f6f-39921e5864df --timeout 600",
    ],
)
@click.option("--endpoint", "endpoint_id", type=click.UUID, metavar="ID", help="Try this one.")
@options_option("The user_endpoint_config to try it with.")
@click.option(
    "--tasks", default=20, type=click.IntRange(2, 1000), help="How many tasks to try it with."
)
@click.option("--timeout", default=120.0, type=SECONDS, help="Seconds the first task may take.")
@AS_JSON
def doctor(
    endpoint_id: UUID | None,
    options: dict[str, Any] | None,
    tasks: int,
    timeout: float,
    *,
    as_json: bool,
) -> int:
    """Find what keeps a script from warm workers.

    It looks at what is installed, the credentials, the service, and your endpoints. With --endpoint
    also at whether that one is online, and at its workers, by a few tasks. It says what to do.

    Exits with 1 if something fails.
    """
    from gc_warm.client.doctor import examine
    from gc_warm.client.trial import Examination

    examination = Examination(
        probe=find_self_contained("gc_warm.functions.probe:probe"),
        count=find_self_contained("gc_warm.functions.counter:increase_count"),
        endpoint_id=endpoint_id,
        user_endpoint_config=options,
        tasks=tasks,
        timeout=timeout,
    )
    found = []
    for check in examine(examination):
        found.append(check)
        if not as_json:
            _show(check)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in found], indent=2))
    else:
        click.echo(_sum_up(found))
    return Exit.FAILED if any(check.status == "fail" for check in found) else Exit.OK


def _show(check: Check) -> None:
    status = click.style(f"{check.status:4}", fg=_COLOURS[check.status])
    click.echo(f"{status}  {check.name}: {printable(check.message)}")
    if check.fix:
        click.echo(f"      {printable(check.fix)}")


def _sum_up(found: list[Check]) -> str:
    failed = [check.name for check in found if check.status == "fail"]
    doubtful = [check.name for check in found if check.status == "warn"]
    if failed:
        return f"Failed: {', '.join(failed)}."
    if doubtful:
        return f"It works; look at: {', '.join(doubtful)}."
    return "All is well."
