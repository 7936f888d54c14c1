"""How a call ended, in a form that two processes can compare; run as a program, it is a worker.

The worker runs this file alone, with nothing but the standard library: so it imports nothing else.
"""

from __future__ import annotations

import collections
import enum
import functools
import os
import pickle
import re
import struct
import sys
import traceback
import types
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HEADER = struct.Struct("!Q")

_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, range, slice)
_FUNCTIONS = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodWrapperType),
    *(types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType),
)
_MAY_CHANGE = (list, dict, set, collections.deque)


def answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, str]:
    """Call a function; return whether it returned or raised, and what, in canonical form."""
    try:
        return "returned", canonical(function(*arguments))
    except Exception as error:
        return "raised", _Canonical().text(error)


def canonical(value: object) -> str:
    """Return a text that is the same for what is the same, types and shared objects included.

    A script has another name on a worker than here, which is documented: it is not compared.
    """
    return plain(_Canonical().text(value))


def plain(text: str) -> str:
    """Return a text without what must differ between processes: addresses, the script's name."""
    return re.sub(r"\b\w+__main__\b", "__main__", re.sub(r"0x[0-9a-fA-F]+", "0x", text))


class _Canonical:
    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._alive: list[object] = []  # so that no address is used twice

    def text(self, value: Any) -> str:
        kind = type(value)
        if kind in _PLAIN or value is ... or value is NotImplemented:
            return repr(value)
        if isinstance(value, type):
            return f"class {value.__qualname__}"
        if isinstance(value, enum.Enum):
            return f"{kind.__qualname__}.{value.name}({self.text(value.value)})"
        is_ours = kind.__name__ == "SelfContained"  # on a client, it says that it is a function
        if is_ours or isinstance(value, _FUNCTIONS) or hasattr(value, "cache_info"):
            return f"function {value.__qualname__}"
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__}"
        if isinstance(value, _MAY_CHANGE) or kind.__module__ not in sys.stdlib_module_names:
            if id(value) in self._seen:  # of what cannot change, it does not matter
                return f"<{self._seen[id(value)]} again>"
            self._seen[id(value)] = len(self._seen)
            self._alive.append(value)
        return f"{kind.__qualname__}({', '.join(self._inside(value))})"

    def _inside(self, value: Any) -> Iterable[str]:
        kind = type(value)
        if isinstance(value, types.MethodType):
            return [self.text(value.__func__), self.text(value.__self__)]
        if isinstance(value, functools.partial):
            return [self.text(part) for part in (value.func, value.args, value.keywords)]
        if isinstance(value, RecursionError):
            return []  # how deep it came is no one's business
        if isinstance(value, BaseException):
            return [plain(str(value))]
        found: list[str] = []
        if isinstance(value, (list, tuple, collections.deque)):
            found = [self.text(each) for each in value]
        elif isinstance(value, (set, frozenset)):
            found = sorted(self.text(each) for each in value)
        elif isinstance(value, (dict, types.MappingProxyType)):
            found = [f"{self.text(key)}: {self.text(each)}" for key, each in value.items()]
        elif kind.__module__.partition(".")[0] in sys.stdlib_module_names:
            return [plain(repr(value))]
        return [*found, *self._attributes(value)]

    def _attributes(self, value: Any) -> Iterable[str]:
        attributes = dict(getattr(value, "__dict__", {}))
        for each in type(value).__mro__:
            for name in each.__dict__.get("__slots__", ()):
                if hasattr(value, name):
                    attributes[name] = getattr(value, name)
        return [f"{name}={self.text(attributes[name])}" for name in sorted(attributes)]


# The worker


def write(stream: BinaryIO, message: object) -> None:
    """Write a message."""
    data = pickle.dumps(message)
    stream.write(HEADER.pack(len(data)) + data)
    stream.flush()


def _serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests: a function's payload is unpickled first, then the arguments, as usual."""
    loaded: dict[int, Any] = {}
    while header := requests.read(HEADER.size):
        verb, key, data, arguments = pickle.loads(requests.read(*HEADER.unpack(header)))
        try:
            if verb != "call":
                loaded[key] = pickle.loads(data)
            if verb == "load":
                reply = "loaded", ""
            else:
                reply = answer(loaded.pop(key), pickle.loads(arguments))
        except Exception:
            reply = "failed", plain(traceback.format_exc())
        write(replies, reply)


if __name__ == "__main__":
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a function prints is no reply
    _serve(sys.stdin.buffer, pipe)
