"""The embedded broker of a service: its users, what each may do, and what it keeps."""

from __future__ import annotations

import logging
import secrets
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from gc_warm.errors.service import BrokerStartError
from gc_warm.local.service.amqp.broker import Broker
from gc_warm.local.service.amqp.queues import Exchange, Journal, Message
from gc_warm.local.service.messages import contents, queues
from gc_warm.local.service.state.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm.local.service.amqp.hosts import Action
    from gc_warm.local.service.state.state import State

log = logging.getLogger(__name__)

_SETTINGS = UUID("6b0d8d0e-6a3f-4a0e-9f0b-2a35c9a1c0de")
_PORT = uuid5(_SETTINGS, "broker port")
_PASSWORDS = uuid5(_SETTINGS, "broker passwords")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY, queue TEXT NOT NULL, exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL, header BLOB NOT NULL, body BLOB NOT NULL
)
"""
_Row = tuple[int, str, str, str, bytes, bytes]


class EmbeddedBroker(Broker):
    """A broker for the clients and endpoints of a service.

    Its port, passwords and messages are kept in the service's state. So clients and endpoints that
    outlive this broker find the next one.

    Args:
        state: The service's state.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._passwords: dict[str, str] = dict(state.setting(_PASSWORDS, {}))
        store = state.store
        journal = SqliteJournal(store) if isinstance(store, SqliteStore) else None
        super().__init__(self._passwords, journal=journal, may=self._allows)

    async def open(self) -> None:
        """Restore the queues, then listen: whoever connects may publish at once.

        Raises:
            BrokerStartError: The broker cannot listen.
        """
        self._restore()
        self.port = known = self._state.setting(_PORT, 0)
        try:
            await self.start()
        except BrokerStartError:
            if not known:
                raise
            log.warning("port %s is taken: running endpoints will not find the broker", known)
            self.port = 0
            await self.start()
        self._state.set(_PORT, self.port)

    def _restore(self) -> None:
        host = self.topology
        exchange = Exchange(queues.EXCHANGE)
        host.declare_exchange(exchange)
        names, bindings = queues.expected(self._state)
        for name in names:
            host.declare_queue(name, user=self, durable=True, auto_delete=False, exclusive=False)
        for name, key in bindings:
            host.bind(host.queues[name], exchange, key)
        # The broker may have taken a task before the service could note that.
        taken = [contents.task_in(message.properties.headers or {}) for message in host.restore()]
        self._state.tasks.delivered(each for each in taken if each)

    def url(self, user: str) -> str:
        """Return the URL for a user: the service, an identity that submits, or an endpoint."""
        if user not in self._passwords:
            self._passwords[user] = secrets.token_urlsafe(24)
            self._state.set(_PASSWORDS, self._passwords)
        return super().url(user)

    def _allows(self, user: str, action: Action, name: str, key: str) -> bool:
        if user == queues.SERVICE:
            return True
        if action == "write":
            return name == queues.EXCHANGE and queues.is_from(user, key)
        return action == "read" and self._may_read(user, name)

    def _may_read(self, user: str, name: str) -> bool:
        owner, group = self._state.identities.get(UUID(user)), queues.group_of(name)
        if owner is None or group is None:
            return queues.is_read_by(user, name)
        return self._state.tasks.is_of(owner, group)


class SqliteJournal(Journal):
    """Keeps messages in the state file; `commit` writes all changes in one transaction.

    Args:
        store: The file.
    """

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        store.database.execute(_SCHEMA)
        (last,) = store.database.execute("SELECT max(number) FROM messages").fetchone()
        self._numbers = count((last or 0) + 1)
        self._new: dict[int, _Row] = {}
        self._gone: list[int] = []

    def keep(self, queue: str, message: Message) -> int:
        """Keep a message until `forget` deletes it, and return its number."""
        number = next(self._numbers)
        place = (number, queue, message.exchange, message.routing_key)
        self._new[number] = (*place, message.header, message.body)
        return number

    def forget(self, number: int) -> None:
        """Delete a kept message."""
        if self._new.pop(number, None) is None:
            self._gone.append(number)

    def commit(self) -> None:
        """Save all changes."""
        if not self._new and not self._gone:
            return
        with self._store.together():
            self._store.database.executemany(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", self._new.values()
            )
            self._store.database.executemany(
                "DELETE FROM messages WHERE number = ?", ((each,) for each in self._gone)
            )
        self._new.clear()
        self._gone.clear()

    def load(self) -> Iterator[tuple[int, str, Message]]:
        """Yield the number, queue and message of each entry, oldest first."""
        rows: list[_Row] = self._store.database.execute(
            "SELECT * FROM messages ORDER BY number"
        ).fetchall()
        for number, queue, exchange, key, header, body in rows:
            yield number, queue, Message(exchange, key, header, body)
