"""Globus Compute's formats: the only module here that touches names that it does not document."""

from __future__ import annotations

import base64
import functools
import json
import pickle
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import dill
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Result, ResultErrorDetails, Task
from globus_compute_sdk.sdk.asynchronous.compute_future import ComputeFuture
from globus_compute_sdk.serialize import ComputeSerializer, SerializationStrategy
from globus_compute_sdk.serialize.concretes import DillDataBase64
from globus_compute_sdk.serialize.facade import Strategylike, validate_strategylike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PLAIN_TYPES = frozenset({bool, bytes, float, int, str, type(None)})
_RESULT_AS_EVER = b'\x01{"message_type":"result","data":{'

__all__ = [
    "ComputeFuture",
    "ComputeSerializer",
    "Strategylike",
    "pack_failure",
    "pack_task",
    "serialize_arguments",
    "serialize_function",
    "strategy_paths",
    "unpack_result",
]


def serialize_function(serializer: ComputeSerializer, function: Callable[..., Any]) -> str:
    """Serialize a function's code, as ``Client.register_function`` does."""
    packed: str = serializer.pack_buffers([serializer.serialize(function)])
    return packed


def serialize_arguments(
    serializer: ComputeSerializer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str:
    """Serialize one task's arguments, with the checks that the SDK's ``Batch.add`` makes.

    Raises:
        TypeError: They are not arguments.
        SerializationError: They cannot be serialized.
    """
    if not isinstance(args, list | tuple):
        raise TypeError(f"args: expected `tuple`, got: {type(args).__name__}")
    if not isinstance(kwargs, dict):
        raise TypeError(f"kwargs: expected dict, got: {type(kwargs).__name__}")
    for key in kwargs:
        if not isinstance(key, str):
            raise TypeError(f"kwargs: expected kwargs with `str` keys, got: {type(key).__name__}")
    return serializer.pack_buffers(
        [
            _serialize_positional(serializer, args),
            serializer.serialize(kwargs) if kwargs else _no_kwargs(serializer.data_serializer),
        ]
    )


def _serialize_positional(serializer: ComputeSerializer, args: tuple[Any, ...]) -> str:
    """Serialize arguments; plain values, as most are, by pickle's own code in C.

    It writes the same as dill's Python code, which takes a third of a client's time for a task.
    """
    if (
        type(args) is tuple
        and _PLAIN_TYPES.issuperset(map(type, args))
        and type(serializer) is ComputeSerializer
        and type(serializer.data_serializer) is DillDataBase64
    ):
        pickled = pickle.dumps(args, dill.settings["protocol"])
        return f"{DillDataBase64.identifier}{base64.encodebytes(pickled).decode()}"
    return serializer.serialize(args)


@functools.lru_cache(maxsize=8)
def _no_kwargs(strategy: SerializationStrategy) -> str:
    """Serialize no keyword arguments, once: most tasks have none."""
    return strategy.serialize({})


def pack_task(task_id: uuid.UUID, code: str, arguments: str) -> bytes:
    """Pack the service's message of a task, as ``messagepack.pack`` does, but cheaper.

    Building and validating a model for each would take a tenth of a client's time for a task; and
    a function's code, which may carry its modules, is the same for all its tasks.
    """
    before, between, after = _task_pieces()
    buffer = (b'"', _in_json(code), json.dumps(arguments)[1:].encode())
    return b"".join((before, str(task_id).encode(), between, *buffer, after))


@functools.lru_cache(maxsize=16)
def _in_json(code: str) -> bytes:
    """Return a function's code as JSON has it between quotes."""
    return json.dumps(code)[1:-1].encode()


@functools.lru_cache(maxsize=1)
def _task_pieces() -> tuple[bytes, bytes, bytes]:
    """Return what the service's own packing puts around a task's id and its buffer."""
    sample = uuid.UUID(int=0)
    packed = messagepack.pack(Task(task_id=sample, task_buffer="@"))
    before, rest = packed.split(str(sample).encode(), 1)
    between, after = rest.split(b'"@"', 1)
    return before, between, after


def pack_failure(task_id: uuid.UUID, text: str) -> str:
    """Pack the service's message of a task that no worker has a result of."""
    details = ResultErrorDetails(
        code="RemoteExecutionError",
        user_message="An error occurred during the execution of this task",
    )
    packed: bytes = messagepack.pack(Result(task_id=task_id, data=text, error_details=details))
    return packed.decode()


class Unpacked(NamedTuple):
    """What a packed result holds for the user."""

    is_error: bool
    data: str


def unpack_result(frame: bytes) -> Unpacked:
    """Unpack what ``execute_task`` returned.

    Raises:
        TypeError: It is another kind of message.
    """
    if frame.startswith(_RESULT_AS_EVER):
        # Validating all the details, which nobody asks for, would take a tenth of a round trip.
        fields = json.loads(frame[1:])["data"]
        return Unpacked(fields.get("error_details") is not None, fields["data"])
    result = messagepack.unpack(frame)
    if not isinstance(result, Result):
        raise TypeError(f"Expected a result, got a {type(result).__name__}.")
    return Unpacked(result.is_error, result.data)


def strategy_paths(strategies: Iterable[Strategylike]) -> list[str]:
    """Validate serialization strategies and return their import paths."""
    return [validate_strategylike(strategy).import_path for strategy in strategies]
