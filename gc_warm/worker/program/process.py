"""`WarmProcess`: an external program that is started once and keeps answering."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gc_warm.errors.programs import ProgramCancelledError, ProgramRestartsError, ProgramTimeoutError
from gc_warm.worker.program.child import Child
from gc_warm.worker.program.exchange import SLICE, Exchange, RetiredError
from gc_warm.worker.program.restarts import RestartPolicy, Restarts
from gc_warm.worker.program.setup import Folders, choose_framing, prepare, require_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from typing_extensions import Self

    from gc_warm.worker.program.framing import Framing
    from gc_warm.worker.program.setup import Limits

_DEFAULT: Any = object()  # a call's timeout is that of the program
_STOP = 0.5  # seconds that a program has to end by itself; a worker is given about one
_EVERY = 100  # calls: how often the length of standard error is looked at


class ProgramInfo(NamedTuple):
    """What has happened to one `WarmProcess`.

    Attributes:
        pid: The program's process id; None while it does not run.
        calls: How many calls it has answered, in all its lives.
        restarts: How often it was started again.
        failures: How often it died, was too late, or could not be started.
        uptime: For how long it has been running, in seconds.
    """

    pid: int | None
    calls: int
    restarts: int
    failures: int
    uptime: float


class WarmProcess:
    """An external program that is started once, kept, and started again when it has died.

    It starts with the first call. Any number of threads may call; they take turns, or share the
    program if ``concurrency`` says so. When this process ends, the program ends, whatever happens.

    Args:
        command: The program and its arguments.
        framing: How requests and answers are told apart: a framing, or the name of one that is
            ready-made, such as ``"octave"``, which adds the options that the program needs;
            `JsonLines` if not given.
        timeout: How long a call may take, in seconds; None for any time.
        start_timeout: How long the program may take to become ready, in seconds; None likewise.
        concurrency: How many calls it may work on at once. Only a framing that numbers requests
            can have more than one.
        env: What to change in the environment; None as a value removes a variable.
        cwd: Its working directory; otherwise a private temporary one, removed with it. That is also
            its ``TMPDIR``, so what it leaves there when it is killed goes with it.
        keep_folder: Leave that folder where it is.
        umask: Its umask; otherwise this process's.
        limits: What it may use.
        pty: Give it a terminal, if it insists on one.
        restarts: How often and how soon it is started again after a failure.
        max_calls: Start it anew after so many calls.
        max_rss: Start it anew after a call that leaves it with more than so many bytes resident.
        idle_timeout: Stop it after so many seconds without a call; the next call starts it.
        timer: Returns the time in seconds, for ``restarts``.

    Raises:
        ProgramMissingError: There is no such program here.
        UsageError: An option makes no sense.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        framing: Framing | str | None = None,
        timeout: float | None = 600.0,
        start_timeout: float | None = 60.0,
        concurrency: int = 1,
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        keep_folder: bool = False,
        umask: int | None = None,
        limits: Limits | None = None,
        pty: bool = False,
        restarts: RestartPolicy | None = None,
        max_calls: int | None = None,
        max_rss: int | None = None,
        idle_timeout: float | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        require_options(locals())
        self.framing, command = choose_framing(framing, command)
        self.timeout = timeout
        self.start_timeout = start_timeout
        self.framing.require(concurrency)
        self._setup = prepare(
            command,
            env=env,
            own_folder=cwd is None,
            with_stderr=self.framing.with_stderr,
            pty=pty,
            umask=umask,
            limits=limits,
        )
        self._cwd = None if cwd is None else Path(cwd).absolute()
        self._keep_folder = keep_folder
        self._policy = restarts or RestartPolicy()
        self._timer = timer
        self._max_calls = max_calls
        self._max_rss = max_rss
        self._idle_timeout = idle_timeout
        self._concurrency = concurrency
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        """Begin with nothing started; so does a forked child."""
        one = self._concurrency == 1  # the usual case, for which there is a quicker lock
        self._turn: Any = threading.Lock() if one else threading.BoundedSemaphore(self._concurrency)
        self._starting = threading.Lock()
        self._counting = threading.Lock()
        self._closed = threading.Event()
        self._restarts = Restarts(self._policy, self._timer)
        self._folders: Folders | None = None
        self._exchange: Exchange | None = None
        self._last_failure = ""
        self._starts = self._failures = self._calls = self._calls_of_this_one = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<WarmProcess `{self.command}`, pid {self.info().pid}>"

    @property
    def command(self) -> str:
        """The command, as one would type it; long arguments are shortened."""
        return str(self._setup)

    @property
    def folder(self) -> Path:
        """The program's working directory."""
        return self._own_folders().work

    def call(self, request: Any, *, timeout: float | None = _DEFAULT) -> Any:
        """Send a request to the program, started if need be, and return its answer.

        Args:
            request: What the framing can express: for `JsonLines` anything that JSON can, else text
                in the program's language.
            timeout: How long this call may take, in seconds, a start included; None for any time.
                By default the program's ``timeout``.

        Returns:
            The answer: for `JsonLines` the decoded result, else text.

        Raises:
            RequestFailedError: The program answered with an error of its own. It still runs.
            ProgramError: There is no answer; one of its children says why. The next call gets a
                fresh program.
            UsageError: The framing cannot express the request, or the timeout is not positive. The
                program was sent nothing.
        """
        if timeout is _DEFAULT:
            timeout = self.timeout
        else:
            require_options({"timeout": timeout})
        seconds = _or_infinity(timeout)
        deadline = time.monotonic() + seconds
        if not self._turn.acquire(blocking=False):
            self._wait_for(self._turn, deadline)
        try:
            while True:
                exchange = self._running(deadline)
                try:
                    return exchange.ask(request, seconds, deadline, self.framing.late)
                except RetiredError:  # since a moment ago: the next one takes the call
                    continue
                finally:
                    self._settle(exchange)
        finally:
            self._turn.release()

    def start(self) -> None:
        """Start the program now, if it does not run; otherwise the first call does.

        Raises:
            ProgramError: It could not be started.
        """
        self._running(math.inf)

    def cancel(self) -> None:
        """End the calls that are under way in other threads, and the program with them."""
        if (exchange := self._exchange) is not None:
            exchange.interrupt("was stopped, because the call was cancelled")

    def stop(self) -> None:
        """Stop the program when its calls are answered; the next call starts it again."""
        if (exchange := self._exchange) is not None:
            exchange.retire(_STOP)

    def close(self) -> None:
        """Stop the program for good, and remove its folders. Calls under way are cancelled."""
        self._closed.set()
        exchange = self._exchange
        if exchange is not None and exchange.users:
            exchange.interrupt("was closed")
        self.stop()
        if self._folders is not None:
            self._folders.remove()

    @contextlib.contextmanager
    def shared(self, size: int = 0) -> Iterator[Path]:
        """Make a folder for data too large for the pipe, and remove it afterwards.

        It lies in memory if this machine has a folder that does, and only this user can look into
        it. Requests and answers then name files in it. The program is started first: its watcher
        removes the folder if this process is killed.

        Args:
            size: How many bytes it must have room for.

        Yields:
            Its absolute path.

        Raises:
            OSError: There is nowhere so much room.
            ProgramError: The program could not be started.
        """
        self.start()
        folder = self._own_folders().make_shared(size)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def info(self) -> ProgramInfo:
        """Return what has happened to the program so far."""
        exchange = self._exchange
        child = exchange.child if exchange is not None and exchange.takes_calls() else None
        return ProgramInfo(
            pid=child.pid if child else None,
            calls=self._calls,
            restarts=max(0, self._starts - 1),
            failures=self._failures,
            uptime=time.monotonic() - child.started if child else 0.0,
        )

    def _running(self, deadline: float) -> Exchange:
        """Return the running program, started if need be."""
        exchange = self._exchange
        if exchange is not None and exchange.takes_calls():
            return exchange
        self._wait_for(self._starting, deadline)
        try:
            exchange = self._exchange
            if exchange is None or not exchange.takes_calls():
                exchange = self._start(deadline)
            return exchange
        finally:
            self._starting.release()

    def _start(self, deadline: float) -> Exchange:
        if self._exchange is not None:
            self._let_go(self._exchange)
        self._wait_until_allowed(deadline)
        child = Child(self._setup, self._own_folders())
        exchange = Exchange(child, self.framing.open(self.command))
        self._exchange = exchange
        self._starts += 1
        self._calls_of_this_one = 0
        try:
            self._greet(exchange, deadline)
        except BaseException:
            self._let_go(exchange)
            raise
        if self._idle_timeout is not None:
            exchange.stop_when_idle(self._idle_timeout, _STOP)
        return exchange

    def _greet(self, exchange: Exchange, deadline: float) -> None:
        if self._closed.is_set():  # since the program was started
            exchange.interrupt("was closed")
        seconds = min(_or_infinity(self.start_timeout), deadline - time.monotonic())
        exchange.wait_until_ready(seconds, self.framing.hint)

    def _wait_until_allowed(self, deadline: float) -> None:
        """Wait as long as the back-off says."""
        if refused := self._restarts.seconds_refused():
            reason = (
                f"has failed {self._policy.budget + 1} times within {self._policy.window:g} s, and "
                f"is not started again for {refused:.3g} s. Most recently it {self._last_failure}"
            )
            raise ProgramRestartsError(self.command, reason)
        start = time.monotonic() + self._restarts.seconds_to_wait()
        while (left := start - time.monotonic()) > 0:
            self._check(deadline)
            self._closed.wait(min(SLICE, left))
        self._check(deadline)

    def _wait_for(self, lock: Any, deadline: float) -> None:
        self._check(deadline)
        while not lock.acquire(timeout=max(0.0, min(SLICE, deadline - time.monotonic()))):
            self._check(deadline)

    def _check(self, deadline: float) -> None:
        if self._closed.is_set():
            raise ProgramCancelledError(self.command, "was closed")
        if time.monotonic() >= deadline:
            reason = "was busy with other calls, or with its start, until time was up"
            raise ProgramTimeoutError(self.command, reason)

    def _settle(self, exchange: Exchange) -> None:
        """Count a call that ended, and see whether the program should go on."""
        if exchange.failure is not None:
            with self._starting:
                self._let_go(exchange)
            return
        if exchange.retired:
            return
        with self._counting:
            self._calls += 1
            self._calls_of_this_one += 1
        self._restarts.succeeded()
        if not self._calls % _EVERY:
            exchange.child.shorten_log()
        if self._is_used_up(exchange):
            exchange.retire(_STOP)

    def _is_used_up(self, exchange: Exchange) -> bool:
        if self._max_calls is not None and self._calls_of_this_one >= self._max_calls:
            return True
        return self._max_rss is not None and exchange.child.rss() > self._max_rss

    def _let_go(self, exchange: Exchange) -> None:
        """Note, once, why a program that takes no more calls has ended."""
        if self._exchange is not exchange:
            return
        self._exchange = None
        failure = exchange.failure
        if failure is not None and not exchange.cancelled:
            self._failed(failure.reason)
        elif failure is None and not exchange.retired:
            self._failed(f"{exchange.child.how_it_ended()} between two calls")
        exchange.retire(0.0)

    def _failed(self, reason: str) -> None:
        self._failures += 1
        self._last_failure = reason
        self._restarts.failed()

    def _own_folders(self) -> Folders:
        if self._folders is None:
            self._check(math.inf)
            self._folders = Folders(self._cwd, keep=self._keep_folder)
        return self._folders

    def _abandon(self) -> None:
        """Forget the parent's program, in a forked child, which starts its own if it calls."""
        if self._exchange is not None:
            self._exchange.child.abandon()
        if self._folders is not None:
            self._folders.remove.detach()
        self._reset()


def _or_infinity(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


_all: weakref.WeakSet[WarmProcess] = weakref.WeakSet()


def _abandon_all() -> None:
    for program in list(_all):
        program._abandon()  # noqa: SLF001  (a fork concerns them all)


os.register_at_fork(after_in_child=_abandon_all)
