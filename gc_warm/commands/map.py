"""``gc-warm map``: a file of JSON lines through a function."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gc_warm.commands.shared.arguments import find_callable
from gc_warm.commands.shared.command import Command, Exit
from gc_warm.commands.shared.show import printable, shortened
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    import concurrent.futures
    from uuid import UUID

    from gc_warm.client.lines import LinesFile
    from gc_warm.worker.self_contained import SelfContained

_SHOWN = 20
_MISSING = object()


@click.command(
    "map",
    cls=Command,
    examples=[
        "gc-warm map primes:count_primes --input numbers.jsonl --output results.jsonl --local 4",
        "gc-warm map lab:classify --input in.jsonl --output out.jsonl --endpoint ID --key model",
    ],
)
@click.argument("function", metavar="MODULE:FUNCTION")
@click.option(
    "--input",
    "source",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A JSON value in each line: what the function is called with.",
)
@click.option(
    "--output",
    "target",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The results; what it already has is not computed again.",
)
@click.option("--endpoint", "endpoint_id", type=click.UUID, metavar="ID", help="Run it there.")
@click.option(
    "--local",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run it in N processes here; by default in 2.",
)
@click.option("--service", is_flag=True, help="Run it on this machine's own service and endpoint.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="How many workers the endpoint has; with --service, 2 by default.",
)
@click.option("--spread", is_flag=True, help="Each line is a list: the positional arguments.")
@click.option("--key", metavar="FIELD", help="The field of a line that says which state it needs.")
@click.option("--again", is_flag=True, help="Drop results of lines or functions that have changed.")
@click.option("--keep", is_flag=True, help="Count results of another version of the function, too.")
@click.option(
    "--retries",
    default=2,
    show_default=True,
    type=click.IntRange(min=0),
    help="How often to try lines again whose worker was lost.",
)
@click.option(
    "--chunksize", type=click.IntRange(min=1), help="Lines in a task; by default it adapts."
)
@click.option(
    "--report", "saved", metavar="FILE", type=click.Path(path_type=Path), help="Save a report."
)
@click.option("--receipts", metavar="FILE", type=click.Path(path_type=Path), help="Add receipts.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def map_lines(  # noqa: PLR0917  (click passes all by name)
    function: str,
    source: Path,
    target: Path,
    endpoint_id: UUID | None,
    local: int | None,
    workers: int | None,
    key: str | None,
    retries: int,
    chunksize: int | None,
    saved: Path | None,
    receipts: Path | None,
    *,
    service: bool,
    spread: bool,
    again: bool,
    keep: bool,
    quiet: bool,
) -> int:
    """Call a function with each line of a file, on warm workers.

    Results are written to the output in the order of the input, with the numbers of their lines. A
    second run does only what is missing. If the function, or a line with a result, has changed, it
    does nothing without --again or --keep. Lines that failed are in a file beside it, such as
    results.errors.jsonl, and the next run tries them again.

    It runs in processes of this machine, unless --endpoint or --service is given.

    Exits with 1 if a line failed.
    """
    from gc_warm.client.executor import WarmExecutor
    from gc_warm.client.lines import LinesFile
    from gc_warm.client.report.report import format_of
    from gc_warm.worker.self_contained import SelfContained, self_contained

    if sum([endpoint_id is not None, local is not None, service]) > 1:
        raise UsageError("Give one of --endpoint, --local and --service.")
    if saved is not None:
        format_of(saved)  # now, and not when all is done
    found = find_callable(function)
    call = found if isinstance(found, SelfContained) else self_contained(found)
    file = LinesFile(
        source,
        target,
        function=_mark(call, spread=spread),
        spread=spread,
        again=again,
        keep=keep,
        others=[each for each in (saved, receipts) if each is not None],
    )
    if key is not None:
        _require_field(key, file)
    with contextlib.ExitStack() as stack:
        below = _executor(stack, endpoint_id, local or workers or 2, service=service)
        executor = stack.enter_context(WarmExecutor(below, workers=workers, receipts=receipts))
        run = executor.starmap if spread else executor.map
        summary = file.run(
            lambda values: run(
                call,
                values,
                key=key and (lambda *args: repr(_find(key, args if spread else args[0]))),
                chunksize=chunksize or "auto",
                retries=retries,
                return_exceptions=True,
                progress=False if quiet else None,
            )
        )
        report = executor.report()
        if saved is not None and report.records:
            report.save(saved, title=f"gc-warm map {function}")
        elif saved is not None:  # the report of the run before, if there is one, stays
            click.echo(f"Nothing was run, so no report was written to {saved}.", err=True)
    click.echo(f"{summary.done:,} done, {summary.known:,} were done before: {target}")
    if summary.dropped:
        click.echo(f"{summary.dropped:,} dropped: their lines, or the function, have changed")
    if summary.failed:
        click.echo(f"{summary.failed:,} failed: {file.errors}")
        click.echo(f"The first error, of {printable(shortened(summary.first_error))}")
    return Exit.FAILED if summary.failed else Exit.OK


def _mark(function: SelfContained[..., Any], *, spread: bool) -> str:
    """Return the hash of a function, of its version, and of how it is called."""
    from gc_warm.shipping.payload import fingerprint

    target, content = fingerprint(function)
    return hashlib.sha256(f"{target} {content} {spread}".encode()).hexdigest()[:16]


def _find(field: str, value: Any) -> Any:
    """Return a field of an object, or what has that place in a list; else `_MISSING`."""
    with contextlib.suppress(LookupError, TypeError, ValueError):
        return value[int(field)] if isinstance(value, list | tuple) else value[field]
    return _MISSING


def _require_field(field: str, file: LinesFile) -> None:
    """Raise an error if there are lines, and none of them has a field.

    Raises:
        UsageError: None has.
    """
    names: dict[str, None] = {}
    empty = True
    for value in file.values():
        if _find(field, value) is not _MISSING:
            return
        empty = False
        names.update(dict.fromkeys(value if isinstance(value, dict) else ()))
    if not empty:
        known = ", ".join([*names][:_SHOWN]) or "none; in lists, fields are numbers from 0"
        raise UsageError(f"--key {field}: no line of the input has this field. It has: {known}.")


def _executor(
    stack: contextlib.ExitStack, endpoint_id: UUID | None, workers: int, *, service: bool
) -> concurrent.futures.Executor:
    if service:
        from gc_warm.commands.shared.on_service import executor_on_service

        made = executor_on_service("laptop", {"workers": workers}, amqp=None)
        running: concurrent.futures.Executor = stack.enter_context(made)
        return running
    if endpoint_id is not None:
        from globus_compute_sdk import Executor

        from gc_warm.client.service import connect

        return Executor(endpoint_id, client=connect())
    from gc_warm.local.executor import LocalExecutor

    return LocalExecutor(workers=workers)
