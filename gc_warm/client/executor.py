"""`WarmExecutor`: what makes many calls on warm workers fast and visible, over any executor."""

from __future__ import annotations

import builtins
import concurrent.futures
import contextlib
import numbers
import threading
import time
from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gc_warm.client.abandoning import abandon
from gc_warm.client.calls.order import Order, key_of
from gc_warm.client.calls.pace import Pace
from gc_warm.client.calls.progress import watcher
from gc_warm.client.calls.receipts import Accounts, Sent, following
from gc_warm.client.calls.records import Ledger
from gc_warm.client.calls.run import Plan, Results, Run
from gc_warm.client.calls.target import Target, require
from gc_warm.client.calls.visits import Visit, Visits, require_count
from gc_warm.client.report.report import Report
from gc_warm.errors import UsageError
from gc_warm.worker.state.stats import stats as stats_of_worker

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from concurrent.futures import Future
    from types import TracebackType

AHEAD = 10_000
"""How many items `map` reads at most before the first of them is done."""


class WarmExecutor(concurrent.futures.Executor):
    """Adds to an executor what many calls on warm workers need.

    Functions are sent self-contained, whether they are marked so or not. Calls go out in chunks.
    Each has a receipt, and `report` turns receipts into tables and pictures. An exception comes
    back as it was raised, with the worker's traceback as its cause; if its class cannot be loaded
    here, as a `gc_warm.errors.CallError`.

    The end of a ``with`` block shuts the executor below down; after an error or Ctrl-C, without
    waiting for what is under way.

    Args:
        executor: A ``globus_compute_sdk.Executor``, a `LocalExecutor`, or any executor of
            `concurrent.futures`.
        workers: How many workers it has, if it does not say so itself: a hint for `map`, and how
            many `prewarm` reaches by default.
        output: Keep what each call prints, logs and warns in its receipt, at most 64 KB of it.
            Programs and threads that the call starts are not heard.
        receipts: A file to which each task's receipt is added, as a line of JSON. Several
            executors, also in several processes, may share it.

    Raises:
        UsageError: An argument is wrong.
    """

    def __init__(
        self,
        executor: concurrent.futures.Executor,
        *,
        workers: int | None = None,
        output: bool = False,
        receipts: str | os.PathLike[str] | None = None,
    ) -> None:
        if isinstance(executor, WarmExecutor):
            raise UsageError(f"{executor!r} is a WarmExecutor already: use it as it is.")
        self._target = Target(executor, workers)
        self._output = output
        self._ledger = Ledger(receipts)
        self._accounts = Accounts(self._ledger, packed=self._target.packed)

    @property
    def executor(self) -> concurrent.futures.Executor:
        """The executor below."""
        return self._target.executor

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.executor!r})"

    # One call

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function on a worker.

        Args:
            fn: The function.
            args: Its positional arguments.
            kwargs: Its named arguments.

        Returns:
            A future of the executor's own kind, whose ``result()`` is what the function returned.
            When it is done, its ``receipt`` is a `CallReceipt`; None if the worker was lost.

        Raises:
            UsageError: The function or the arguments cannot be sent.
            ShippingError: The function cannot be made self-contained.
        """
        sendable = self._target.sendable(fn)
        item, size = self._target.pack(args, kwargs)
        sent = Sent(sendable.name, time.time(), [size])
        task = self._target.send(sendable, [item], most=self._target.most, output=self._output)
        return following(task, sent, self._accounts, receipted=sendable.receipted)

    # Many calls

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        chunksize: int | Literal["auto"] = "auto",
        key: Callable[..., Hashable] | str | None = None,
        ordered: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        retries: int = 0,
        return_exceptions: bool = False,
        ahead: int = AHEAD,
    ) -> Results:
        """Call a function with each item, as the built-in `map` does.

        The first chunks go out at once; the others as results are asked for, in the thread that
        asks for them. So the input may be endless, and does not fill the memory.

        Args:
            fn: The function.
            iterables: As many as the function has arguments. The shortest ends the map.
            chunksize: How many items go into a task. ``"auto"`` adapts to how long calls and round
                trips take, and to what the services can carry.
            key: Which warm state an item needs: the name of the argument that says so, or a
                function of the item's arguments that returns it. Items of one key go out together,
                as far as `ahead` reaches, so that workers with room for one state do not build it
                again and again. Results keep their order.
            ordered: Return results in the order of the items, not as they are done.
            timeout: How long the whole map may take, in seconds from now.
            progress: Show a bar on a terminal, or else log a line every ten seconds, unless this
                is False.
            retries: How often a chunk is tried again when its worker is lost: in pieces, and the
                last time each item alone.
            return_exceptions: Return what an item raised in place of its result.
            ahead: How many items may be read before the first of them is returned.

        Returns:
            An iterator of the results. An item's exception is raised at that item. What the input
            or `key` raises comes after the results of what was read before. The next results can
            still be asked for. ``close()`` cancels what has not begun.

        Raises:
            UsageError: An argument is wrong, or cannot be sent.
            TimeoutError: From the iterator: the time is up.
        """
        if not iterables:
            raise UsageError("map() needs at least one iterable: map(function, items).")
        if chunksize != "auto":
            require("chunksize", chunksize, 1)
        sendable = self._target.sendable(fn)
        plan = Plan(
            sendable=sendable,
            length=_length(iterables),
            ahead=ahead,
            ordered=ordered,
            timeout=timeout,
            retries=retries,
            output=self._output,
        )
        run = Run(
            plan,
            Order(_calls(iterables), lambda args: self._target.pack(args, {}), key_of(fn, key)),
            self._target,
            Pace(
                None if chunksize == "auto" else chunksize,
                lambda: self._target.lanes or self._accounts.known,
            ),
            self._accounts,
            watcher(sendable.name, plan.length, progress),
        )
        try:
            run.fill()
        except BaseException:
            run.close()
            raise
        return Results(run, return_exceptions=return_exceptions, receipted=sendable.receipted)

    def starmap(
        self, fn: Callable[..., Any], iterable: Iterable[Iterable[Any]], **options: Any
    ) -> Results:
        """Call a function with the arguments that each item holds, as `itertools.starmap` does.

        Args:
            fn: The function.
            iterable: The items: each holds the positional arguments of a call.
            options: Those of `map`.
        """
        return self.map(fn, _Spread(iterable), **options)

    # Every worker

    def prewarm(
        self,
        state: Callable[..., Any],
        *args: Any,
        workers: int | None = None,
        timeout: float = 300.0,
        **kwargs: Any,
    ) -> Visits:
        """Build a warm state on each of so many workers, before anybody needs it.

        Args:
            state: What is under `@warm`; or any function that uses it.
            args: Its positional arguments.
            workers: How many workers to reach; by default as many as the executor says it has,
                or the nodes that have been seen.
            timeout: How long that may take, in seconds.
            kwargs: Its named arguments.

        Returns:
            Which workers are ready, and how long each took; how many are missing; and each error
            once, with the workers that raised it. Look at its ``complete``, or print it.

        Raises:
            UsageError: Nobody says how many workers there are.
        """
        return self._visit(state, args, kwargs, workers, timeout, keep=False)

    def everywhere(
        self,
        fn: Callable[..., Any],
        *args: Any,
        workers: int | None = None,
        timeout: float = 300.0,
        **kwargs: Any,
    ) -> Visits:
        """Call a function once on each of so many workers: to look, to clear, to install.

        Args:
            fn: The function.
            args: Its positional arguments.
            workers: As for `prewarm`.
            timeout: How long that may take, in seconds.
            kwargs: Its named arguments.

        Returns:
            What `prewarm` does; its ``results`` are what the function returned on each worker.

        Raises:
            UsageError: Nobody says how many workers there are.
        """
        return self._visit(fn, args, kwargs, workers, timeout, keep=True)

    def _visit(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        workers: int | None,
        timeout: float,
        *,
        keep: bool,
    ) -> Visits:
        require("timeout", timeout, 0, numbers.Real)
        end = time.monotonic() + timeout
        known = None if workers is not None else self._count_workers(timeout)
        wanted = require_count(workers, known)
        sendable = self._target.sendable(fn)
        item, size = self._target.pack(args, kwargs)
        visit = Visit(
            *(self._target, self._accounts, sendable, item, size),
            wanted=wanted,
            keep=keep,
            output=self._output,
        )
        return visit.run(max(0.0, end - time.monotonic()))

    def _count_workers(self, timeout: float) -> int | None:
        """Return how many workers there are, if anybody knows; if need be, ask one of them."""
        if self._target.workers is None and self._accounts.known is None:
            with contextlib.suppress(Exception):  # the visit itself will say what is wrong
                self.submit(stats_of_worker).result(min(timeout, threading.TIMEOUT_MAX))
        return self._target.workers or self._accounts.known

    # Looking

    def stats(self, *, workers: int | None = None, timeout: float = 30.0) -> list[dict[str, Any]]:
        """Return what is warm where: `gc_warm.stats` of each worker that answers in time.

        Args:
            workers: How many workers to ask; by default as many as the executor has, or as have
                been seen.
            timeout: How long to wait for them, in seconds.
        """
        wanted = workers or self._count_workers(timeout) or len(self._accounts.workers) or None
        return self.everywhere(stats_of_worker, workers=wanted, timeout=timeout).results

    def report(self) -> Report:
        """Return what all calls so far have cost, to be printed or saved."""
        return Report(self._ledger.records())

    # Closing

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Shut down the executor below.

        Args:
            wait: Wait for what is under way.
            cancel_futures: Cancel what has not begun.
        """
        self.executor.shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait or cancel_futures:
            self._ledger.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.shutdown()
            return
        # After Ctrl-C or an error nobody wants the rest; the SDK's executor would wait for it.
        abandon(self.executor)
        self.shutdown(wait=not self._target.limited, cancel_futures=True)


@dataclass(frozen=True)
class _Spread:
    """What `starmap` is given: items that hold the positional arguments of their calls."""

    items: Iterable[Iterable[Any]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def _calls(iterables: tuple[Iterable[Any], ...]) -> Iterator[tuple[Any, ...]]:
    """Return the arguments of each call; not as a generator, which an error would end."""
    match iterables:
        case (_Spread(items),):
            return builtins.map(tuple, items)
    return zip(*iterables, strict=False)


def _length(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """Return how many calls there will be, if that is known."""
    given = [each.items if isinstance(each, _Spread) else each for each in iterables]
    lengths = [len(each) for each in given if isinstance(each, Sized)]
    return min(lengths) if len(lengths) == len(given) else None
