"""What the code of a function names."""

from __future__ import annotations

import dis
import functools
from typing import TYPE_CHECKING

from gc_warm.worker.code import codes_in

if TYPE_CHECKING:
    import types


@functools.lru_cache(maxsize=2048)
def global_names(
    code: types.CodeType, how: tuple[str, ...] = ("_GLOBAL", "_NAME", "_OR_GLOBALS")
) -> frozenset[str]:
    """Return the global names that a function may look up or bind."""
    found: set[str] = set()
    for each in codes_in(code):
        instructions = list(dis.get_instructions(each))
        of_class = {i.argval for i in instructions if i.opname == "STORE_NAME"}
        found |= {
            i.argval
            for i in instructions
            if i.opname.endswith(how) and i.opname != "IMPORT_NAME" and i.argval not in of_class
        }
    return frozenset(found)
