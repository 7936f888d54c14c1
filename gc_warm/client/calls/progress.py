"""How far a `map` is: a bar on a terminal, log lines elsewhere, nothing on standard output."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

LINE_SECONDS = 10.0
"""How far apart log lines are."""

_BAR_SECONDS = 0.1


class Watcher:
    """Shows nothing."""

    def show(self, done: int, failed: int) -> None:
        """Show how many items are done, and how many of them failed."""

    def close(self) -> None:
        """Stop showing anything."""


class Lines(Watcher):
    """Writes a line to the log now and then.

    Args:
        name: The function's.
        length: How many items there are, if that is known.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, name: str, length: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._of = "" if length is None else f" of {length:,}"
        self._clock = clock
        self._next = clock() + LINE_SECONDS

    def show(self, done: int, failed: int) -> None:
        """Write a line, unless the last one is recent."""
        if self._clock() >= self._next:
            self._next = self._clock() + LINE_SECONDS
            log.info("%s: %s%s done, %s failed", self._name, f"{done:,}", self._of, failed)


class Bar(Watcher):
    """Draws a bar on standard error, for as long as that is possible.

    Nothing is drawn by a thread of its own: what a closed terminal raises ends no `map`.
    """

    def __init__(self, name: str, length: int | None) -> None:
        from rich import progress
        from rich.console import Console
        from rich.markup import escape

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[failed]}", style="red"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(escape(name), total=length, failed="")
        self._next = 0.0
        self._bar.start()

    def show(self, done: int, failed: int) -> None:
        """Draw it, unless it has just been drawn."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _BAR_SECONDS
            said = f"{failed:,} failed" if failed else ""
            with contextlib.suppress(Exception):
                self._bar.update(self._task, completed=done, failed=said, refresh=True)

    def close(self) -> None:
        """Remove it."""
        with contextlib.suppress(Exception):
            self._bar.stop()


def watcher(name: str, length: int | None, progress: bool | None) -> Watcher:  # noqa: FBT001
    """Return what shows the progress of a `map`."""
    if progress is False:
        return Watcher()
    with contextlib.suppress(Exception):  # there is no standard error, or it is closed
        if sys.stderr.isatty():
            return Bar(name, length)
    return Lines(name, length)
