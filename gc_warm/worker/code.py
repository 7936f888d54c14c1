"""What functions and classes are made of."""

from __future__ import annotations

import dis
import threading
import types

LOCKS = (type(threading.Lock()), type(threading.RLock()))
# What Python makes anew for each class.
OF_CLASSES = {
    *("__dict__", "__weakref__", "__module__", "__firstlineno__", "_abc_impl"),
    *("__dataclass_fields__", "__dataclass_params__"),
}


def codes_in(code: types.CodeType) -> list[types.CodeType]:
    """Return a code, and those of all functions and classes written in it."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return [code, *(deep for each in inner for deep in codes_in(each))]


def globals_of(code: types.CodeType) -> set[str]:
    """Return which globals a code reads; ``co_names`` has its attributes, too."""
    return {
        each.argval
        for each in dis.get_instructions(code)
        if each.opname in {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
    }


def is_empty(cell: types.CellType) -> bool:
    """Return whether the variable of a closure has no value."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False
