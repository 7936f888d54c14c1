"""``LocalService``: the services of Globus Compute on this machine, in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sqlite3
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

import uvicorn
from pydantic import ValidationError

from gc_warm.errors import GcWarmError, UsageError
from gc_warm.local.service import sdk
from gc_warm.local.service.faults import Faults, Trouble, control
from gc_warm.local.service.messages.connection import Lost, parameters
from gc_warm.local.service.messages.courier import Courier
from gc_warm.local.service.messages.embedded import EmbeddedBroker
from gc_warm.local.service.rest import app
from gc_warm.local.service.rest.call import Limits
from gc_warm.local.service.rest.compute import Compute
from gc_warm.local.service.state.state import State
from gc_warm.local.service.state.store import SqliteStore, Store, unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from globus_compute_sdk import Client, Executor
    from typing_extensions import Self

    from gc_warm.local.service.agent import Agent
    from gc_warm.local.service.state.records import Identity

T = TypeVar("T")

PORT = 5000
"""Where the SDK looks for the services in its environment ``local``."""

HOST = "127.0.0.1"


class LocalService:
    """The services of Globus Compute on this machine: REST, Auth and AMQP, on loopback.

    The unmodified SDK and the unmodified endpoint agent use the service when they are started with
    its `environment`. In this process, `client` and `executor` need no environment.

    Args:
        port: The port of REST and Auth; 0 is any free port. The SDK's environment ``local`` means
            port 5000: with another port, only `client` and `executor` can be used.
        limits: Whether more than 20 requests in 10 seconds are refused.
        state: A file that keeps the service's state, for the next service.
        amqp: The URL of a RabbitMQ to use instead of the embedded broker. Everyone who can log in
            there can read everything.
        identities: Names of the service's users. `environment`, `client`, `executor` and
            `start_endpoint` act for the first one by default.
        show: Called with each request's method, path and status, in the service's thread.

    Attributes:
        port: The port of REST and Auth.

    Raises:
        UsageError: `port` is not a port, `amqp` is not the URL of a broker, or a name is missing.
    """

    def __init__(
        self,
        *,
        port: int = PORT,
        limits: bool = False,
        state: Path | str | None = None,
        amqp: str | None = None,
        identities: Sequence[str] = ("user",),
        show: Callable[[str, str, int], None] | None = None,
    ) -> None:
        if isinstance(identities, str) or not identities or not all(identities):
            raise UsageError(f"identities is {identities!r}: it must be one or more names.")
        if not isinstance(port, int) or port not in range(2**16):
            raise UsageError(f"port is {port!r}: it must be a number from 0 to 65535.")
        if amqp is not None:
            parameters(amqp)
        self._pid = os.getpid()
        self.port = port
        self._limits = limits
        self._path = None if state is None else Path(state)
        self._amqp = amqp
        self._names = tuple(identities)
        self._show = show
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._serving = False
        self._agents: list[Agent] = []
        self._state: State
        self._courier: Courier
        self._faults: Faults
        self._broker: EmbeddedBroker | None = None

    # Starting and stopping

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the service, and wait until it answers.

        Raises:
            GcWarmError: A port is taken, the state file cannot be used, or RabbitMQ does not
                answer.
        """
        if self._thread is not None:
            raise UsageError("This service is already running.")
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="gc-warm service", daemon=True
        )
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self.stop()
            raise
        self._serving = True

    def stop(self) -> None:
        """Stop the endpoints that this service started, then the service.

        Tasks for which this process's executors still wait are cancelled.
        """
        if self._pid != os.getpid():
            return  # in a fork, everything belongs to the parent
        for agent in list(self._agents):
            agent.stop()
        if self._serving:  # otherwise they may wait for the next service on this port
            sdk.end_executors(self.url)
            self._serving = False
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it is already closed
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    async def _serve(self, started: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with contextlib.AsyncExitStack() as stack:
                await self._open(stack)
                started.set_result(None)
                await self._stop.wait()
        except Exception as error:
            if started.done():
                raise
            started.set_exception(self._explain(error))

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        listener = _listen(self.port)
        stack.callback(listener.close)
        self.port = listener.getsockname()[1]
        store = Store() if self._path is None else SqliteStore(self._path)
        stack.callback(store.close)
        self._state = State(store)
        for name in self._names:
            self._state.identities.named(name)
        if self._amqp is None:
            self._broker = EmbeddedBroker(self._state)
            await self._broker.open()
            stack.push_async_callback(self._broker.stop)
        self._courier = Courier(self._state, self._amqp_url)
        stack.push_async_callback(self._courier.close)
        await self._courier.open()
        server = self._web_server()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stack.push_async_callback(_stop_serving, server, serving)

    def _explain(self, error: Exception) -> Exception:
        if isinstance(error, Lost):
            why = f" ({error})" if str(error) else ""
            return GcWarmError(f"The message broker does not answer{why}. Is the URL right?")
        if self._path is not None and isinstance(error, sqlite3.Error | ValidationError):
            return unusable(self._path, error)
        return error

    def _web_server(self) -> uvicorn.Server:
        trouble = Trouble()
        self._faults = Faults(
            call=self.call,
            state=self._state,
            trouble=trouble,
            courier=self._courier,
            broker=self._broker,
        )
        compute = Compute(
            self._state,
            self._courier,
            trouble=trouble,
            limits=Limits(self._state.clock) if self._limits else None,
        )
        config = uvicorn.Config(
            app.build(self._state, compute, control(self._state, self._faults), show=self._show),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        return uvicorn.Server(config)

    def _amqp_url(self, user: str) -> str:
        if self._broker is None:
            assert self._amqp is not None
            return self._amqp
        return self._broker.url(user)

    # Using it

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in the service's thread, which alone uses the state."""
        if self._require_running() is threading.current_thread():
            return function()

        async def run() -> T:
            return function()

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _require_running(self) -> threading.Thread:
        # In a fork, the parent's threads are not alive.
        if self._thread is None or not self._thread.is_alive():
            raise UsageError(
                "This service is not running. Start it, or use it in a with statement."
            )
        return self._thread

    @property
    def url(self) -> str:
        """The URL of REST and Auth."""
        return f"http://{HOST}:{self.port}"

    @property
    def faults(self) -> Faults:
        """The faults that a test can cause."""
        self._require_running()
        return self._faults

    def identity(
        self, name: str | None = None, *, groups: Iterable[UUID] = (), linked: Iterable[UUID] = ()
    ) -> Identity:
        """Return the identity with a name; make it if there is none.

        Args:
            name: The name; by default that of the service's first user.
            groups: Globus groups to add the identity to.
            linked: Ids of other identities of the same person.
        """
        wanted = name or self._names[0]
        return self.call(lambda: self._state.identities.named(wanted, groups=groups, linked=linked))

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that make the SDK and the agent use this service."""
        return self.environment_of(self.identity())

    def environment_of(self, identity: Identity) -> dict[str, str]:
        """Return the environment variables for an identity."""
        return sdk.environment(self.url, identity)

    def client(self, identity: Identity | None = None) -> Client:
        """Return an unmodified SDK client of this service, whatever its port."""
        return sdk.client(self.url, identity or self.identity())

    def executor(
        self,
        endpoint_id: UUID | str,
        *,
        user_endpoint_config: dict[str, Any] | None = None,
        identity: Identity | None = None,
    ) -> Executor:
        """Return an unmodified SDK executor, with a task group of its own.

        Args:
            endpoint_id: The endpoint.
            user_endpoint_config: The options with which its user endpoint is started.
            identity: Who submits; by default the service's first user.
        """
        from globus_compute_sdk import Executor

        return Executor(
            endpoint_id=endpoint_id,
            client=self.client(identity),
            task_group_id=uuid4(),  # by default, all executors of a process share one
            user_endpoint_config=user_endpoint_config,
        )

    def is_online(self, endpoint_id: UUID) -> bool:
        """Return whether an endpoint, or a user endpoint, has sent a heartbeat recently."""
        return self.call(lambda: self._state.endpoints.is_online(endpoint_id))

    def start_endpoint(
        self,
        config_dir: Path | str,
        *,
        identity: Identity | None = None,
        timeout: float = 60.0,
    ) -> Agent:
        """Start the real endpoint agent with a config, and wait until it is online.

        Args:
            config_dir: The config's folder, as ``globus-compute-endpoint configure`` makes it.
            identity: Who owns the endpoint; by default the service's first user.
            timeout: How many seconds to wait.

        Raises:
            UsageError: The service's port is not 5000, or the folder is not a config.
            GcWarmError: The agent ended, or was not online in time.
        """
        from gc_warm.local.service.agent import Agent

        if self.port != PORT:
            raise UsageError(f"Agents look for the services on port {PORT}, not {self.port}.")
        environment = self.environment_of(identity or self.identity())
        agent = Agent(Path(config_dir), environment, stopped=self._forget)
        self._agents.append(agent)
        agent.start(is_online=self.is_online, timeout=timeout)
        return agent

    def _forget(self, agent: Agent) -> None:
        self._agents.remove(agent)
        if hasattr(agent, "id"):  # otherwise it never registered
            # A killed agent has sent no last heartbeat.
            self.call(lambda: self._state.endpoints.stop_all(agent.id))


async def _stop_serving(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    await serving


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()  # fails if another process has bound the port, but does not yet listen
    except OSError as error:
        listener.close()
        hint = " On macOS, AirPlay Receiver uses 5000." if port == PORT else ""
        raise GcWarmError(
            f"Port {port} cannot be used ({error.strerror}). Does another service run there?{hint}"
        ) from error
    return listener
