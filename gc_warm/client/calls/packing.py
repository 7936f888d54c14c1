"""What is sent and comes back: each call's arguments, result or error as a pickle of its own."""

from __future__ import annotations

import pickle
from typing import Any

from gc_warm.errors import UsageError
from gc_warm.errors.client import CallError, RemoteTraceback
from gc_warm.worker.batched import ByDill

_OF_MAIN = b"\x8c\x08__main__"  # a worker's is another


def pack(args: tuple[Any, ...], kwargs: dict[str, Any], most: int | None) -> bytes:
    """Pickle the arguments of a call; by dill what pickle cannot, or would look for elsewhere.

    Args:
        args: Positional arguments.
        kwargs: Named arguments.
        most: How many bytes can be sent; None for any number.

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
                "Send what they are made of, and make them on the worker."
            ) from error
    if most is not None and len(packed) > most:
        raise UsageError(
            f"The arguments of a call have {len(packed) / 1e6:.1f} MB, and at most "
            f"{most / 1e6:.1f} MB can be sent. Put them into a file that workers can read."
        )
    return packed


def unpack_error(data: bytes | BaseException) -> BaseException:
    """Return the error that a call raised, with the worker's traceback as its cause.

    Args:
        data: As `gc_warm.worker.batched` describes it.
    """
    if isinstance(data, BaseException):  # it never left this process
        return data
    name, text, traceback, itself = pickle.loads(data)  # noqa: S301 - the user's own task sent it
    error: BaseException | None = None
    if itself is not None:
        try:
            error = pickle.loads(itself)  # noqa: S301
        except Exception:  # noqa: BLE001 - its class may be missing here
            error = None
    if not isinstance(error, BaseException):
        error = CallError(name, text)
    error.__cause__ = RemoteTraceback(traceback)
    return error
