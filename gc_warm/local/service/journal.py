"""The messages that the embedded broker holds, kept in the state file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gc_warm.local.service.amqp.queues import Journal, Message

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL, header BLOB NOT NULL, body BLOB NOT NULL
)
"""


class SqliteJournal(Journal):
    """Keeps messages in a database. What the broker has confirmed is in it.

    Args:
        database: The database, which commits each statement by itself.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute(_SCHEMA)

    def keep(self, queue: str, message: Message) -> int:
        """Keep a message until it is settled, and return a number for it."""
        row = (queue, message.exchange, message.routing_key, message.header, message.body)
        added = self._database.execute(
            "INSERT INTO messages (queue, exchange, routing_key, header, body) "
            "VALUES (?, ?, ?, ?, ?)",
            row,
        )
        return int(added.lastrowid or 0)

    def settle(self, numbers: Iterable[int]) -> None:
        """Forget messages."""
        self._database.executemany(
            "DELETE FROM messages WHERE number = ?", ((number,) for number in numbers)
        )

    def settle_all(self, queue: str) -> None:
        """Forget all messages of a queue."""
        self._database.execute("DELETE FROM messages WHERE queue = ?", (queue,))

    def load(self) -> Iterator[tuple[int, str, Message]]:
        """Return numbers, queues and messages of all that is kept, in the order of their coming."""
        rows = self._database.execute(
            "SELECT number, queue, exchange, routing_key, header, body FROM messages "
            "ORDER BY number"
        )
        for number, queue, *parts in rows.fetchall():
            yield number, queue, Message(*parts)
