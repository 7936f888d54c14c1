"""``gc-warm serve``: the services of Globus Compute on this machine."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shlex
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gc_warm.commands.shared.command import Command, Exit
from gc_warm.commands.shared.on_service import local_service
from gc_warm.commands.shared.show import printable
from gc_warm.errors import GcWarmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm.local.service.service import LocalService


@click.command(
    cls=Command,
    examples=[
        "gc-warm serve",
        'eval "$(gc-warm serve --env)"     # in a second terminal',
        "globus-compute-endpoint start my-endpoint",
    ],
)
@click.option("--port", default=5000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--amqp", metavar="URL", help="Use this RabbitMQ.  [default: an embedded broker]")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Remember everything in this file.  [default: in memory]",
)
@click.option(
    "--limits",
    type=click.Choice(["real", "off"]),
    default="off",
    show_default=True,
    help="Whether to refuse more than 20 requests in 10 seconds.",
)
@click.option(
    "--identity",
    "identities",
    metavar="NAME",
    multiple=True,
    default=("user",),
    show_default=True,
    help="Who may use it; give it again for more.",
)
@click.option("--env", "only_env", is_flag=True, help="Print what a running one wants exported.")
def serve(
    port: int,
    amqp: str | None,
    state: Path | None,
    limits: str,
    identities: tuple[str, ...],
    *,
    only_env: bool,
) -> int:
    """Stand in for the web services of Globus Compute, until Ctrl-C.

    It listens on this machine only, and needs no account.
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
    click.echo(f"The services of Globus Compute, at {service.url}. Ctrl-C stops them.\n")
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
    return "\n".join(f"export {key}={shlex.quote(value)}" for key, value in environment.items())


# What `--env` finds: each running service notes its environments in a file of the user's own.


def _note(port: int) -> Path:
    return Path(tempfile.gettempdir(), f"gc-warm-serve-{os.getuid()}-{port}.json")


@contextlib.contextmanager
def _announced(service: LocalService, identities: tuple[str, ...]) -> Iterator[None]:
    path = _note(service.port)
    environments = [service.environment_of(service.identity(each)) for each in identities]
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(json.dumps(environments))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _running(port: int) -> list[dict[str, str]]:
    path = _note(port)
    try:
        if path.stat().st_uid != os.getuid():
            raise GcWarmError(f"{path} is someone else's.")
        found: list[dict[str, str]] = json.loads(path.read_text())
        known = _knows(port, found[0])  # one that was killed has left its note
    except (FileNotFoundError, ConnectionError) as error:
        raise GcWarmError(
            f"No service runs on port {port}. Start one in another terminal: gc-warm serve."
        ) from error
    if not known:
        raise GcWarmError(
            f"What answers on port {port} is not the service that wrote {path}: another container, "
            "or network namespace, may share this folder. Use the variables that the service "
            "printed, or start each service with a TMPDIR of its own."
        )
    return found


def _knows(port: int, environment: dict[str, str]) -> bool:
    """Return whether a service knows these credentials."""
    names = "GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"
    basic = base64.b64encode(":".join(environment[each] for each in names).encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        try:
            # It answers those whom it knows, and this question changes nothing.
            headers = {"Authorization": f"Basic {basic}"}
            connection.request("POST", "/v2/oauth2/token/introspect", headers=headers)
            return connection.getresponse().status == http.client.OK
        except (http.client.HTTPException, TimeoutError):
            return False
