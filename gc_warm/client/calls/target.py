"""The executor below, and how functions and arguments are given to it."""

from __future__ import annotations

import functools
import numbers
import pickle
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from gc_warm.errors import UsageError
from gc_warm.worker.batched import Batched, ByDill
from gc_warm.worker.receipted import WithReceipt
from gc_warm.worker.self_contained import SelfContained, self_contained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

MOST_BYTES = 7_000_000
"""How large pickles may be so that, encoded as text, they fit into the services' 10 MiB."""

ENOUGH_BYTES = 2_000_000
"""A task ends when it has so many bytes of results, so that these do not come all at once."""

_REMEMBERED = 256
_OF_MAIN = b"\x8c\x08__main__"  # a worker's is another


class Sendable(NamedTuple):
    """A function as it is sent."""

    batched: Batched  # what runs it on a worker
    name: str  # what reports call it
    receipted: bool  # the user wants each result with its receipt


class Target:
    """An executor, and how tasks are given to it.

    Args:
        executor: The SDK's, a `LocalExecutor`, or any of `concurrent.futures`.
        workers: How many workers it has, if the user knows.

    Attributes:
        packed: Whether what is sent leaves this process.
        limited: Whether the services' limits apply.
        most: How many bytes can be sent, or come back, at once; None for any number.
    """

    def __init__(self, executor: Executor, workers: int | None) -> None:
        if not isinstance(executor, Executor):
            raise UsageError(
                f"WarmExecutor needs an executor, such as globus_compute_sdk.Executor(endpoint_id) "
                f"or gc_warm.LocalExecutor(), not {executor!r}."
            )
        if workers is not None:
            require("workers", workers, 1)
        self.executor = executor
        self.packed = not isinstance(executor, ThreadPoolExecutor)
        self.limited = hasattr(executor, "task_group_id")
        self.most = MOST_BYTES if self.limited else None
        self._workers = workers
        most = getattr(executor, "_max_workers", None)
        self._most_workers = most if isinstance(most, int) else None
        self._sendable = functools.lru_cache(maxsize=_REMEMBERED)(_make_sendable)

    @property
    def workers(self) -> int | None:
        """How many worker processes there are, as far as is known."""
        if self._workers is not None:
            return self._workers
        return self._most_workers if self.packed else 1

    @property
    def lanes(self) -> int | None:
        """How many calls can run at once, as far as is known."""
        return self.workers if self.packed else self._most_workers

    def sendable(self, function: Callable[..., Any]) -> Sendable:
        """Return how a function is sent: always the same object, so that it is registered once.

        Raises:
            UsageError: It is no function.
        """
        if not callable(function):
            raise UsageError(f"{function!r} is no function: it cannot be called.")
        try:
            return self._sendable(function)
        except TypeError:  # not hashable
            return _make_sendable(function)

    def pack(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, int]:
        """Return the arguments of a call as they are sent, and their size in bytes.

        Raises:
            UsageError: They cannot be sent.
        """
        if not self.packed:
            return (args, kwargs), 0
        packed = _pack(args, kwargs, self.most)
        return packed, len(packed)

    def send(self, sendable: Sendable, items: Sequence[Any], **options: Any) -> Future[Any]:
        """Submit one task; the options are those of `gc_warm.worker.batched.Batched`."""
        if not self.packed:
            return self.executor.submit(sendable.batched, items, packed=False, **options)
        return self.executor.submit(sendable.batched, pickle.dumps(items, 5), **options)


def _make_sendable(function: Callable[..., Any]) -> Sendable:
    made = function if isinstance(function, SelfContained) else self_contained(function)
    plain = made.plain if isinstance(made, WithReceipt) else made
    name = f"{plain.__module__}.{plain.__qualname__}"
    return Sendable(Batched(plain), name, isinstance(made, WithReceipt))


def require(name: str, value: Any, least: int, kind: Any = numbers.Integral) -> None:
    """Raise an error unless a user's value is a number that is large enough.

    Raises:
        UsageError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:
        raise UsageError(f"{name}={value!r} must be a number of at least {least}.")


def seconds_until(deadline: float) -> float:
    """Return how long to wait for a time: nothing can wait for ever."""
    return min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)


def _pack(args: tuple[Any, ...], kwargs: dict[str, Any], most: int | None) -> bytes:
    """Pickle the arguments of a call: by dill what pickle cannot, or would look for elsewhere.

    Raises:
        UsageError: They cannot be pickled, or are too large.
    """
    call = (args, kwargs)
    try:
        packed = pickle.dumps(call, 5)
        plain = _OF_MAIN not in packed
    except Exception:  # noqa: BLE001 - pickles fail with anything
        plain = False
    if not plain:
        import dill  # noqa: F401 - what follows looks for it

        try:
            packed = pickle.dumps(ByDill(call), 5)
        except Exception as error:
            raise UsageError(
                f"These arguments cannot be sent to a worker: {type(error).__name__}: {error}. "
                "Send what they are made from, and make them on the worker."
            ) from error
    if most is not None and len(packed) > most:
        raise UsageError(
            f"The arguments of a call have {len(packed) / 1e6:.1f} MB, and at most "
            f"{most / 1e6:.1f} MB can be sent. Write them to a file that workers can read."
        )
    return packed
