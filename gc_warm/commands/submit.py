"""``gc-warm submit``: call a function on an endpoint."""

from __future__ import annotations

from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

import click

from gc_warm.client.strategies import DATA_STRATEGIES, DEFAULT_CODE, DEFAULT_DATA
from gc_warm.commands.shared.arguments import (
    ARGS,
    AS_JSON,
    KWARGS,
    MANIFEST,
    SECONDS,
    TIMES,
    complete_names,
    find_self_contained,
    options_option,
    strategy_option,
)
from gc_warm.commands.shared.calls import outcome, show_calls
from gc_warm.commands.shared.command import Command
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from uuid import UUID


@click.command(
    cls=Command,
    examples=[
        "gc-warm submit gc_warm.functions.counter:increase_count --endpoint ID --times 3",
        "gc-warm submit increase_count --endpoint ID     # registered: its name in functions.json",
    ],
)
@click.argument("target", metavar="MODULE:FUNCTION|NAME", shell_complete=complete_names)
@click.option("--endpoint", "endpoint_id", type=click.UUID, metavar="ID", required=True)
@ARGS
@KWARGS
@TIMES
@options_option("The user_endpoint_config: what the endpoint's template takes.")
@strategy_option(f"The SDK's strategy that writes the function.  [default: {DEFAULT_CODE}]")
@click.option(
    "--data-strategy",
    type=click.Choice(DATA_STRATEGIES),
    default=DEFAULT_DATA,
    metavar="NAME",
    help="The one that writes its arguments.",
)
@MANIFEST
@click.option(
    "--timeout",
    type=SECONDS,
    help="Seconds to wait for all results.  [default: as long as it takes]",
)
@AS_JSON
def submit(
    target: str,
    endpoint_id: UUID,
    manifest: Path,
    timeout: float | None,
    *,
    as_json: bool,
    **options: Any,
) -> int:
    """Call a function on an endpoint.

    NAME is a function that `gc-warm register` has put into the manifest. It is called by its id,
    which is all that an endpoint with allowed_functions accepts.
    """
    send = _sender(target, manifest, options["strategy"])
    from globus_compute_sdk import Executor

    from gc_warm.client.abandoning import abandon
    from gc_warm.client.service import connect
    from gc_warm.client.strategies import serializer

    executor: Any = Executor(
        endpoint_id=str(endpoint_id),
        client=connect(),
        user_endpoint_config=options["options"],
        serializer=serializer(options["strategy"] or DEFAULT_CODE, options["data_strategy"]),
    )
    try:
        futures = [
            send(executor, options["args"], options["kwargs"]) for _ in range(options["times"])
        ]
        outcomes = _outcomes(futures, target, timeout)
    finally:
        abandon(executor)
    return show_calls(outcomes, as_json=as_json)


def _sender(
    target: str, manifest: Path, strategy: str | None
) -> Callable[[Any, list[Any], dict[str, Any]], Any]:
    """Return what submits the function to an executor.

    Raises:
        UsageError: There is no such function.
    """
    if ":" in target:
        function = find_self_contained(target)
        return lambda executor, args, kwargs: executor.submit(function.receipted, *args, **kwargs)
    if strategy is not None:
        raise UsageError(f"--strategy does not go with {target}, which is already serialized.")
    from gc_warm.client.registry import FunctionRegistry

    registry = FunctionRegistry(manifest)
    if not registry.exists():
        raise UsageError(
            f"{target!r} is not MODULE:FUNCTION, and there is no {manifest} with names."
        )
    function_id = registry[target].current.id
    return lambda executor, args, kwargs: executor.submit_to_registered_function(
        function_id, args, kwargs
    )


def _outcomes(futures: list[Any], target: str, timeout: float | None) -> list[Any]:
    from gc_warm.client.service import explaining

    wait(futures, timeout)
    with explaining(f"submit {target}"):
        return [_outcome(each, timeout) for each in futures]


def _outcome(future: Any, timeout: float | None) -> Any:
    try:
        return outcome(future, 0)
    except FutureTimeoutError:
        return click.ClickException(
            f"Task {future.task_id} did not come back within {timeout:g} s, and was not cancelled. "
            "gc-warm doctor --endpoint ID finds out why."
        )
