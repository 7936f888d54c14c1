"""The command line: ``gc-warm``."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gc_warm import __version__
from gc_warm.errors import GcWarmError, UsageError
from gc_warm.worker.task import SelfContained

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.demo import Report
    from gc_warm.worker.receipt import Receipted

SHOWN_TYPES = 20
SHOWN_SKIPPED = 10
INTERRUPTED = 130


def main() -> None:
    """Run the command line; exit with 0, 1 on failure, 2 on wrong usage, 130 on Ctrl-C."""
    try:
        code = commands.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        code = INTERRUPTED
    except GcWarmError as error:
        click.echo(f"Error: {error}", err=True)
        code = 2 if isinstance(error, UsageError) else 1
    sys.exit(code or 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gc-warm")
def commands() -> None:
    """Keep expensive state warm on Globus Compute workers."""


@commands.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def demo(path: Path | None, *, as_json: bool) -> int:
    """Identify every file under PATH with a model that each worker loads once.

    PATH is a folder or a file; by default the folder of Python's standard library.
    """
    if importlib.util.find_spec("magika") is None:
        raise click.ClickException("the demo needs its model: pip install 'gc-warm[demo]'")
    from gc_warm import demo as job

    report = job.Report()
    root = path.absolute() if path else job.standard_library()
    interrupted = False
    try:
        _identify(root, report)
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        click.echo(json.dumps({**report.as_dict(), "interrupted": interrupted}, indent=2))
    else:
        _show_report(root, report)
    if interrupted:
        raise KeyboardInterrupt
    return int(bool(report.skipped) and not report.workers)


def _identify(root: Path, report: Report) -> None:
    from gc_warm import demo as job

    paths = job.find_files(root, report)
    if not paths:
        return
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
    bar.disable = not console.is_terminal
    with bar:
        files = bar.add_task(f"{job.WORKERS} workers", total=len(paths))
        job.identify_files(paths, report, lambda: bar.advance(files))
        bar.add_task("cold calls in fresh workers", total=None)
        job.measure_cold_calls(report)


def _show_report(root: Path, report: Report) -> None:
    console = Console()
    click.echo(f"{report.files:,} {'file' if report.files == 1 else 'files'} under {root}")
    if report.types:
        console.print(_types_table(report))
    _show_skipped(report)
    if report.workers:
        click.echo("\nWhat warmth bought")
        console.print(_workers_table(report))
        _show_gain(report)


def _types_table(report: Report) -> Table:
    table = Table()
    table.add_column("type")
    table.add_column("files", justify="right")
    table.add_column("share", justify="right")
    shown = report.types.most_common(SHOWN_TYPES)
    others = len(report.types) - len(shown)
    if others:
        rest = report.files - sum(count for _, count in shown)
        shown.append((f"{others} other types", rest))
    for label, count in shown:
        table.add_row(label, f"{count:,}", f"{count / report.files:.1%}")
    return table


def _show_skipped(report: Report) -> None:
    if not report.skipped:
        return
    click.echo(f"{len(report.skipped):,} skipped:")
    for path, reason in report.skipped[:SHOWN_SKIPPED]:
        click.echo(f"  {path}: {reason}")
    if len(report.skipped) > SHOWN_SKIPPED:
        click.echo(f"  ... and {len(report.skipped) - SHOWN_SKIPPED:,} more; --json lists all.")


def _workers_table(report: Report) -> Table:
    table = Table()
    for column in ("worker", "tasks", "cold starts", "building", "median warm call"):
        table.add_column(column, justify="right")
    for pid, worker in sorted(report.workers.items()):
        figures = worker.as_dict()
        table.add_row(
            f"pid {pid}",
            f"{figures['tasks']:,}",
            str(worker.cold_starts),
            _seconds(worker.build_seconds),
            _seconds(figures["warm_seconds_median"]),
        )
    return table


def _show_gain(report: Report) -> None:
    from gc_warm.demo import median

    cold = median(report.cold_seconds)
    click.echo(f"{report.tasks:,} calls took {_seconds(report.seconds_spent)} of worker time.")
    if cold is None or report.speedup is None:
        return
    click.echo(
        f"A cold call takes {_seconds(cold)} (median of {len(report.cold_seconds)}, each measured "
        "in a fresh worker that was already running).\n"
        f"Cold every time, the same calls would take {_seconds(report.cold_estimate)}: "
        f"{report.speedup:.1f} times as long."
    )


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 0.001:  # noqa: PLR2004
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"  # noqa: PLR2004


@commands.command()
@click.argument("function", metavar="MODULE:FUNCTION")
@click.option("--args", "args_json", default="[]", metavar="JSON", help="Positional: a JSON list.")
@click.option("--kwargs", "kwargs_json", default="{}", metavar="JSON", help="By name: an object.")
@click.option("--times", default=1, type=click.IntRange(min=1), show_default=True)
@click.option("--workers", default=1, type=click.IntRange(min=1), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def run(
    function: str, args_json: str, kwargs_json: str, times: int, workers: int, *, as_json: bool
) -> int:
    r"""Run a self-contained function offline, in warm worker processes.

    \b
    For example:
        gc-warm run gc_warm.functions.counter:increase_count --times 5
        gc-warm run gc_warm.functions.filetype:identify --args '[["/etc/hosts"]]'
    """
    call = _find_function(function)
    args = _parse_json("--args", args_json, list)
    kwargs = _parse_json("--kwargs", kwargs_json, dict)
    from globus_compute_sdk.errors import TaskExecutionFailed

    from gc_warm.local.executor import LocalExecutor

    with LocalExecutor(workers=workers) as executor:
        futures = [executor.submit(call.receipted, *args, **kwargs) for _ in range(times)]
        try:
            calls = [future.result() for future in futures]
        except TaskExecutionFailed as error:
            executor.shutdown(cancel_futures=True)
            raise click.ClickException(f"the call failed on its worker.{error}") from None
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
    if as_json:
        rows = [{"result": c.value, "receipt": c.receipt.as_dict()} for c in calls]
        click.echo(json.dumps(rows, indent=2, default=repr))
    else:
        _show_calls(calls)
    return 0


@commands.command()
@click.argument("target", metavar="MODULE:FUNCTION")
@click.option("--run", "run_it", is_flag=True, help="Prove it with a real worker, too.")
@click.option("--args", "args_json", default="[]", metavar="JSON", help="For --run: a JSON list.")
@click.option("--kwargs", "kwargs_json", default="{}", metavar="JSON", help="For --run: an object.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(target: str, args_json: str, kwargs_json: str, *, run_it: bool, as_json: bool) -> int:
    r"""Say whether a function stays warm, for each serialization strategy, and why.

    \b
    For example:
        gc-warm check gc_warm.functions.counter:increase_count
        gc-warm check mylab.models:classify --run --args '["some text"]'

    The exit status is 1 if it is broken or cold under the default strategy.
    """
    return _check_function(target, args_json, kwargs_json, run_it=run_it, as_json=as_json)


def _check_function(
    target: str, args_json: str, kwargs_json: str, *, run_it: bool, as_json: bool
) -> int:
    from gc_warm.checks.functions import check_function, observe

    function = _import_function(target)
    findings = check_function(function)
    measured: dict[str, tuple[str, str]] = {}
    if run_it:
        from gc_warm.local.executor import LocalExecutor

        args = _parse_json("--args", args_json, list)
        kwargs = _parse_json("--kwargs", kwargs_json, dict)
        with LocalExecutor(workers=1) as executor:
            measured.update(observe(function, executor.submit, *args, **kwargs))
    rows = []
    for each in findings:
        verdict, reason = measured.get(each.strategy, ("", ""))
        rows.append({**asdict(each), "measured": verdict, "measured_reason": reason})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _show_findings(rows, with_measured=run_it)
    return int(rows[0]["verdict"] != "WARM")


def _show_findings(rows: list[dict[str, str]], *, with_measured: bool) -> None:
    table = Table()
    columns = ["strategy", "verdict", *(["measured"] if with_measured else []), "reason"]
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(row[column]) for column in columns))
    Console().print(table)
    for fix in dict.fromkeys(row["fix"] for row in rows if row["fix"]):
        click.echo(f"To keep it warm: {fix}")


def _show_calls(calls: list[Receipted[Any]]) -> None:
    table = Table()
    for column in ("call", "worker", "took", "cold starts", "hits"):
        table.add_column(column, justify="right")
    table.add_column("result", overflow="fold")
    for number, call in enumerate(calls, start=1):
        receipt = call.receipt
        cold = f"{receipt.cold_starts} ({_seconds(receipt.build_seconds)})"
        table.add_row(
            str(number),
            f"pid {receipt.pid}",
            _seconds(receipt.seconds),
            cold if receipt.cold_starts else "0",
            str(receipt.hits),
            escape(repr(call.value)),
        )
    Console().print(table)


def _find_function(path: str) -> SelfContained[..., Any]:
    found = _import_function(path)
    if not isinstance(found, SelfContained):
        raise UsageError(f"{path} is not self-contained: put @self_contained above it.")
    return found


def _import_function(path: str) -> Callable[..., Any]:
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise UsageError(f"{path!r} is no MODULE:FUNCTION, such as mylab.models:classify.")
    sys.path.insert(0, str(Path.cwd()))  # as "python -m" does
    try:
        found = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise UsageError(f"Cannot import {module_name!r}: {error}.") from error
    except AttributeError as error:
        raise UsageError(f"Cannot find {name!r}: {error}.") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"Cannot import {module_name!r}: {reason}.") from error
    if not callable(found):
        raise UsageError(f"{path} is no function, but {found!r}.")
    return cast("Callable[..., Any]", found)


def _parse_json(option: str, text: str, kind: type[list[Any] | dict[str, Any]]) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} is not JSON: {error}.") from error
    if not isinstance(value, kind):
        expected = "a list" if kind is list else "an object"
        raise UsageError(f"{option} must be {expected} in JSON, not {text}.")
    return value
