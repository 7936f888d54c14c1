"""What functions and classes are made of."""

from __future__ import annotations

import dis
import functools
import threading
import types

LOCKS = (type(threading.Lock()), type(threading.RLock()))
# What Python makes anew for each class.
OF_CLASSES = {
    *("__dict__", "__weakref__", "__module__", "__firstlineno__", "_abc_impl"),
    *("__dataclass_fields__", "__dataclass_params__"),
}

LOOK_UPS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "DELETE_GLOBAL")
GLOBALS = (*LOOK_UPS, "STORE_GLOBAL")


def codes_in(code: types.CodeType) -> list[types.CodeType]:
    """Return a code, and those of all functions and classes written in it."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return [code, *(deep for each in inner for deep in codes_in(each))]


@functools.lru_cache(maxsize=2048)
def names_in(code: types.CodeType, operations: tuple[str, ...] = GLOBALS) -> frozenset[str]:
    """Return the names that some operations use, in code and in all that is written in it.

    By default, these are the global names that it may look up or bind. The names that the body of a
    class looks up are among them, even if it binds them itself: it may not have done so by then.
    """
    instructions = [each for part in codes_in(code) for each in dis.get_instructions(part)]
    return frozenset(each.argval for each in instructions if each.opname in operations)


def is_empty(cell: types.CellType) -> bool:
    """Return whether the variable of a closure has no value."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False
