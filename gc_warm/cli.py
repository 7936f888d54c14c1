"""The command line: ``gc-warm``."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gc_warm import __version__
from gc_warm.commands import check, doctor, functions, register, serve
from gc_warm.commands.arguments import find_self_contained, parse_json
from gc_warm.errors import GcWarmError, UsageError

if TYPE_CHECKING:
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


for command in (check, doctor, functions, register, serve):
    commands.add_command(command)


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
@click.option(
    "--service",
    is_flag=True,
    help="By the SDK's own executor, and a real endpoint on a local service.",
)
@click.option(
    "--endpoint-config",
    default="laptop",
    show_default=True,
    metavar="DIR",
    help="With --service: the endpoint's folder, or the name of a sample.",
)
@click.option(
    "--options",
    "options_json",
    metavar="JSON",
    help="With --service: the user_endpoint_config.  [default: how many workers]",
)
@click.option("--amqp", metavar="URL", help="With --service: use this RabbitMQ.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def run(  # noqa: PLR0917  (click passes all by name)
    function: str,
    args_json: str,
    kwargs_json: str,
    times: int,
    workers: int,
    endpoint_config: str,
    options_json: str | None,
    amqp: str | None,
    *,
    service: bool,
    as_json: bool,
) -> int:
    r"""Run a self-contained function offline, in warm worker processes.

    \b
    For example:
        gc-warm run gc_warm.functions.counter:increase_count --times 5
        gc-warm run gc_warm.functions.counter:increase_count --times 5 --service
        gc-warm run gc_warm.functions.filetype:identify --args '[["/etc/hosts"]]'
    """
    call = find_self_contained(function)
    args = parse_json("--args", args_json, list)
    kwargs = parse_json("--kwargs", kwargs_json, dict)
    from globus_compute_sdk.errors import TaskExecutionFailed

    chosen: Any
    if service:
        from gc_warm.commands.on_service import executor_on_service

        default = json.dumps({"workers": workers})
        options = parse_json("--options", options_json or default, dict)
        chosen = executor_on_service(endpoint_config, options, amqp=amqp)
    else:
        from gc_warm.local.executor import LocalExecutor

        chosen = LocalExecutor(workers=workers)
    with chosen as executor:
        futures = [executor.submit(call.receipted, *args, **kwargs) for _ in range(times)]
        try:
            calls = [future.result() for future in futures]
        except TaskExecutionFailed as error:
            executor.abandon()
            raise click.ClickException(f"the call failed on its worker.{error}") from None
        except BaseException:
            executor.abandon()
            raise
    if as_json:
        rows = [{"result": c.value, "receipt": c.receipt.as_dict()} for c in calls]
        click.echo(json.dumps(rows, indent=2, default=repr))
    else:
        _show_calls(calls)
    return 0


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


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--framing",
    default="json",
    show_default=True,
    metavar="NAME",
    help="One that is known: json, bc, gnuplot, octave, r, sqlite3 or uci.",
)
@click.option("--end", metavar="TEXT", help="A command that prints {token} and a newline.")
@click.option("--prompt", metavar="REGEX", help="The prompt, or the last line of an answer.")
@click.option("--start", default="", metavar="TEXT", help="What to send first.")
@click.option("--error", "error_pattern", metavar="REGEX", help="What an error looks like.")
@click.option("--stderr", "with_stderr", is_flag=True, help="Standard error is part of answers.")
@click.option("--echo", is_flag=True, help="The program repeats what it reads.")
@click.option("--pty", is_flag=True, help="Give it a terminal.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds for an answer.")
def program(  # noqa: PLR0917  (click passes all by name)
    command: tuple[str, ...],
    framing: str,
    end: str | None,
    prompt: str | None,
    start: str,
    error_pattern: str | None,
    timeout: float,
    *,
    with_stderr: bool,
    echo: bool,
    pty: bool,
) -> int:
    r"""Keep a program running; send it each line of standard input, and time the answers.

    \b
    For example:
        gc-warm program --framing bc -- bc -q
        gc-warm program --end 'disp("{token}")' --stderr -- octave-cli --quiet
    """
    from gc_warm.functions.program import FRAMINGS
    from gc_warm.worker.program.console import Prompt, Sentinel

    common = {"start": start, "error_pattern": error_pattern, "with_stderr": with_stderr}
    if end is not None:
        chosen: Any = Sentinel(end, prompt=prompt, echo=echo, **common)  # type: ignore[arg-type]
    elif prompt is not None:
        keep = prompt.endswith("\\n")
        chosen = Prompt(prompt, keep=keep, echo=echo, **common)  # type: ignore[arg-type]
    elif framing in FRAMINGS:
        chosen = FRAMINGS[framing]
    else:
        raise UsageError(f"--framing {framing} is none of {', '.join(FRAMINGS)}.")
    return _converse(command, chosen, timeout, pty=pty)


def _converse(command: tuple[str, ...], framing: Any, timeout: float, *, pty: bool) -> int:
    """Send each line of standard input to a program; return 1 if one was not answered."""
    from gc_warm.worker.program.framing import JsonLines
    from gc_warm.worker.program.process import WarmProcess

    failures = 0
    with WarmProcess(command, framing=framing, timeout=timeout, pty=pty) as process:
        begin = time.perf_counter()
        process.start()
        click.echo(f"started {process.command} in {_seconds(time.perf_counter() - begin)}")
        for line in click.get_text_stream("stdin"):
            text = line.rstrip("\n")
            begin = time.perf_counter()
            try:
                request = parse_json("a request", text, object) if framing == JsonLines() else text
                answer = process.call(request)
            except GcWarmError as error:
                answer = f"{type(error).__name__}: {error}"
                failures += 1
            seconds = _seconds(time.perf_counter() - begin)
            shown = answer.rstrip("\n") if isinstance(answer, str) else json.dumps(answer)
            click.echo(f"> {text}\n{shown}\n  [{seconds}]")
    return int(failures > 0)
