"""``gc-warm run``: call a function offline, in warm workers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gc_warm.commands.shared.arguments import (
    ARGS,
    AS_JSON,
    KWARGS,
    TIMES,
    find_self_contained,
    options_option,
    parse_arguments,
    parse_value,
)
from gc_warm.commands.shared.command import Command, Exit
from gc_warm.commands.shared.show import KEPT, as_json_text, printable, shown
from gc_warm.units import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm.local.executor import LocalExecutor
    from gc_warm.worker.receipt import Receipted


@click.command(
    cls=Command,
    examples=[
        "gc-warm run gc_warm.functions.counter:increase_count --times 5",
        "gc-warm run gc_warm.functions.counter:increase_count --times 5 --service",
        "gc-warm run gc_warm.functions.filetype:identify --args '[[\"/etc/hosts\"]]'",
        "gc-warm run mylab.models:classify --args @arguments.json",
    ],
)
@click.argument("target", metavar="MODULE:FUNCTION")
@ARGS
@KWARGS
@TIMES
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
@options_option("With --service: the user_endpoint_config.  [default: how many workers]")
@click.option("--amqp", metavar="URL", help="With --service: use this RabbitMQ.")
@click.option("--output", metavar="FOLDER", help="Keep what workers print, a file for each.")
@click.option("--quiet", is_flag=True, help="Do not show on standard error what they print.")
@AS_JSON
def run(  # noqa: PLR0917  (click passes all by name)
    target: str,
    args_text: str,
    kwargs_text: str,
    times: int,
    workers: int,
    endpoint_config: str,
    options_text: str | None,
    amqp: str | None,
    *,
    service: bool,
    output: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Call a function offline, in warm worker processes."""
    function = find_self_contained(target)
    args, kwargs = parse_arguments(args_text, kwargs_text)
    from globus_compute_sdk.errors import TaskExecutionFailed

    chosen: Any
    if service:
        from gc_warm.commands.shared.on_service import executor_on_service

        options = {"workers": workers}
        if options_text is not None:
            options = parse_value("--options", options_text, dict)
        chosen = executor_on_service(endpoint_config, options, amqp=amqp)
    else:
        chosen = _own_workers(workers, output=not quiet if output is None else output)
    try:
        with chosen as executor:
            futures = [executor.submit(function.receipted, *args, **kwargs) for _ in range(times)]
            calls = [future.result() for future in futures]
    except TaskExecutionFailed as error:
        raise failed_call(error) from None
    show_calls(calls, as_json=as_json)
    return Exit.OK


@contextmanager
def _own_workers(count: int, *, output: bool | str) -> Iterator[LocalExecutor]:
    from gc_warm.local.executor import LocalExecutor

    with LocalExecutor(workers=count, output=output) as executor:
        try:
            yield executor
        except BaseException:
            executor.abandon()
            raise


def failed_call(error: Exception) -> click.ClickException:
    """Return what says that a worker raised an error, with its traceback."""
    told = "\n".join([str(error), *getattr(error, "__notes__", ())])
    return click.ClickException(f"the call failed on its worker.{printable(told, KEPT)}")


def show_calls(calls: list[Receipted[Any]], *, as_json: bool) -> None:
    """Print the results of calls, and what each cost and where."""
    if as_json:
        rows = [{"result": each.value, "receipt": each.receipt.as_dict()} for each in calls]
        click.echo(as_json_text(rows))
        return
    table = Table()
    for column in ("call", "worker", "took", "cold starts", "hits"):
        table.add_column(column, justify="right")
    table.add_column("result", overflow="fold")
    for number, call in enumerate(calls, start=1):
        receipt = call.receipt
        cold = f"{receipt.cold_starts} ({duration(receipt.build_seconds)})"
        table.add_row(
            str(number),
            f"pid {receipt.pid}",
            duration(receipt.seconds),
            cold if receipt.cold_starts else "0",
            str(receipt.hits),
            escape(shown(call.value)),
        )
    Console().print(table)
