"""Carries tasks, commands and results between the state and the broker.

It sends what the state says has not been sent, and notes it in the state once the broker has
confirmed it. So after a lost connection, or a restart of the service, it simply goes on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from globus_compute_common.messagepack.message_types import Result

from gc_warm.local.service.messages import contents, queues
from gc_warm.local.service.messages.connection import Connection, Lost
from gc_warm.local.service.state.refusals import Unavailable
from gc_warm.local.service.state.tasks import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from uuid import UUID

    from gc_warm.local.service.state.records import Endpoint, Task, UserEndpoint
    from gc_warm.local.service.state.state import State

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 0.2
LOOK_SECONDS = 1.0
"""How often the courier looks for user endpoints that have gone silent."""

AT_ONCE = 100
"""How many tasks are sent in one turn of the loop."""

PATIENCE_SECONDS = 30.0
"""How long a request waits for a broker that cannot be reached."""

COMMAND_MILLISECONDS = 120_000
"""How long the broker keeps a command: endpoints refuse older ones."""


class Courier:
    """Carries messages until it is closed.

    Args:
        state: The services' state.
        url: Returns the broker's URL for one of its users.

    Attributes:
        url: Returns the broker's URL for one of its users.
        duplicates: How many of the next results are announced twice.
    """

    def __init__(self, state: State, url: Callable[[str], str]) -> None:
        self._state = state
        self.url = url
        self._work = asyncio.Event()
        self._connected = asyncio.Event()
        self._connection: Connection | None = None
        self._declared: set[str] = set()
        self._inbox: list[tuple[int, str, bytes]] = []
        self._held: list[Task] = []
        self._confirmed: list[tuple[Callable[[list[UUID]], None], UUID]] = []
        self._running: asyncio.Task[None] | None = None
        self.duplicates = 0

    async def open(self) -> None:
        """Connect, and start to carry messages.

        Raises:
            Lost: There is no broker.
        """
        await self._connect()
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop carrying messages, and disconnect."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        if self._connection is not None:
            await self._connection.close()

    def wake(self) -> None:
        """Look for messages to send now."""
        self._work.set()

    # What must happen before a request is answered

    async def prepare_queues(self, endpoint: Endpoint) -> None:
        """Declare the queues of an endpoint that registers, and remove old commands."""
        await self._persist(lambda: self._prepare_queues(endpoint))

    async def _prepare_queues(self, endpoint: Endpoint) -> None:
        await self._have_endpoint_queues(endpoint.id)
        await self._have_queue(queues.commands(endpoint.id))
        await self._open_connection.purge(queues.commands(endpoint.id))

    async def open_group(self, group_id: UUID) -> None:
        """Declare the queue of a group."""
        await self._persist(lambda: self._have_queue(queues.group(group_id)))

    async def delete_queues(self, endpoint_id: UUID, user_endpoint_ids: list[UUID]) -> None:
        """Delete the queues of an endpoint, which tells those who read from them."""
        names = [queues.commands(endpoint_id), queues.tasks(endpoint_id)]
        names += [queues.tasks(each) for each in user_endpoint_ids]

        async def delete() -> None:
            for name in names:
                self._declared.discard(name)
                await self._open_connection.delete_queue(name)

        await self._persist(delete)

    async def _persist(self, do: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something; try again if the connection is lost.

        Raises:
            Unavailable: The broker cannot be reached for too long.
        """
        try:
            await asyncio.wait_for(self._keep_trying(do), PATIENCE_SECONDS)
        except asyncio.TimeoutError as error:
            text = "The message broker cannot be reached."
            raise Unavailable("BROKER_UNAVAILABLE", text) from error

    async def _keep_trying(self, do: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await self._connected.wait()
            try:
                await do()
            except Lost:
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                return

    # Connecting

    @property
    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise Lost("There is no connection.")
        return self._connection

    async def _connect(self) -> None:
        self._connected.clear()
        self._declared.clear()
        self._inbox.clear()
        self._held.clear()
        self._state.tasks.start_over()
        connection = Connection()
        await connection.open(self.url(queues.SERVICE))
        self._connection = connection
        await connection.declare_exchange(queues.EXCHANGE)
        names, bindings = queues.expected(self._state)
        for name in names:
            await self._have_queue(name)
        for name, key in bindings:
            await connection.bind(name, queues.EXCHANGE, key)
        for name in (queues.RESULTS, queues.HEARTBEATS):
            await connection.consume(name, self._receive)
        self._connected.set()
        self._work.set()

    async def _have_queue(self, name: str) -> None:
        if name not in self._declared:
            await self._open_connection.declare_queue(name)
            self._declared.add(name)

    async def _have_endpoint_queues(self, endpoint_id: UUID) -> None:
        name = queues.tasks(endpoint_id)
        if name in self._declared:
            return
        for queue in (queues.RESULTS, queues.HEARTBEATS):
            key = queues.key(endpoint_id, queue)
            await self._open_connection.bind(queue, queues.EXCHANGE, key)
        await self._have_queue(name)

    async def _run(self) -> None:
        while True:
            try:
                await self._carry()
            except Lost:
                log.info("lost the broker; reconnecting")
            except Exception:
                log.exception("the courier failed; restarting it")
                await self._open_connection.close()
            await self._reconnect()

    async def _reconnect(self) -> None:
        while True:
            await asyncio.sleep(RECONNECT_SECONDS)
            try:
                await self._connect()
            except Lost as error:
                log.debug("no broker: %s", error)
            else:
                return

    # Carrying

    async def _carry(self) -> None:
        connection = self._open_connection
        while True:
            await self._some_work(connection)
            if connection.lost.done():
                raise Lost("The broker closed the connection.")
            self._work.clear()
            await self._send_tasks(connection)
            self._announce(connection)
            await self._send_starts(connection)

    async def _some_work(self, connection: Connection) -> None:
        work: asyncio.Future[Any] = asyncio.ensure_future(self._work.wait())
        try:
            await asyncio.wait(
                [work, connection.lost],
                timeout=LOOK_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            work.cancel()

    async def _send_tasks(self, connection: Connection) -> None:
        state = self._state
        tasks, self._held = [*self._held, *state.tasks.take_waiting()], []
        for number, task in enumerate(tasks, start=1):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # let the loop handle what has arrived
            if task.outcome is not None:
                continue  # its user endpoint could not be started
            if task.endpoint in state.endpoints.held_offline:
                self._held.append(task)
                continue
            await self._have_endpoint_queues(task.user_endpoint)
            body = contents.pack_task(task, state.functions.code(task.function))
            headers = contents.task_headers(task)
            queue = queues.tasks(task.user_endpoint)
            confirmed = connection.publish("", queue, body, headers=headers)
            self._note(confirmed, state.tasks.delivered, task)

    def _announce(self, connection: Connection) -> None:
        for task in self._state.tasks.take_unannounced():
            secret = self._state.endpoints.is_high_assurance(task.endpoint)
            body, properties = contents.pack_result(task, secret=secret)
            queue = queues.group(task.group)
            if self.duplicates:
                self.duplicates -= 1
                connection.publish("", queue, body, **properties)
            confirmed = connection.publish("", queue, body, **properties)
            self._note(confirmed, self._state.tasks.announced, task)

    def _note(
        self, confirmed: asyncio.Future[None], note: Callable[[list[UUID]], None], task: Task
    ) -> None:
        """Note when a message is confirmed; note many at once, because each note is a write."""

        def settle(future: asyncio.Future[None]) -> None:
            if future.exception() is not None:
                return
            if not self._confirmed:
                future.get_loop().call_soon(self._note_all)
            self._confirmed.append((note, task.id))

        confirmed.add_done_callback(settle)

    def _note_all(self) -> None:
        confirmed, self._confirmed = self._confirmed, []
        for note in dict.fromkeys(note for note, _ in confirmed):
            note([task_id for each, task_id in confirmed if each == note])

    def _starts(self) -> list[UserEndpoint]:
        endpoints = self._state.endpoints
        users = [endpoints.user(each) for each in self._state.tasks.busy()]
        return [each for each in users if each is not None and endpoints.wants_start(each)]

    async def _send_starts(self, connection: Connection) -> None:
        for user in self._starts():
            await self._have_endpoint_queues(user.id)
            self._state.endpoints.asked_to_start(user)
            owner = self._state.identities[user.owner]
            everyone = self._state.identities.all_of(owner)
            command = contents.start_command(user, owner, everyone, self.url(str(user.id)))
            connection.publish(
                "",
                queues.commands(user.parent),
                json.dumps(command).encode(),
                delivery_mode=1,  # if the broker loses it, another is sent
                content_type="application/json",
                timestamp=int(time.time()),
                expiration=str(COMMAND_MILLISECONDS),
            )

    # Receiving

    def _receive(self, tag: int, key: str, body: bytes) -> None:
        if not self._inbox:
            asyncio.get_running_loop().call_soon(self._handle_inbox)
        self._inbox.append((tag, key, body))

    def _handle_inbox(self) -> None:
        messages, self._inbox = self._inbox, []
        if not messages or self._connection is None:
            return
        endings: list[Ended] = []
        for _, key, body in messages:
            sender, message = contents.read(key, body)
            if isinstance(message, Result):
                endings.append(Ended(message.task_id, body.decode(), message.is_error, sender))
            elif message and message.endpoint_id == sender:
                self._note_heartbeat(message)
        self._state.tasks.finish(endings)
        self._connection.acknowledge(max(tag for tag, _, _ in messages))
        self.wake()

    def _note_heartbeat(self, report: Any) -> None:
        said = report.global_state
        self._state.endpoints.note_heartbeat(report.endpoint_id, said)
        if error := said.get("error"):
            self.fail_all(report.endpoint_id, str(error))

    def fail_all(self, endpoint_id: UUID, reason: str) -> None:
        """Fail the tasks of a user endpoint that cannot be started."""
        endings = [
            Ended(each, contents.failure(each, reason), is_error=True)
            for each in self._state.tasks.open_at(endpoint_id)
        ]
        self._state.tasks.finish(endings)
        if endings and self._connection is not None:
            # Otherwise they would run once it is started for other tasks.
            self._connection.purge_soon(queues.tasks(endpoint_id))
