"""What is remembered of each task, and the files that it is written to."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
import socket
import threading
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pydantic

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)

KEPT = 100_000
"""How many tasks an executor remembers; its file has all of them."""

SLOWEST = 3

Count = Annotated[int, pydantic.Field(ge=0, lt=2**63)]
Seconds = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class TaskRecord:
    """One task: one or many calls of a function. Times are in seconds since the epoch."""

    __pydantic_config__ = pydantic.ConfigDict(extra="forbid")

    id: str  # files that are merged may hold a record twice; it counts once
    client: str  # host and process that submitted it
    function: str  # as module.name
    submitted: Seconds
    received: Seconds  # when its result came, or its failure
    payload_bytes: Count = 0  # what was sent with it, besides the function
    attempt: Count = 1  # more for calls that were lost with a worker before
    lost: str | None = None  # how its worker was lost, or why else the task failed as a whole
    # What follows is only known of tasks that did not fail.
    host: str | None = None  # the worker's machine
    pid: Count | None = None  # the worker's process
    rank: str | None = None  # the worker's rank in its block, if it has one
    block: str | None = None  # its block, if it has one
    task_id: str | None = None  # if the executor has task ids
    started: Seconds = 0.0  # by the client's clock
    seconds: Seconds = 0.0  # how long it ran
    calls: Count = 0
    failed: Count = 0  # calls that raised an error
    cold: Count = 0  # calls that built a warm state
    warm: Count = 0  # calls that used one, and built none
    hits: Count = 0  # how many times calls found a state warm
    call_seconds: Seconds = 0.0  # all calls together
    build_seconds: Seconds = 0.0  # the builds, together
    result_bytes: Count = 0
    # Of each build: state, arguments, seconds, and at most how long it began after the task.
    builds: tuple[tuple[str, str, Seconds, Seconds], ...] = ()
    # Of the slowest calls: seconds, and the item's number in its `map`, if it has one.
    slowest: tuple[tuple[Seconds, Count | None], ...] = ()

    @property
    def worker(self) -> tuple[str, int] | None:
        """Which process ran it."""
        return None if self.host is None or self.pid is None else (self.host, self.pid)

    def as_json(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":")) + "\n"


def read_records(paths: Iterable[str | os.PathLike[str]]) -> Iterator[TaskRecord]:
    """Yield the records of files, each once.

    A line that was cut off is left out, with a warning in the log.

    Args:
        paths: JSON lines, of one client or several.

    Raises:
        UsageError: A file cannot be read, or is something else.
    """
    seen: set[str] = set()
    for path in paths:
        try:
            number = 0
            with Path(path).open("rb") as file:
                for number, line in enumerate(file, start=1):
                    record = _record_of(line, first=number == 1)
                    if record is None:
                        log.warning("%s: line %d was cut off, and is left out", path, number)
                    elif record.id not in seen:
                        seen.add(record.id)
                        yield record
        except OSError as error:  # noqa: PERF203 - each file has its own
            raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
        except ValueError as error:
            raise UsageError(
                f"{path} is no file of receipts: line {number} is wrong ({error}). Write one with "
                "WarmExecutor(..., receipts=PATH) or report().save(PATH)."
            ) from error


@functools.cache
def _reader() -> pydantic.TypeAdapter[TaskRecord]:
    return pydantic.TypeAdapter(TaskRecord)


def _record_of(line: bytes, *, first: bool) -> TaskRecord | None:
    """Return what a line says; None if it was cut off.

    Raises:
        ValueError: It is something else.
    """
    if not line.endswith(b"\n") and line.startswith(b"{"):
        return None
    try:
        return _reader().validate_json(line, strict=True)
    except pydantic.ValidationError as error:
        wrong = error.errors()[0]
        if wrong["type"] == "json_invalid" and not first:  # else it is another kind of file
            return None
        raise ValueError(": ".join([*map(str, wrong["loc"]), wrong["msg"]])) from None


class Ledger:
    """Remembers tasks, and writes them to a file as they end.

    Several executors and processes may share a file: each line is written in one piece.

    Args:
        path: The file, if there is one.

    Raises:
        UsageError: It cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.client = f"{socket.gethostname()}:{os.getpid()}"
        self._records: deque[TaskRecord] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._file: int | None = None
        self._warned = False
        if path is not None:
            try:
                self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
                if _is_cut_off(self._file):
                    os.write(self._file, b"\n")  # or the first record would be lost, too
            except OSError as error:
                raise UsageError(f"receipts={str(path)!r}: {error.strerror}.") from error

    def add(self, **fields: Any) -> None:
        """Remember a task: the fields of its record, except for those that the ledger knows."""
        record = TaskRecord(id=uuid.uuid4().hex, client=self.client, **fields)
        with self._lock:
            self._records.append(record)
            if self._file is not None:
                self._write(record.as_json().encode())

    def _write(self, line: bytes) -> None:
        """Write a line; if that fails, results must not be lost."""
        assert self._file is not None
        try:
            if os.write(self._file, line) == len(line):
                return
            reason = "not all of a line was written"
        except OSError as error:
            reason = error.strerror or str(error)
        if not self._warned:
            self._warned = True
            log.warning("receipts are not written: %s", reason)

    def records(self) -> list[TaskRecord]:
        """Return what is remembered."""
        with self._lock:
            return list(self._records)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def _is_cut_off(file: int) -> bool:
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"
