"""The file that remembers which functions are registered, meant to be committed.

It is replaced as a whole and under a lock: readers never see half of it, and two programs that
register at once lose nothing.
"""

from __future__ import annotations

import json
import os
import stat
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from gc_warm.client.strategies import DEFAULT_CODE
from gc_warm.errors.client import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
LOCK_SECONDS = 120.0
MAX_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class Version:
    """A function as it was registered once."""

    id: str
    hash: str  # of what it carries
    registered: str  # when, in UTC
    strategy: str = DEFAULT_CODE  # the SDK's, which serialized it
    others: dict[str, Any] = field(default_factory=dict)  # fields of the file that are not ours

    def as_dict(self) -> dict[str, Any]:
        """Return the version as it stands in the file."""
        known = {name: getattr(self, name) for name in _OF_VERSIONS}
        return {**known, **self.others}


@dataclass(frozen=True)
class Entry:
    """A registered function."""

    name: str  # in the manifest
    target: str  # where it is defined, as module:function
    current: Version
    history: tuple[Version, ...] = ()  # older versions, newest first
    public: bool = False  # anyone may run it
    group: str | None = None  # the Globus group that may run it
    description: str | None = None  # what the service says of it; None for its docstring
    others: dict[str, Any] = field(default_factory=dict)  # fields of the file that are not ours

    def renewed(self, entry: Entry) -> Entry:
        """Return a new registration of the same name, with this one in its history."""
        return replace(entry, history=(self.current, *self.history), others=self.others)

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as it stands in the file."""
        return {
            "target": self.target,
            **self.current.as_dict(),
            "public": self.public,
            "group": self.group,
            "description": self.description,
            "history": [version.as_dict() for version in self.history],
            **self.others,
        }


_OF_VERSIONS = ("id", "hash", "registered", "strategy")
_OF_ENTRIES = {*_OF_VERSIONS, "target", "public", "group", "description", "history"}


class Manifest:
    """A manifest's file.

    Args:
        path: The file, or a link to it. It need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Entry]:
        """Return all entries by name, without waiting for programs that write.

        Raises:
            RegistryError: It is no manifest.
        """
        return self._parse(self._load())

    @contextmanager
    def changing(self, timeout: float = LOCK_SECONDS) -> Iterator[dict[str, Entry]]:
        """Yield the entries, to be changed under a lock; write them, unless there was an error.

        Args:
            timeout: How long to wait for another program that changes the file, in seconds.

        Raises:
            RegistryError: The file cannot be written, or another program has locked it.
        """
        file = self._target()
        lock = filelock.FileLock(file.with_name(f".{file.name}.lock"), timeout=timeout)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise RegistryError(
                f"Another program has locked {self.path} for {timeout:g} seconds."
            ) from error
        except OSError as error:
            raise RegistryError(f"Cannot write beside {self.path}: {error}.") from error
        try:
            data = self._load()
            entries = self._parse(data)
            before = dict(entries)
            yield entries
            if entries != before:
                functions = {name: entry.as_dict() for name, entry in sorted(entries.items())}
                self._write(file, {**data, "format": FORMAT, "functions": functions})
        finally:
            lock.release()

    def _load(self) -> dict[str, Any]:
        try:
            text = _read_file(self.path)
            empty: dict[str, Any] = {"format": FORMAT, "functions": {}}
            return empty if text is None else json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            raise RegistryError(f"Cannot read {self.path}: {error}.") from error

    def _parse(self, data: Any) -> dict[str, Entry]:
        try:
            return _entries(data)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RegistryError(
                f"{self.path} is no manifest of functions that this version of gc-warm can read "
                f"({_reason(error)}). If git left conflict marks in it, resolve "
                "them; each function's newest id comes first."
            ) from error

    def _target(self) -> Path:
        """Return the file to replace; a link to it stays."""
        try:
            file = Path(os.path.realpath(self.path))
            if file.parent.is_dir():
                return file
        except (OSError, ValueError) as error:
            raise RegistryError(f"Cannot write {self.path}: {error}.") from error
        raise RegistryError(f"Cannot write {self.path}: there is no {file.parent}.")

    def _write(self, file: Path, data: dict[str, Any]) -> None:
        new = file.with_name(f".{file.name}.new")  # ours, by the lock
        try:
            new.unlink(missing_ok=True)  # a program that was killed may have left one
            with new.open("x", encoding="utf-8") as output:
                if file.exists():
                    new.chmod(file.stat().st_mode)
                output.write(json.dumps(data, indent=2) + "\n")
                output.flush()
                os.fsync(output.fileno())
            new.replace(file)
        except OSError as error:
            raise RegistryError(f"Cannot write {self.path}: {error}.") from error
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """Return what is wrong with data that could not be taken apart."""
    if isinstance(error, KeyError):
        return f"{error} is missing in it"
    return str(error) if isinstance(error, ValueError) else "a value in it is of the wrong type"


def _read_file(path: Path) -> str | None:
    """Return a file's text, or None if there is none. Devices and pipes may never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, encoding="utf-8") as file:  # noqa: PTH123  (a descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        text = file.read(MAX_BYTES)
    if len(text) == MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES:,} characters")
    return text


def _entries(data: Any) -> dict[str, Entry]:
    if data["format"] != FORMAT:
        raise ValueError(f"its format is {data['format']!r}")
    return {_text(name): _entry(name, each) for name, each in data["functions"].items()}


def _entry(name: str, data: dict[str, Any]) -> Entry:
    return Entry(
        name=name,
        target=_text(data["target"]),
        current=_version(data),
        history=tuple(_version(each, of_history=True) for each in data["history"]),
        public=bool(data["public"]),
        group=None if data["group"] is None else _text(data["group"]),
        description=data["description"],
        others={key: value for key, value in data.items() if key not in _OF_ENTRIES},
    )


def _version(data: dict[str, Any], *, of_history: bool = False) -> Version:
    others = {key: value for key, value in data.items() if key not in _OF_VERSIONS}
    return Version(
        id=str(uuid.UUID(data["id"])),
        hash=_text(data["hash"]),
        registered=_text(data["registered"]),
        strategy=_text(data.get("strategy", DEFAULT_CODE)),
        others=others if of_history else {},
    )


def _text(value: Any) -> str:
    """Return a text that can be printed as it is, to a terminal or as a comment in YAML."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r} is no printable text")
    return value
