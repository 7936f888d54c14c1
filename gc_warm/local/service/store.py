"""Where records are kept: in memory, or in a file that survives the service."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from gc_warm.errors import UsageError
from gc_warm.local.service.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, KeysView, Mapping, ValuesView
    from pathlib import Path
    from uuid import UUID

R = TypeVar("R", bound=Record)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, id)
)
"""


class Store(Protocol):
    """Keeps documents by their kinds and ids."""

    def load(self, kind: str) -> Iterator[str]:
        """Return all documents of a kind, in the order in which they came."""

    def write(self, kind: str, records: Mapping[UUID, Record | None]) -> None:
        """Keep records by their ids; forget those that are None."""

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Keep all that is written inside, or none of it."""

    def close(self) -> None:
        """Let go of what is open."""


class MemoryStore:
    """Keeps nothing: what the tables hold is all there is."""

    def load(self, kind: str) -> Iterator[str]:  # noqa: ARG002 - as in `Store`
        """Return nothing."""
        return iter(())

    def write(self, kind: str, records: Mapping[UUID, Record | None]) -> None:
        """Do nothing."""

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Do nothing."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Do nothing."""


class SqliteStore:
    """Keeps documents in a file.

    What was written is there again after the process was killed. After a power failure the last
    moments may be missing, which is the price of not waiting for the disk each time.

    Args:
        path: The file; it is made when it is missing.

    Attributes:
        database: The open file; each statement outside `together` is a transaction of its own.

    Raises:
        UsageError: It cannot be opened, or is something else.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self.database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.database.execute("PRAGMA journal_mode = WAL")
            self.database.execute("PRAGMA synchronous = NORMAL")
            self.database.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise UsageError(
                f"The state file {path} cannot be used ({error}). Does another service have it, or "
                "is it something else?"
            ) from error
        path.chmod(0o600)  # it holds secrets

    def load(self, kind: str) -> Iterator[str]:
        """Return all documents of a kind, in the order in which they came."""
        query = "SELECT document FROM records WHERE kind = ? ORDER BY rowid"
        for (document,) in self.database.execute(query, (kind,)):
            yield document

    def write(self, kind: str, records: Mapping[UUID, Record | None]) -> None:
        """Keep records by their ids; forget those that are None."""
        kept = [(kind, str(id_), row.model_dump_json()) for id_, row in records.items() if row]
        gone = [(kind, str(id_)) for id_, row in records.items() if row is None]
        with self.together():
            self.database.executemany(
                "INSERT INTO records VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET document = excluded.document",
                kept,
            )
            self.database.executemany("DELETE FROM records WHERE kind = ? AND id = ?", gone)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Keep all that is written inside, or none of it."""
        if self.database.in_transaction:
            yield
            return
        self.database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self.database.close()


class Table(Generic[R]):
    """All records of one type: read from memory, written through to the store.

    Args:
        store: What keeps them.
        model: Their type.
    """

    def __init__(self, store: Store, model: type[R]) -> None:
        self._store = store
        self._kind = model.kind
        loaded = (model.model_validate_json(text) for text in store.load(model.kind))
        self._rows: dict[UUID, R] = {row.id: row for row in loaded}

    def __contains__(self, key: UUID) -> bool:
        return key in self._rows

    def __getitem__(self, key: UUID) -> R:
        return self._rows[key]

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: UUID) -> R | None:
        """Return the record that has an id, if any has."""
        return self._rows.get(key)

    def keys(self) -> KeysView[UUID]:
        """Return all ids."""
        return self._rows.keys()

    def values(self) -> ValuesView[R]:
        """Return all records."""
        return self._rows.values()

    def put(self, *rows: R) -> None:
        """Keep records, new ones and changed ones."""
        by_id = {row.id: row for row in rows}
        self._store.write(self._kind, by_id)
        self._rows.update(by_id)

    def drop(self, *keys: UUID) -> None:
        """Forget records."""
        known = [key for key in keys if key in self._rows]
        if known:
            self._store.write(self._kind, dict.fromkeys(known))
        for key in known:
            self._rows.pop(key, None)
