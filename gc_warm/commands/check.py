"""``gc-warm check``: will it stay warm?"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from gc_warm.checks.finding import Finding


@click.command()
@click.argument("target", metavar="PATH")
@click.option("--options", "options_json", metavar="JSON", help="What a user gives to a template.")
@click.option(
    "--pause",
    default=3600.0,
    type=click.FloatRange(min=0),
    show_default=True,
    metavar="SECONDS",
    help="The longest pause that shall leave workers warm.",
)
@click.option(
    "--build-seconds",
    default=180.0,
    type=click.FloatRange(min=0),
    show_default=True,
    metavar="SECONDS",
    help="How long building the state takes.",
)
@click.option(
    "--state-gb",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GB",
    help="How much memory a state needs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(
    target: str,
    options_json: str | None,
    pause: float,
    build_seconds: float,
    state_gb: float | None,
    *,
    as_json: bool,
) -> int:
    r"""Say what would make an endpoint's workers cold, and what to change.

    PATH is an endpoint's folder, a template, a rendered YAML or a config.py. Exits with 1 if
    anything is found; with 2 if there is nothing to check.

    \b
    For example:
        gc-warm check endpoint_configs/laptop
        gc-warm check ~/.globus_compute/default --state-gb 14 --build-seconds 90
    """
    if not is_path(target):
        raise UsageError(f"There is no {target}.")
    if importlib.util.find_spec("globus_compute_endpoint") is None:
        raise click.ClickException(
            "configs are loaded with the endpoint's own code: pip install 'gc-warm[endpoint]'"
        )
    from gc_warm.checks.endpoint import Needs, check_endpoint

    needs = Needs(pause=pause, build_seconds=build_seconds, state_gb=state_gb)
    findings = check_endpoint(Path(target), options=_parse(options_json), needs=needs)
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        show(findings)
    return int(any(finding.severity != "note" for finding in findings))


def is_path(target: str) -> bool:
    """Say whether a target is a file or a folder, rather than MODULE:FUNCTION."""
    return Path(target).exists() or os.sep in target or ":" not in target


def show(findings: list[Finding]) -> None:
    """Print findings, as compilers do."""
    for finding in findings:
        click.echo(f"{printable(str(finding))}\n    {printable(finding.fix)}")
    count = sum(finding.severity != "note" for finding in findings)
    if count:
        click.echo(f"{count} {'finding' if count == 1 else 'findings'}.")
    elif findings:
        click.echo("Nothing else found, as far as it could be checked here.")
    else:
        click.echo("Nothing found: its workers stay warm.")


def printable(text: str) -> str:
    """Show characters that a terminal would obey, or cannot encode, by their code."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _parse(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        options = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--options is not JSON: {error}.") from error
    if not isinstance(options, dict):
        raise UsageError(f"--options must be an object in JSON, not {text}.")
    return options
