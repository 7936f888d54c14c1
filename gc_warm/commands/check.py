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

from gc_warm.client.strategies import DEFAULT_CODE, require_code
from gc_warm.commands.shared.arguments import (
    ARGS,
    AS_JSON,
    KWARGS,
    MANIFEST,
    NO_FUNCTION,
    find_callable,
    options_option,
    strategy_option,
)
from gc_warm.commands.shared.command import Command, Exit
from gc_warm.commands.shared.show import printable, show_table
from gc_warm.errors import UsageError
from gc_warm.units import counted

if TYPE_CHECKING:
    from gc_warm.checks.rules.rule import Finding

# Which options go with what is checked.
_OF_ENDPOINTS = {"options", "pause", "build_seconds", "state_gb", "no_exec"}
_OF_FUNCTIONS = {"run_it", "args", "kwargs", "strategy", "manifest"}


@click.command(
    cls=Command,
    examples=[
        "gc-warm check endpoint_configs/laptop",
        "gc-warm check ~/.globus_compute/default --state-gb 14 --build-seconds 90",
        "gc-warm check gc_warm.functions.counter:increase_count --run",
    ],
)
@click.argument("target", metavar="PATH|MODULE:FUNCTION")
@options_option("What a user gives to a template.")
@click.option(
    "--pause",
    default=3600.0,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="The longest pause after which workers must still be warm.",
)
@click.option(
    "--build-seconds",
    default=180.0,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long building the state takes.",
)
@click.option(
    "--state-gb",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GB",
    help="How much memory a state needs.",
)
@click.option(
    "--no-exec", is_flag=True, help="Run no config.py and render no template; less is checked."
)
@click.option("--run", "run_it", is_flag=True, help="Prove it for a function, with real workers.")
@ARGS
@KWARGS
@strategy_option(
    "What a function is judged by.  [default: the one it is registered with, or DillCode]"
)
@MANIFEST
@AS_JSON
@click.pass_context
def check(context: click.Context, /, target: str, *, as_json: bool, **options: Any) -> int:
    """Check whether an endpoint or a function stays warm.

    PATH is an endpoint's folder, a template, a rendered YAML or a config.py. A function is checked
    for each serialization strategy; --args and --kwargs are for --run.

    A config.py is run, and a template is rendered, in a separate process with limits. It opens no
    connection, asks no scheduler and creates no cloud resource, but a config.py may start programs.
    Use --no-exec for what you do not trust.

    Exits with 1 if anything is found, or if the function is cold or broken under the strategy that
    it is judged by; with 2 if there is nothing to check.
    """
    of_endpoint = is_path(target)
    _refuse_options(context, _OF_FUNCTIONS if of_endpoint else _OF_ENDPOINTS, target)
    if not of_endpoint:
        return _check_function(target, as_json=as_json, **{n: options[n] for n in _OF_FUNCTIONS})
    _require_config(target)
    from gc_warm.checks.endpoint import Needs, check_endpoint

    needs = Needs(**{name: options[name] for name in ("pause", "build_seconds", "state_gb")})
    findings = check_endpoint(
        Path(target), options=options["options"], needs=needs, execute=not options["no_exec"]
    )
    return _show_findings(findings, as_json=as_json)


def is_path(target: str) -> bool:
    """Return whether a target is a file or a folder, rather than MODULE:FUNCTION."""
    if os.path.exists(target) or ":" not in target:  # noqa: PTH110  (may be too long)
        return True
    return os.sep in target and ".py:" not in target


def _refuse_options(context: click.Context, wrong: set[str], target: str) -> None:
    for option in context.command.params:
        name = str(option.name)
        if name in wrong and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            kind = "an endpoint" if wrong is _OF_FUNCTIONS else "a function"
            raise UsageError(f"{option.opts[0]} does not go with {target}, which is {kind}.")


def _require_config(target: str) -> None:
    path = Path(target)
    if not os.path.exists(target):  # noqa: PTH110  (a name may be too long for Path.exists)
        raise UsageError(f"There is no file or folder {target!r}, and {NO_FUNCTION.format(target)}")
    if path.suffix == ".py" and path.name != "config.py":
        raise UsageError(
            f"{target} is not an endpoint's config.py. To check a function in it, name that: "
            f"MODULE:FUNCTION, such as {path.stem}:classify."
        )
    if importlib.util.find_spec("globus_compute_endpoint") is None:
        raise click.ClickException(
            "configs are loaded with the endpoint's own code: pip install 'gc-warm[endpoint]'"
        )


def _show_findings(findings: list[Finding], *, as_json: bool) -> int:
    count = sum(finding.severity != "note" for finding in findings)
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
        return Exit.FAILED if count else Exit.OK
    for finding in findings:  # as compilers do
        click.echo(f"{printable(str(finding))}\n    {printable(finding.fix)}")
    if count:
        click.echo(f"{counted(count, 'finding')}.")
    elif findings:
        click.echo("Nothing else found, as far as it could be checked here.")
    else:
        click.echo("Nothing found: its workers stay warm.")
    return Exit.FAILED if count else Exit.OK


def _check_function(
    target: str,
    *,
    args: list[Any],
    kwargs: dict[str, Any],
    strategy: str | None,
    manifest: Path,
    run_it: bool,
    as_json: bool,
) -> int:
    from gc_warm.checks.functions import check_function

    function = find_callable(target)
    registered = _registered(target, manifest)
    judged = {strategy} if strategy else set(registered.values()) or {DEFAULT_CODE}
    predictions = check_function(function)
    measured: dict[str, tuple[str, str]] = {}
    if run_it:
        from gc_warm.checks.measuring import observe
        from gc_warm.local.executor import LocalExecutor

        with LocalExecutor(workers=1, output=False) as executor:
            measured.update(observe(function, executor.submit, *args, **kwargs))
    rows = []
    for each in predictions:
        verdict, reason = measured.get(each.strategy, ("", ""))
        rows.append({**asdict(each), "measured": verdict, "measured_reason": reason})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _show_predictions(rows, with_measured=run_it)
        for name, written_by in registered.items():
            click.echo(f"Registered as {name}, written by {written_by}.")
    final = {row["strategy"]: row["measured"] or row["verdict"] for row in rows}
    return Exit.OK if all(final[each] == "WARM" for each in judged) else Exit.FAILED


def _registered(target: str, manifest: Path) -> dict[str, str]:
    """Return the names under which a manifest has a function, each with what wrote it."""
    from gc_warm.client.registry import FunctionRegistry

    entries = FunctionRegistry(manifest).entries()
    found = {n: e.current.strategy for n, e in entries.items() if e.target == target}
    for each in found.values():
        require_code(each)
    return found


def _show_predictions(rows: list[dict[str, str]], *, with_measured: bool) -> None:
    columns = ["verdict", *(["measured"] if with_measured else []), "reason"]
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        texts = (*(row[column] for column in columns[:-1]), _reason(row))
        alike.setdefault(texts, []).append(row["strategy"])
    headings = ("strategy", *columns)
    cells = (
        ("any" if len(alike) == 1 else "\n".join(strategies), *texts)
        for texts, strategies in alike.items()
    )
    show_table(headings, cells, left=headings, lines=True)
    for fix in dict.fromkeys(row["fix"] for row in rows if row["fix"]):
        click.echo(f"To keep it warm: {fix}")
    for note in dict.fromkeys(row["note"] for row in rows if row["note"]):
        click.echo(f"Note: {note}")


def _reason(row: dict[str, str]) -> str:
    """Return why: of a measurement too, where it is another verdict, or went wrong."""
    if row["measured"] == "BROKEN" or row["measured"] not in {"", row["verdict"]}:
        return f"{row['reason']}\nmeasured: {row['measured_reason']}"
    return row["reason"]
