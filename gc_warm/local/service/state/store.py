"""Stores for records: memory, or a file that survives the service."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import stat
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from gc_warm.errors import UsageError
from gc_warm.local.service.state.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_APPLICATION_ID = int.from_bytes(b"gcwm", "big")

R = TypeVar("R", bound=Record)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, id)
)
"""


class Store:
    """Keeps nothing: the records are in the tables only."""

    def load(self, model: type[R]) -> Iterable[R]:  # noqa: ARG002 - subclasses use it
        """Return all records of a type, in the order in which they were added."""
        return ()

    def write(self, model: type[R], rows: Sequence[R]) -> None:
        """Keep new or changed records of a type."""

    def delete(self, model: type[R], keys: Sequence[UUID]) -> None:
        """Delete records of a type."""

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Keep all that is written within the block, or nothing."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Close the store."""


class SqliteStore(Store):
    """Keeps records in an SQLite file.

    All that was written survives if the process is killed. After a power failure, the last writes
    may be missing, because the store does not wait for the disk.

    Args:
        path: The file; it is made if it is missing.

    Attributes:
        database: The open file; each statement outside `together` is a transaction of its own.

    Raises:
        UsageError: The file cannot be opened, or is not a state file.
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

    def load(self, model: type[R]) -> Iterator[R]:
        """Yield all records of a type, in the order in which they were added."""
        adapter: TypeAdapter[Any] = _adapter(model)  # type: ignore[arg-type]  # it has a hash
        query = "SELECT document FROM records WHERE kind = ? ORDER BY rowid"
        for (document,) in self.database.execute(query, (model.kind,)):
            yield adapter.validate_json(document)

    def write(self, model: type[R], rows: Sequence[R]) -> None:
        """Keep new or changed records of a type."""
        adapter: TypeAdapter[Any] = _adapter(model)  # type: ignore[arg-type]  # it has a hash
        with self.together():
            self.database.executemany(
                "INSERT INTO records VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET document = excluded.document",
                [(model.kind, str(row.id), adapter.dump_json(row).decode()) for row in rows],
            )

    def delete(self, model: type[R], keys: Sequence[UUID]) -> None:
        """Delete records of a type."""
        with self.together():
            self.database.executemany(
                "DELETE FROM records WHERE kind = ? AND id = ?",
                [(model.kind, str(key)) for key in keys],
            )

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Keep all that is written within the block, or nothing."""
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


@functools.cache
def _adapter(model: type[Record]) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def unusable(path: Path, error: Exception) -> UsageError:
    """Return the error for a state file that cannot be used."""
    why = str(error) if isinstance(error, sqlite3.Error | OSError) else "a record cannot be read"
    return UsageError(
        f"The state file {path} cannot be used ({why}). Does another service use it, is it "
        "damaged, or is it another kind of file?"
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
            raise UsageError(f"The state file {path} belongs to another user.") from None


class Table(dict[UUID, R]):
    """All records of one type by id: read from memory, and written through to the store.

    Args:
        store: Keeps the records.
        model: The type of the records.
    """

    def __init__(self, store: Store, model: type[R]) -> None:
        super().__init__({row.id: row for row in store.load(model)})
        self._store = store
        self._model = model

    def put(self, *rows: R) -> None:
        """Keep new or changed records."""
        self._store.write(self._model, rows)
        for row in rows:
            self[row.id] = row

    def drop(self, *keys: UUID) -> None:
        """Delete records."""
        if keys:
            self._store.delete(self._model, keys)
        for key in keys:
            self.pop(key, None)
