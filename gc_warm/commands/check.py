"""``gc-warm check``: will it stay warm?"""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gc_warm.commands.arguments import find_callable, parse_json
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from gc_warm.checks.endpoint import Needs
    from gc_warm.checks.finding import Finding

# Which options go with what is checked.
_OF_ENDPOINTS = {"options_json", "pause", "build_seconds", "state_gb"}
_OF_FUNCTIONS = {"run_it", "args_json", "kwargs_json"}


@click.command()
@click.argument("target", metavar="PATH|MODULE:FUNCTION")
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
@click.option("--run", "run_it", is_flag=True, help="Prove it for a function, with real workers.")
@click.option("--args", "args_json", default="[]", metavar="JSON", help="For --run: a JSON list.")
@click.option("--kwargs", "kwargs_json", default="{}", metavar="JSON", help="For --run: an object.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(context: click.Context, /, target: str, *, as_json: bool, **options: Any) -> int:
    r"""Say what would make an endpoint's workers cold, or whether a function stays warm.

    PATH is an endpoint's folder, a template, a rendered YAML or a config.py. Of a function, it is
    said for each serialization strategy.

    \b
    For example:
        gc-warm check endpoint_configs/laptop
        gc-warm check ~/.globus_compute/default --state-gb 14 --build-seconds 90
        gc-warm check gc_warm.functions.counter:increase_count --run

    Exits with 1 if anything is found, or if the function is cold or broken under the default
    strategy; with 2 if there is nothing to check.
    """
    of_endpoint = is_path(target)
    _refuse_options(context, _OF_FUNCTIONS if of_endpoint else _OF_ENDPOINTS, target)
    if not of_endpoint:
        args = parse_json("--args", options["args_json"], list)
        kwargs = parse_json("--kwargs", options["kwargs_json"], dict)
        return _check_function(target, args, kwargs, run_it=options["run_it"], as_json=as_json)
    if not Path(target).exists():
        raise UsageError(f"There is no {target}.")
    if importlib.util.find_spec("globus_compute_endpoint") is None:
        raise click.ClickException(
            "configs are loaded with the endpoint's own code: pip install 'gc-warm[endpoint]'"
        )
    from gc_warm.checks.endpoint import Needs

    given = options["options_json"]
    template_options = None if given is None else parse_json("--options", given, dict)
    needs = Needs(**{name: options[name] for name in ("pause", "build_seconds", "state_gb")})
    return _check_endpoint(Path(target), template_options, needs, as_json=as_json)


def _refuse_options(context: click.Context, wrong: set[str], target: str) -> None:
    for option in context.command.params:
        name = str(option.name)
        if name in wrong and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            kind = "an endpoint" if wrong is _OF_FUNCTIONS else "a function"
            raise UsageError(f"{option.opts[0]} does not go with {target}, which is {kind}.")


def _check_endpoint(
    path: Path, options: dict[str, Any] | None, needs: Needs, *, as_json: bool
) -> int:
    from gc_warm.checks.endpoint import check_endpoint

    findings = check_endpoint(path, options=options, needs=needs)
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        show(findings)
    return int(any(finding.severity != "note" for finding in findings))


def _check_function(
    target: str, args: list[Any], kwargs: dict[str, Any], *, run_it: bool, as_json: bool
) -> int:
    from gc_warm.checks.functions import check_function, observe

    function = find_callable(target)
    predictions = check_function(function)
    measured: dict[str, tuple[str, str]] = {}
    if run_it:
        from gc_warm.local.executor import LocalExecutor

        with LocalExecutor(workers=1) as executor:
            measured.update(observe(function, executor.submit, *args, **kwargs))
    rows = []
    for each in predictions:
        verdict, reason = measured.get(each.strategy, ("", ""))
        rows.append({**asdict(each), "measured": verdict, "measured_reason": reason})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _show_predictions(rows, with_measured=run_it)
    return int(rows[0]["verdict"] != "WARM")


def _show_predictions(rows: list[dict[str, str]], *, with_measured: bool) -> None:
    table = Table(show_lines=True)
    columns = ["verdict", *(["measured"] if with_measured else []), "reason"]
    for column in ("strategy", *columns):
        table.add_column(column, overflow="fold")
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        alike.setdefault(tuple(row[column] for column in columns), []).append(row["strategy"])
    for texts, strategies in alike.items():
        name = "any" if len(alike) == 1 else "\n".join(strategies)
        table.add_row(name, *map(escape, texts))
    Console().print(table)
    for fix in dict.fromkeys(row["fix"] for row in rows if row["fix"]):
        click.echo(f"To keep it warm: {fix}")


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
