"""``gc-warm run``: call a function offline, in warm workers."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from gc_warm.commands.shared.arguments import (
    ARGS,
    AS_JSON,
    KWARGS,
    TIMES,
    find_self_contained,
    options_option,
)
from gc_warm.commands.shared.calls import outcome, show_calls
from gc_warm.commands.shared.command import Command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm.local.executor import LocalExecutor


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
@click.option("--workers", default=1, type=click.IntRange(min=1), help="How many processes.")
@click.option("--service", is_flag=True, help="On a real endpoint, on this machine's own service.")
@click.option(
    "--endpoint-config",
    default="laptop",
    metavar="DIR",
    help="With --service: the endpoint's folder, or the name of a sample.",
)
@options_option("With --service: the user_endpoint_config.  [default: how many workers]")
@click.option("--amqp", metavar="URL", help="With --service: use this RabbitMQ.")
@click.option("--logs", metavar="FOLDER", help="Keep what workers print, a file for each.")
@click.option("--quiet", is_flag=True, help="Do not show on standard error what they print.")
@AS_JSON
def run(target: str, times: int, workers: int, *, as_json: bool, **options: Any) -> int:
    """Call a function on this machine, in warm workers."""
    function = find_self_contained(target)
    chosen: Any
    if options["service"]:
        from gc_warm.commands.shared.on_service import executor_on_service

        config = {"workers": workers} if options["options"] is None else options["options"]
        chosen = executor_on_service(options["endpoint_config"], config, amqp=options["amqp"])
    else:
        chosen = _own_workers(workers, output=options["logs"] or not options["quiet"])
    with chosen as executor:
        send = functools.partial(executor.submit, function.receipted)
        futures = [send(*options["args"], **options["kwargs"]) for _ in range(times)]
        outcomes = [outcome(each) for each in futures]
    return show_calls(outcomes, as_json=as_json)


@contextmanager
def _own_workers(count: int, *, output: bool | str) -> Iterator[LocalExecutor]:
    from gc_warm.local.executor import LocalExecutor

    with LocalExecutor(workers=count, output=output) as executor:
        try:
            yield executor
        except BaseException:
            executor.abandon()
            raise
