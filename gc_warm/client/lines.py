"""A file of JSON lines through a function into another file, in as many runs as it takes.

While it runs, ``results.jsonl.part`` beside ``results.jsonl`` has what this run has done so far. At
its end, ``results.errors.jsonl`` has the errors, if there are any. Results are in the order of the
input's lines, so that they can be merged without being held in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import itertools
import json
import os
import shutil
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import filelock

from gc_warm.client.calls.failures import describe
from gc_warm.errors import GcWarmError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SHOWN = 2000


Record = dict[str, Any]
"""A line of the results: number and hash of the input's line, hash of the function, result."""


class Line(NamedTuple):
    """A line of the input."""

    number: int  # counted from 1
    digest: str  # the hash of its text
    text: str


@dataclass
class Summary:
    """How many lines a run has done."""

    done: int = 0
    failed: int = 0
    first_error: str = ""  # of the failed ones: the first that was known
    known: int = 0  # done before
    dropped: int = 0  # results that went: the function, or their lines, have changed


class LinesFile:
    """The results of a file, and what is missing in them.

    Args:
        source: The input: a JSON value in each line.
        target: The results.
        function: The hash of the function and of its version.
        spread: Whether each line must be a list of arguments.
        again: Whether to drop results of lines that are gone or changed, and of other functions.
        keep: Whether results of other functions count, too.
        others: Other files that the same run writes, such as a report.

    Raises:
        UsageError: Two of the files are the same, one is no file, or there is no input.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        *,
        function: str,
        spread: bool = False,
        again: bool = False,
        keep: bool = False,
        others: Iterable[Path] = (),
    ) -> None:
        if not source.is_file():
            raise UsageError(f"{source} is no file.")
        self._source = source
        if target.is_symlink():
            target = target.resolve()  # the link stays
        self._target = target
        self._function = function
        self._spread = spread
        self._again = again
        self._keep = keep
        self._part = target.with_name(f"{target.name}.part")
        self.errors = target.with_name(f"{target.stem}.errors{target.suffix or '.jsonl'}")
        written = [target, self.errors, *others]
        for each in written:
            if each.exists() and not each.is_file():  # a device, a pipe
                raise UsageError(f"{each} is no file, and cannot be replaced by one.")
        if any(each.exists() and each.samefile(source) for each in written):
            raise UsageError("The output would replace the input: give it another name.")
        if len({each.resolve() for each in written}) < len(written):
            raise UsageError("Two of the outputs are the same file: give one another name.")

    def run(self, call: Callable[[Iterator[Any]], Iterable[Any]]) -> Summary:
        """Do what is missing.

        Args:
            call: Takes the values of lines; yields a result or an exception for each, in order.

        Raises:
            GcWarmError: Another run writes to the same file.
            UsageError: The target is no file of results, or has results of other lines or of
                another function.
        """
        lock = filelock.FileLock(f"{self._target}.lock")
        try:
            with lock.acquire(timeout=0):
                try:
                    return self._run(call)
                finally:
                    Path(lock.lock_file).unlink(missing_ok=True)
        except filelock.Timeout:
            raise GcWarmError(f"Another run writes to {self._target}.") from None

    def values(self) -> Iterator[Any]:
        """Yield the values of the lines that have one."""
        for line in self._lines():
            with contextlib.suppress(ValueError):
                yield self._parse(line.text)

    def _run(self, call: Callable[[Iterator[Any]], Iterable[Any]]) -> Summary:
        self._check_errors()
        summary = Summary(dropped=self._count_stale())
        self._fold()
        failed = self.errors.with_name(f"{self.errors.name}.part")
        try:
            with (
                # Line by line: what is done stays, even if this process is killed.
                self._part.open("w", buffering=1, encoding="utf-8") as part,
                failed.open("w", buffering=1, encoding="utf-8") as errors,
            ):
                self._call(call, part, errors, summary)
        finally:
            self._fold()
            if failed.stat().st_size:
                _replace(self.errors, failed)
            else:
                failed.unlink()
                self.errors.unlink(missing_ok=True)
        return summary

    def _call(
        self,
        call: Callable[[Iterator[Any]], Iterable[Any]],
        part: IO[str],
        errors: IO[str],
        summary: Summary,
    ) -> None:
        under_way: deque[Line] = deque()

        def fail(line: Line, error: str, cause: object = None) -> None:
            errors.write(_failure(line, error, cause))
            summary.failed += 1
            summary.first_error = summary.first_error or f"line {line.number}: {error}"

        def values() -> Iterator[Any]:
            for line in self._missing(summary):
                try:
                    value = self._parse(line.text)
                except ValueError as error:  # noqa: PERF203 - each line has its own
                    fail(line, str(error))
                else:
                    under_way.append(line)
                    yield value

        for result in call(values()):
            line = under_way.popleft()
            if isinstance(result, BaseException):
                fail(line, describe(result), result.__cause__)
                continue
            try:
                part.write(self._text(line, result))
                summary.done += 1
            except (TypeError, ValueError, RecursionError) as error:
                fail(line, f"The result cannot be written as JSON: {error}")

    def _parse(self, text: str) -> Any:
        """Return a line's value.

        Raises:
            ValueError: It has none.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"The line is not UTF-8: {error.reason}") from None
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The line is not JSON: {error}") from None
        if self._spread and not isinstance(value, list):
            raise ValueError(f"The line must be a list of arguments, not {type(value).__name__}.")
        return value

    def _text(self, line: Line, result: Any) -> str:
        _require_text_keys(result)
        record = {"line": line.number, "input": line.digest, "function": self._function}
        return json.dumps({**record, "result": result}, allow_nan=False) + "\n"

    def _check_errors(self) -> None:
        """Refuse to replace a file that is no file of errors.

        Raises:
            UsageError: It is not.
        """
        if not self.errors.exists():
            return
        with self.errors.open(encoding="utf-8", errors="replace") as file:
            first = file.readline()
        try:
            if first:
                _ = _record(first)["error"] + ""
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{self.errors} would be replaced, and is no file of errors of gc-warm map. Give "
                "--output another name."
            ) from error

    def _lines(self) -> Iterator[Line]:
        with self._source.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for number, raw in enumerate(file, start=1):
                if text := raw.strip():
                    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
                    yield Line(number, digest[:16], text)

    def _results(self) -> Iterator[Record]:
        """Yield all results in the order of their lines; of one line, the latest first."""
        return heapq.merge(self._read(self._part), self._read(self._target), key=_number_of)

    def _beside(self, results: Iterator[Record]) -> Iterator[tuple[Line | None, list[Record]]]:
        """Yield each line with its results; None where there are results, but no line."""
        both: Iterator[Line | Record] = heapq.merge(self._lines(), results, key=_number_of)
        for _, found in itertools.groupby(both, key=_number_of):
            of_line = [*found]
            line = next((each for each in of_line if isinstance(each, Line)), None)
            yield line, [each for each in of_line if not isinstance(each, Line)]

    def _valid(self, line: Line | None, results: list[Record]) -> Record | None:
        """Return the result that is still the line's, if there is one."""
        for each in results:
            ours = self._keep or each["function"] == self._function
            if line is not None and each["input"] == line.digest and ours:
                return each
        return None

    def _missing(self, summary: Summary) -> Iterator[Line]:
        """Yield the lines without a result."""
        for line, results in self._beside(self._read(self._target)):
            if self._valid(line, results):
                summary.known += 1
            elif line is not None:
                yield line

    def _count_stale(self) -> int:
        """Return how many results must be dropped.

        Raises:
            UsageError: There are some, and the user has not allowed that.
        """
        lines = functions = 0
        for line, results in self._beside(self._results()):
            if results and not self._valid(line, results):
                of_line = line is not None and any(each["input"] == line.digest for each in results)
                functions, lines = functions + of_line, lines + (not of_line)
        if (lines or functions) and not self._again:
            raise UsageError(
                f"{self._target} has results of lines that are gone or changed ({lines:,}), or "
                f"of another version of the function ({functions:,}). --again drops them and "
                "computes what is missing; with --keep, those of another version count. Or give "
                "--output another name."
            )
        return lines + functions

    def _fold(self) -> None:
        """Add what a run has done, even if it was interrupted, to the results before it."""
        if not self._part.exists():
            return
        new = self._target.with_name(f"{self._target.name}.new")
        with new.open("w", encoding="utf-8") as file:
            for line, results in self._beside(self._results()):
                if valid := self._valid(line, results):
                    file.write(json.dumps(valid) + "\n")
            file.flush()
            os.fsync(file.fileno())
        _replace(self._target, new)
        self._part.unlink()

    def _read(self, path: Path) -> Iterator[Record]:
        if not path.exists():
            return
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                if not text.endswith("\n"):
                    return  # it was cut off
                try:
                    found = _record(text)
                    _ = found["result"], found["function"] + ""
                except (ValueError, TypeError, KeyError) as error:
                    raise UsageError(
                        f"{path}, line {number}, is no result of gc-warm map. Give --output "
                        "another name."
                    ) from error
                yield found


def _number_of(each: Line | Record) -> int:
    number: int = each.number if isinstance(each, Line) else each["line"]
    return number


def _record(text: str) -> Record:
    """Read a line of results or errors.

    Raises:
        ValueError, TypeError, KeyError: It is something else.
    """
    found: Record = json.loads(text)
    _ = found["line"] + 0, found["input"] + ""
    return found


def _failure(line: Line, error: str, cause: object) -> str:
    record = {"line": line.number, "input": line.digest, "error": error[:_SHOWN]}
    return json.dumps({**record, "traceback": str(cause or "")[-_SHOWN:]}) + "\n"


def _require_text_keys(value: Any) -> None:
    """Refuse keys that JSON would silently turn into strings.

    Raises:
        TypeError: A dictionary has such keys.
    """
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a dictionary has the key {key!r}, and JSON's keys are strings")
            _require_text_keys(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _require_text_keys(each)


def _replace(old: Path, new: Path) -> None:
    if old.exists():
        shutil.copymode(old, new)
    new.replace(old)
