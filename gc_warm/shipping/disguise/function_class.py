"""The class that a self-contained function says it has, when a client asks for ``__class__``.

`inspect` (all Pythons) reads the source of functions only, which it tells by `isinstance`; the
source strategies of Globus Compute (4.19) go by it. cloudpickle (3.1) asks the same way, and would
take apart a function that it does not find in its module, so it is told the truth.
"""

from __future__ import annotations

import sys
import types


def class_of(function: object) -> type:
    """Return the class that a self-contained function says it has."""
    asker = sys._getframe(2)  # noqa: SLF001  (documented for this use)
    picklers = {"reducer_override", "_should_pickle_by_reference"}
    if asker.f_code.co_name in picklers and "cloudpickle" in asker.f_globals["__name__"]:
        return type(function)
    return types.FunctionType
