"""What came of calls: their results, what each cost, and which failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gc_warm.commands.shared.command import Exit
from gc_warm.commands.shared.show import KEPT, as_json_text, printable, show_table, shown
from gc_warm.units import duration
from gc_warm.worker.receipt import Receipted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future


def outcome(future: Future[Any], timeout: float | None = None) -> Any:
    """Return what a call returned, or the exception that says that it failed on its worker.

    Args:
        future: The call.
        timeout: How long to wait for it, in seconds.

    Raises:
        TimeoutError: It was not done by then.
        Exception: It did not come to the call.
    """
    from globus_compute_sdk.errors import TaskExecutionFailed

    try:
        return future.result(timeout)
    except TaskExecutionFailed as error:
        told = "\n".join([str(error), *getattr(error, "__notes__", ())])
        return click.ClickException(f"the call failed on its worker.{printable(told, KEPT)}")


def show_calls(outcomes: Sequence[Any], *, as_json: bool) -> int:
    """Print the results of calls, and what each cost and where.

    Raises:
        ClickException: One of them failed; it is raised when the others have been shown.
    """
    failed = [each for each in outcomes if isinstance(each, click.ClickException)]
    done = [(n, r) for n, r in enumerate(outcomes, 1) if not isinstance(r, click.ClickException)]
    if as_json:
        click.echo(as_json_text([_row(each) for each in outcomes]))
    elif done and isinstance(done[0][1], Receipted):
        columns = ("call", "worker", "took", "cold starts", "hits", "result")
        show_table(columns, (_cells(*each) for each in done), left=("result",))
    else:
        for _, result in done:
            click.echo(shown(result))
    if failed:
        raise failed[0]
    return Exit.OK


def _row(outcome: Any) -> dict[str, Any]:
    if isinstance(outcome, click.ClickException):
        return {"error": outcome.message}
    if isinstance(outcome, Receipted):
        return {"result": outcome.value, "receipt": outcome.receipt.as_dict()}
    return {"result": outcome}


def _cells(number: int, call: Receipted[Any]) -> Sequence[str]:
    receipt = call.receipt
    cold = f"{receipt.cold_starts} ({duration(receipt.build_seconds)})"
    return (
        str(number),
        f"pid {receipt.pid}",
        duration(receipt.seconds),
        cold if receipt.cold_starts else "0",
        str(receipt.hits),
        shown(call.value),
    )
