"""The file that remembers which functions are registered, meant to be committed.

It is replaced as a whole and under a lock, so readers never see half of it, and two programs that
register at once lose nothing.
"""

from __future__ import annotations

import json
import os
import uuid
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import filelock

from gc_warm.errors.client import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 1
LOCK_SECONDS = 120.0


@dataclass(frozen=True)
class Version:
    """A function as it was registered once.

    Attributes:
        id: Its function id.
        hash: The hash of what it carries.
        registered: When, in UTC.
    """

    id: str
    hash: str
    registered: str


@dataclass(frozen=True)
class Entry:
    """A registered function.

    Attributes:
        name: What it is called in the manifest.
        target: Where it is defined, ``module:function``.
        current: Its present version.
        history: Those before, newest first.
        public: Whether anyone may run it.
        group: The Globus group that may run it, if any.
        description: What the service says of it; None for its docstring.
    """

    name: str
    target: str
    current: Version
    history: tuple[Version, ...] = ()
    public: bool = False
    group: str | None = None
    description: str | None = None

    def renewed(self, entry: Entry) -> Entry:
        """Return a new registration of the same name, with this one in its history."""
        return replace(entry, history=(self.current, *self.history))

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as it stands in the file."""
        return {
            "target": self.target,
            **asdict(self.current),
            "public": self.public,
            "group": self.group,
            "description": self.description,
            "history": [asdict(version) for version in self.history],
        }


class Manifest:
    """A manifest's file.

    Args:
        path: The file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Entry]:
        """Return all entries by name, without waiting for who writes.

        Raises:
            RegistryError: It is no manifest.
        """
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise RegistryError(f"Cannot read {self.path}: {error}.") from error
        try:
            return _entries(data)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RegistryError(
                f"{self.path} is no manifest of functions that this version of gc-warm can read "
                f"({type(error).__name__}: {error}). If git left conflict marks in it, resolve "
                "them; each function's newest id comes first."
            ) from error

    @contextmanager
    def changing(self, timeout: float = LOCK_SECONDS) -> Iterator[dict[str, Entry]]:
        """Give the entries to change, alone; they are written if no exception comes.

        Args:
            timeout: How long to wait for another program that changes it, in seconds.

        Raises:
            RegistryError: The file cannot be written, or another program does not let go of it.
        """
        if not self.path.parent.is_dir():
            raise RegistryError(f"Cannot write {self.path}: there is no {self.path.parent}.")
        lock = filelock.FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=timeout)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise RegistryError(
                f"Another program has held {self.path} for {timeout:g} seconds."
            ) from error
        except OSError as error:
            raise RegistryError(f"Cannot write beside {self.path}: {error}.") from error
        try:
            entries = self.read()
            before = dict(entries)
            yield entries
            if entries != before:
                self._write(entries)
        finally:
            lock.release()

    def _write(self, entries: dict[str, Entry]) -> None:
        functions = {name: entry.as_dict() for name, entry in sorted(entries.items())}
        text = json.dumps({"format": FORMAT, "functions": functions}, indent=2) + "\n"
        new = self.path.with_name(f".{self.path.name}.new")  # the lock makes it ours
        try:
            new.unlink(missing_ok=True)  # of a program that was killed
            with new.open("x", encoding="utf-8") as file:
                if self.path.exists():
                    new.chmod(self.path.stat().st_mode)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError as error:
            raise RegistryError(f"Cannot write {self.path}: {error}.") from error
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)


def _entries(data: Any) -> dict[str, Entry]:
    if data["format"] != FORMAT:
        raise ValueError(f"its format is {data['format']!r}")
    return {str(name): _entry(str(name), each) for name, each in data["functions"].items()}


def _entry(name: str, data: dict[str, Any]) -> Entry:
    return Entry(
        name=name,
        target=str(data["target"]),
        current=_version(data),
        history=tuple(_version(each) for each in data["history"]),
        public=bool(data["public"]),
        group=data["group"],
        description=data["description"],
    )


def _version(data: dict[str, Any]) -> Version:
    return Version(str(uuid.UUID(data["id"])), str(data["hash"]), str(data["registered"]))
