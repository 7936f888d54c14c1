"""The messages that the embedded broker holds, kept in the state file."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from gc_warm.local.service.amqp.queues import Journal, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm.local.service.store import SqliteStore

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY, queue TEXT NOT NULL, exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL, header BLOB NOT NULL, body BLOB NOT NULL
)
"""
_Row = tuple[int, str, str, str, bytes, bytes]


class SqliteJournal(Journal):
    """Keeps messages in the state file, all of a moment in one transaction.

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
        """Keep a message until it is forgotten, and return its number."""
        number = next(self._numbers)
        place = (number, queue, message.exchange, message.routing_key)
        self._new[number] = (*place, message.header, message.body)
        return number

    def forget(self, number: int) -> None:
        """Keep a message no longer."""
        if self._new.pop(number, None) is None:
            self._gone.append(number)

    def commit(self) -> None:
        """Make sure that all this outlives the process."""
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
        """Return the number, the queue and the message of all that is kept, oldest first."""
        rows: list[_Row] = self._store.database.execute(
            "SELECT * FROM messages ORDER BY number"
        ).fetchall()
        for number, queue, exchange, key, header, body in rows:
            yield number, queue, Message(exchange, key, header, body)
