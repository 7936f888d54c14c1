"""What dill must believe of a self-contained function.

dill 0.4's source strategies (`dill.source.getsource`) ask `inspect` for the module that an object
is defined in, and then read the text of that module's file, where they find the function that
`self_contained` was given. What travels is another text. So dill, and nobody else, must find no
module of that name.
"""

from __future__ import annotations

import sys


class ModuleName(str):
    """A module's name by which dill finds no module: it would read that module's file."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)

    def __hash__(self) -> int:
        asker = sys._getframe(1)  # noqa: SLF001  (documented for this use)
        caller = asker.f_back if asker.f_code.co_name == "getmodule" else None
        is_dill = caller is not None and caller.f_globals.get("__name__") == "dill.source"
        return ~super().__hash__() if is_dill else super().__hash__()
