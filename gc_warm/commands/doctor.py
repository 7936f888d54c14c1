"""``gc-warm doctor``: whether scripts reach warm workers, and if not, why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gc_warm.commands.arguments import find_self_contained, parse_json
from gc_warm.commands.check import printable

if TYPE_CHECKING:
    from uuid import UUID

    from gc_warm.client.check import Check

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--endpoint", "endpoint_id", type=click.UUID, metavar="ID", help="Try this one.")
@click.option(
    "--options", "options_json", metavar="JSON", help="The user_endpoint_config to try it with."
)
@click.option(
    "--tasks",
    default=20,
    show_default=True,
    type=click.IntRange(2, 1000),
    help="How many tasks show what its workers are.",
)
@click.option(
    "--timeout",
    default=120.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds that the first task may take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(
    endpoint_id: UUID | None,
    options_json: str | None,
    tasks: int,
    timeout: float,
    *,
    as_json: bool,
) -> int:
    r"""Find out what is between a script and warm workers, and say what to change.

    Without --endpoint: what is installed, the credentials, the service, and which endpoints there
    are. With it, also whether it is online, and what a few tasks tell of its workers.

    \b
    For example:
        gc-warm doctor
        gc-warm doctor --endpoint 4b116d3c-1703-4f8f-9f6f-39921e5864df --timeout 600

    Exits with 1 if something fails.
    """
    from gc_warm.client.doctor import Examination

    examination = Examination(
        probe=find_self_contained("gc_warm.functions.probe:probe"),
        count=find_self_contained("gc_warm.functions.counter:increase_count"),
        endpoint_id=endpoint_id,
        user_endpoint_config=_config(options_json),
        tasks=tasks,
        timeout=timeout,
    )
    found = []
    for check in examination.run():
        found.append(check)
        if not as_json:
            _show(check)
    if as_json:
        click.echo(json.dumps([check.as_dict() for check in found], indent=2))
    else:
        click.echo(_sum_up(found))
    return int(any(check.status == "fail" for check in found))


def _config(options_json: str | None) -> dict[str, Any] | None:
    if options_json is None:
        return None
    config: dict[str, Any] = parse_json("--options", options_json, dict)
    return config


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
