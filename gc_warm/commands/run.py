"""``gc-warm run``: call a function offline, in warm workers."""

from __future__ import annotations

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
    parse_arguments,
    parse_value,
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
@click.option("--logs", metavar="FOLDER", help="Keep what workers print, a file for each.")
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
    logs: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Call a function on this machine, in warm workers."""
    function = find_self_contained(target)
    args, kwargs = parse_arguments(args_text, kwargs_text)
    chosen: Any
    if service:
        from gc_warm.commands.shared.on_service import executor_on_service

        options = {"workers": workers}
        if options_text is not None:
            options = parse_value("--options", options_text, dict)
        chosen = executor_on_service(endpoint_config, options, amqp=amqp)
    else:
        chosen = _own_workers(workers, output=not quiet if logs is None else logs)
    with chosen as executor:
        futures = [executor.submit(function.receipted, *args, **kwargs) for _ in range(times)]
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
