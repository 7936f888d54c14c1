"""A function for `inspect`, whose source is what a self-contained function travels as.

`inspect` (all Pythons) reads a function's source from the file that its code names, by way of
`linecache`. The source strategies of Globus Compute (4.19) read what it returns.
"""

from __future__ import annotations

import linecache
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gc_warm.worker.self_contained import SelfContained


def launcher_of(function: SelfContained[..., Any]) -> types.FunctionType:
    """Return a stand-in whose source, for whoever asks `inspect`, is the function's as text."""
    file = f"gc-warm {function.__module__}.{function.__qualname__} {id(function):x}.py"
    linecache.cache[file] = (function.source,)  # read only if asked for
    code = _stand_in.__code__.replace(co_name=function.__name__, co_filename=file, co_firstlineno=1)
    function_globals = getattr(function.function, "__globals__", {})
    return types.FunctionType(code, function_globals, function.__name__)


def _stand_in(*args: Any, **kwargs: Any) -> None:
    """Stand for a self-contained function."""
