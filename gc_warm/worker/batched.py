"""Self-contained functions called many times in one task, each call with its own receipt.

Each item comes and goes as a pickle of its own, so that one that cannot be loaded, or sent back,
spoils no other. The client sends again what there was no time or room for.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from gc_warm.worker.receipt import worker_identity
from gc_warm.worker.scope import task_scope
from gc_warm.worker.wrapped import Wrapped

if TYPE_CHECKING:
    from collections.abc import Callable

_visits: set[str] = set()
# GC_TASK_TIMEOUT injects the one, Ctrl-C the other: what follows is not begun.
_ENDING = {"AppTimeout", "KeyboardInterrupt"}


class Batched(Wrapped[..., dict[str, Any]]):
    """A self-contained function that is called with one item after the other."""

    form = "!batched"

    def __call__(
        self,
        items: Any,
        *,
        packed: bool = True,
        seconds: float | None = None,
        enough: int | None = None,
        most: int | None = None,
        output: bool = False,
        visit: str = "",
        hold: float = 0.0,
        keep: bool = True,
    ) -> dict[str, Any]:
        """Call the function with items, until all are done or there is no time or room for more.

        Args:
            items: Positional and named arguments of each call.
            packed: Whether they are pickles, and results must be, each by itself and all together:
                dill, which endpoints use, would take much longer than `pickle`.
            seconds: After so long no further call is begun.
            enough: After so many bytes of results no further call is begun.
            most: How many bytes of results can be sent back; None for any number.
            output: Whether to keep what each call prints and logs.
            visit: A name. A worker makes the calls once for each, and later only says who it is.
            hold: How long to keep the worker from taking other tasks, in seconds.
            keep: Whether results are wanted.

        Returns:
            The ``worker``, and how many there are on its node (``beside``), as Parsl says; when it
            ``started``, in seconds since the epoch, and how many ``seconds`` it ran; and ``calls``,
            a tuple for each item that was done: whether it succeeded; its result, or its error as
            `_describe` returns it; how many seconds after the start it began, and how long it took;
            the builds, their seconds, and hits; the output.
        """
        started, begin = time.time(), time.perf_counter()
        calls: list[Any] = []
        seconds = _limit(seconds)
        listen: Callable[[], Any] | None = None
        if output:
            from gc_warm.worker.output import listening as listen
        size = 0
        if packed:
            items = pickle.loads(items)  # noqa: S301
        for item in () if visit in _visits else items:
            offset = time.perf_counter() - begin
            if calls and ((seconds and offset > seconds) or (enough and size > enough)):
                break
            done, raised = self._call(item, listen, packed=packed, keep=keep)
            if calls and raised == "AppTimeout":
                break  # alone, it may have time enough
            if packed:
                size += len(done[1])
                if most and size > most:
                    if calls:
                        break
                    done = (False, _too_large(size, most), *done[2:])
            calls.append((*done[:2], offset, *done[2:]))
            if raised in _ENDING:
                break
        if visit:
            _visits.add(visit)
            time.sleep(hold)
        return {
            "worker": worker_identity(),
            "beside": os.environ.get("PARSL_WORKER_COUNT"),
            "started": started,
            "seconds": time.perf_counter() - begin,
            "calls": pickle.dumps(calls, 5) if packed else calls,
        }

    def _call(
        self, item: Any, listen: Callable[[], Any] | None, *, packed: bool, keep: bool
    ) -> tuple[tuple[Any, ...], str]:
        text, raised = None, ""
        with task_scope() as task, listen() if listen else contextlib.nullcontext() as heard:
            begin = time.perf_counter()
            try:
                args, kwargs = pickle.loads(item) if packed else item  # noqa: S301
                value: Any = self.plain(*args, **kwargs)
                fine = True
                took = time.perf_counter() - begin
                value = value if keep else None
                if packed:
                    value = _pack(value)
            except BaseException as error:  # noqa: BLE001  (it is the item's)
                fine, took = False, time.perf_counter() - begin
                value = _describe(error) if packed else error
                raised = type(error).__name__
            if heard is not None:
                text = heard.text()
            done = (fine, value, took, task.builds, task.build_seconds, task.hits, text, task.node)
        return done, raised


Form = Batched


def _limit(seconds: float | None) -> float | None:
    """Leave half of a task's time to its last call."""
    with contextlib.suppress(ValueError):
        allowed = float(os.environ.get("GC_TASK_TIMEOUT", "0")) / 2
        if allowed > 0:
            return min(seconds or allowed, allowed)
    return seconds


class ByDill:
    """What only dill can pickle; loading the pickle of this gives the value itself."""

    def __init__(self, value: Any) -> None:
        dill: Any = sys.modules["dill"]  # what runs tasks, and sends them, has imported it
        self._parts = dill.loads, (dill.dumps(value, 5),)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._parts


def _pack(value: Any) -> bytes:
    """Pickle a result: by dill what pickle cannot, or would look for elsewhere."""
    try:
        packed = pickle.dumps(value, 5)
        if b"\x8c\x08__main__" not in packed:
            return packed
    except Exception as error:  # noqa: BLE001  (pickles fail with anything)
        reason: Exception | None = error
    else:
        reason = None
    try:
        return pickle.dumps(ByDill(value), 5)
    except Exception as error:  # noqa: BLE001
        raise TypeError(
            f"The result, of type {type(value).__name__}, cannot be sent back: {reason or error}"
        ) from None


def _describe(error: BaseException) -> bytes:
    """Pickle an error: its class's name, text and traceback, and itself if that can be loaded."""
    trace = error.__traceback__
    for _ in range(3):  # begin where the user's code does
        trace = trace.tb_next if trace is not None and trace.tb_next is not None else trace
    text = "".join(traceback.format_exception(type(error), error, trace))[-20_000:]
    error.__traceback__ = None  # which some make part of the pickle
    try:
        itself = pickle.dumps(error, 5)
        pickle.loads(itself)  # noqa: S301  (its own)
    except Exception:  # noqa: BLE001
        itself = None
    try:
        said = str(error)[-20_000:]
    except Exception:  # noqa: BLE001  (a class of the user's)
        said = "it has no text"
    return pickle.dumps((type(error).__qualname__, said, text, itself), 5)


def _too_large(size: int, most: int) -> bytes:
    text = (
        f"The result has {size / 1e6:.1f} MB, and at most {most / 1e6:.1f} MB can be sent back. "
        "Write it to a file that the client can read, and return the path."
    )
    return pickle.dumps(("ResultTooLarge", text, text, None), 5)
