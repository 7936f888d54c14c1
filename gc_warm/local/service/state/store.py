"""Where records are kept: in memory, or in a file that survives the service."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from gc_warm.errors import UsageError
from gc_warm.local.service.state.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_APPLICATION_ID = int.from_bytes(b"gcwm", "big")

R = TypeVar("R", bound=Record)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, id)
)
"""


class Store:
    """Keeps nothing: what the tables hold is all there is."""

    def load(self, kind: str) -> Iterable[str]:  # noqa: ARG002 - for those that keep something
        """Return all documents of a kind, in the order in which they came."""
        return ()

    def write(self, kind: str, records: Mapping[UUID, Record | None]) -> None:
        """Keep records by their ids; forget those that are None."""

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Keep all that is written inside, or none of it."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Let go of what is open."""


class SqliteStore(Store):
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
            _make(path)
            self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._take(path)
            except BaseException:
                self.database.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise unusable(path, error) from error

    def _take(self, path: Path) -> None:
        self.database.execute("PRAGMA locking_mode = EXCLUSIVE")
        if not self._is_ours():
            raise UsageError(f"The state file {path} is another program's database: use a new one.")
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(name).chmod(0o600)  # they hold secrets
        self.database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = NORMAL")
        self.database.execute(_SCHEMA)

    def _is_ours(self) -> bool:
        (application_id,) = self.database.execute("PRAGMA application_id").fetchone()
        if application_id:
            return bool(application_id == _APPLICATION_ID)
        (parts,) = self.database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return not parts  # it is new

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


def unusable(path: Path, error: Exception) -> UsageError:
    """Return the error that says that a state file cannot be used."""
    why = str(error) if isinstance(error, sqlite3.Error | OSError) else "a record cannot be read"
    return UsageError(
        f"The state file {path} cannot be used ({why}). Does another service have it, is it "
        "damaged, or is it something else?"
    )


def _make(path: Path) -> None:
    """Make a state file that nobody else can read: SQLite gives its other files the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        # Not opened here: closing it would release the locks of another service in this process.
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"The state file {path} is not a regular file.") from None
        if found.st_uid != os.geteuid():
            raise UsageError(f"The state file {path} is someone else's.") from None


class Table(dict[UUID, R]):
    """All records of one type by their ids: read from memory, written through to the store.

    Args:
        store: What keeps them.
        model: Their type.
    """

    def __init__(self, store: Store, model: type[R]) -> None:
        self._store = store
        self._kind = model.kind
        loaded = (model.model_validate_json(text) for text in store.load(model.kind))
        super().__init__({row.id: row for row in loaded})

    def put(self, *rows: R) -> None:
        """Keep records, new ones and changed ones."""
        by_id = {row.id: row for row in rows}
        self._store.write(self._kind, by_id)
        self.update(by_id)

    def drop(self, *keys: UUID) -> None:
        """Forget records."""
        known = [key for key in keys if key in self]
        if known:
            self._store.write(self._kind, dict.fromkeys(known))
        for key in known:
            self.pop(key, None)
