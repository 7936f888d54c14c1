"""``gc-warm serve``: the services of Globus Compute on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from gc_warm.commands.shared.command import Command, Exit
from gc_warm.commands.shared.on_service import local_service
from gc_warm.commands.shared.show import printable
from gc_warm.errors import GcWarmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm.local.service.service import LocalService

_ELSEWHERE = "Set TMPDIR to a folder of your own, here and where you use the service."


@click.command(
    cls=Command,
    examples=[
        "gc-warm serve",
        'eval "$(gc-warm serve --env)"     # in a second terminal',
        "globus-compute-endpoint start my-endpoint",
    ],
)
@click.option("--port", default=5000, type=click.IntRange(0, 65535))
@click.option("--amqp", metavar="URL", help="A RabbitMQ to use.  [default: an embedded broker]")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that keeps the service's state.  [default: in memory]",
)
@click.option(
    "--limits",
    type=click.Choice(["real", "off"]),
    default="off",
    help="real refuses more than 20 requests in 10 seconds.",
)
@click.option(
    "--identity",
    "identities",
    metavar="NAME",
    multiple=True,
    default=("user",),
    help="A user of the service; can be given again.",
)
@click.option("--env", "only_env", is_flag=True, help="Print a running service's export commands.")
def serve(
    port: int,
    amqp: str | None,
    state: Path | None,
    limits: str,
    identities: tuple[str, ...],
    *,
    only_env: bool,
) -> int:
    """Run the web services of Globus Compute on this machine.

    This stand-in listens on this machine only, needs no account, and runs until Ctrl-C.
    """
    if only_env:
        click.echo(_exports(_running(port)[0]))
        return Exit.OK
    service = local_service(
        port=port,
        limits=limits == "real",
        state=state,
        amqp=amqp,
        identities=identities,
        show=_show,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with service, _announced(service, identities):
        with contextlib.suppress(KeyboardInterrupt):
            _introduce(service, identities)
            threading.Event().wait()
        click.echo("\nstopping")
    return Exit.OK


def _introduce(service: LocalService, identities: tuple[str, ...]) -> None:
    click.echo(f"The services of Globus Compute run at {service.url}. Ctrl-C stops them.\n")
    for name in identities:
        if len(identities) > 1:
            click.echo(f"# as {printable(name)}")
        click.echo(_exports(service.environment_of(service.identity(name))))
    click.echo('\nOr: eval "$(gc-warm serve --env)". Then, for example:')
    click.echo("  globus-compute-endpoint start my-endpoint\n")


def _show(method: str, path: str, status: int) -> None:
    click.echo(f"{method:6} {printable(path)}  {click.style(str(status), fg=_colour(status))}")


def _colour(status: int) -> str:
    return "green" if status < 400 else "yellow" if status < 500 else "red"  # noqa: PLR2004


def _exports(environment: dict[str, str]) -> str:
    # The shell that evaluates this keeps its own no_proxy.
    shown = {key: shlex.quote(value) for key, value in environment.items()}
    shown["no_proxy"] = '"127.0.0.1,localhost,${no_proxy:-$NO_PROXY}"'
    return "\n".join(f"export {key}={value}" for key, value in shown.items())


# For `--env`: each running service writes its environments to a file, and holds a lock on it.


def _note(port: int) -> Path:
    # Containers with networks of their own may share the folder for temporary files.
    network = Path("/proc/self/ns/net")
    number = network.stat().st_ino if network.exists() else 0
    return Path(tempfile.gettempdir(), f"gc-warm-serve-{os.getuid()}-{number}-{port}.json")


def _open_note(path: Path, flags: int = 0) -> TextIO:
    try:
        note = os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600), "r+")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise GcWarmError(f"{path}: {error.strerror}. {_ELSEWHERE}") from error
    if os.fstat(note.fileno()).st_uid != os.getuid():
        note.close()
        raise GcWarmError(f"{path} belongs to another user. {_ELSEWHERE}")
    return note


@contextlib.contextmanager
def _announced(service: LocalService, identities: tuple[str, ...]) -> Iterator[None]:
    path = _note(service.port)
    environments = [service.environment_of(service.identity(each)) for each in identities]
    with _open_note(path, os.O_CREAT) as note:
        note.truncate()
        json.dump(environments, note)
        note.flush()
        fcntl.flock(note, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _running(port: int) -> list[dict[str, str]]:
    with contextlib.suppress(FileNotFoundError), _open_note(_note(port)) as note:
        try:
            fcntl.flock(note, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found: list[dict[str, str]] = json.load(note)
            return found
    raise GcWarmError(
        f"No service runs on port {port}. Start one in another terminal: gc-warm serve"
    )
