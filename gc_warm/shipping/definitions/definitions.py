"""The definitions and values of a script or notebook that a function needs.

What a name is bound to *now* decides. Functions are taken apart into their source text, defaults,
closure and attributes; classes into their methods and attributes; everything else is a value, taken
apart as pickle would. No statement of the script is looked at, and none ever runs again.

Each name becomes a graph of its own, which `gc_warm.worker.definitions` makes again. Where an
object is known by a name of the script, graphs refer to it by that name, so that it is one object
there, too. The hash of a graph tells whether two functions mean the same by a name.
"""

from __future__ import annotations

import builtins
import functools
from typing import Any

from gc_warm.errors import ShippingError
from gc_warm.shipping.carried import PLACE
from gc_warm.shipping.definitions import script
from gc_warm.shipping.definitions.apart import Apart
from gc_warm.shipping.definitions.classes import Unsendable
from gc_warm.shipping.definitions.graph import Name, Slice

_OF_IPYTHON = {"get_ipython", "display"}
_ADVICE = " Put it under @warm, pass it as an argument, or move it to a module."


class Definitions(Apart):
    """Takes objects apart, with all names of scripts that they need."""

    _needed: set[Name] | None = None  # or all names are

    def add(self, value: object) -> Any:
        """Take something apart, with all names that it needs; return the code of its node.

        Raises:
            ShippingError: Something cannot be sent; the message says what, why, and what to do.
        """
        code = self._sent(value, "It")
        self._add_wanted()
        return code

    def add_name(self, name: Name) -> None:
        """Take apart what a name is bound to, with all that it needs.

        Raises:
            ShippingError: Something cannot be sent; the message says what, why, and what to do.
        """
        self.wanted.append((name, ""))
        self._add_wanted()

    def add_extra(self) -> None:
        """Add the classes of the scripts, and what annotations name, for arguments to be found.

        Instances of any class may be arguments, also where no name of the function shows it; and
        their class must be the same in all calls. What cannot be sent is left out.
        """
        self._needed = {*self.codes, *self.absent}
        modules, kept = set(self.values_of), list(self.inner)
        for space, _ in list(self.spaces.values()):
            for name, value in list(space.names.items()):
                is_class = isinstance(value, type) and script.is_in_script(value.__module__)
                if name in self.hinted or (is_class and value.__name__ == name):
                    self.attempt(functools.partial(self.add_name, Name(space.module, name)))
        self.values_of, self.inner = modules, kept

    def slices(self, *roots: Any) -> list[Slice]:
        """Return what is carried of each script.

        Args:
            roots: Codes of what is sent besides.
        """
        self._refuse_what_is_missing()
        self.name_what_is_shared(roots)
        found = {module: Slice(space, {}, {}, {}) for module, (space, _) in self.spaces.items()}
        for name in sorted({*self.codes, *self.absent}):
            part = found[name.space]
            digest = ""
            if name in self.codes:
                part.graphs[name.name], digest = self.of_name(name)
            (part.agreed if self._is_needed(name) else part.extra)[name.name] = digest
        return [*found.values()]

    def _is_needed(self, name: Name) -> bool:
        """Return whether the function needs a name, or what was found behind one."""
        whose = Name(name.space, name.name.partition(".")[0])
        return self._needed is None or whose in self._needed

    def _refuse_what_is_missing(self) -> None:
        for name in filter(self._is_needed, self.absent.keys() - self.written):
            if name.name in _OF_IPYTHON:
                raise ShippingError(
                    f"{self.absent[name]} uses {name.name!r}, which only IPython has. Workers run "
                    "plain Python: move it out of what the function needs."
                )
            if not hasattr(builtins, name.name):
                raise ShippingError(
                    f"The name {name.name!r}, which {self.absent[name]} uses, cannot be found: "
                    "nothing in the script or notebook has that name now."
                )

    def _add_wanted(self) -> None:
        while self.wanted:
            name, user = self.wanted.pop()
            if name not in self.codes and name not in self.absent:
                self._add_name(name, user)

    def _add_name(self, name: Name, user: str) -> None:
        space, _ = self.spaces[name.space]
        if name.name not in space.names or name.name in _OF_IPYTHON:
            self.absent[name] = user
            return
        value = space.names[name.name]
        if name.name == "__file__" and isinstance(value, str):  # as of modules: it is not there
            value = PLACE + value
        whose = f"{name.name!r}, which {user} uses," if user else f"{name.name!r}"
        self.size = 0
        self.codes[name] = self._sent(value, whose, _ADVICE)

    def _sent(self, value: object, whose: str, advice: str = "") -> Any:
        try:
            return self.whole(value)
        except Unsendable as error:
            raise ShippingError(f"{whose} cannot be sent: {error}.{advice}") from error
        except RecursionError as error:
            raise ShippingError(f"{whose} is nested too deeply to be sent.{advice}") from error
