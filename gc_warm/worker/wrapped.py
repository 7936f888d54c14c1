"""What wraps a self-contained function, and travels like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from gc_warm.worker.self_contained import SelfContained

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class Wrapped(SelfContained[P, T], Generic[P, T]):
    """A self-contained function that calls another, the ``plain`` one.

    Its `form`, such as ``!receipted``, follows the function's name when it travels. It names a
    module of `gc_warm.worker`, where `gc_warm.worker.resolve` finds the class as ``Form``.
    """

    def __init__(self, plain: SelfContained[..., Any]) -> None:
        super().__init__(cast("Callable[P, T]", plain.function))
        self.modules, self.requires, self.data = plain.modules, plain.requires, plain.data
        self.plain = plain
        if plain.arrived is not None:
            target = plain.arrived["target"].partition("!")[0] + self.form
            self.arrived = {**plain.arrived, "target": target}
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(self, name, getattr(plain, name))
