"""`@self_contained`: functions that carry their module's source, and how a worker calls them."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import threading
import types
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from gc_warm.errors import ShippingError
from gc_warm.worker.scope import current, task_scope

P = ParamSpec("P")
T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gc_warm.worker.receipt import Receipted

_OPTIONS = ("modules", "requires", "data", "home")
_running_lock = threading.Lock()
# Found in `gc_warm.shipping.payload`, which workers do not have.
_ON_CLIENT = {
    *("_reduce", "_version", "source", "payload_size", "requirements", "__signature__", "__code__"),
    *("__wrapped__", "__defaults__", "__kwdefaults__", "__closure__", "__globals__"),
}


class SelfContained(Generic[P, T]):
    """A function that runs the same here and on any worker; made by `self_contained`.

    Calling it runs it here. Given to an executor, it travels with its module's source. To
    `inspect` it is a function with the original's signature; its source text is what travels.

    Attributes:
        function: What it runs.
        running: How many calls of it run in this process.
        modules: Names of further modules to carry.
        requires: What must be installed on the worker.
        data: Patterns of the data files to carry.
        home: Name of the module that made it self-contained.
        arrived: The payload that it came with, on a worker.
        activate: Lets the names of modules mean those that it came with; returns what undoes that.
    """

    # What is in __dict__, `functools.wraps` copies to wrappers, which are pickled with it.
    __slots__ = ("__dict__", "__weakref__", "activate", "arrived", "function", "packed")
    packed: Any  # on a client: what it travels as
    form = ""  # what is made of it: see `gc_warm.worker.wrapped`

    def __init__(
        self,
        function: Callable[P, T],
        *,
        modules: Sequence[str] = (),
        requires: Sequence[str] = (),
        data: Sequence[str] = (),
        home: str | None = None,
    ) -> None:
        self.function = function
        self.running = 0
        self.modules = tuple(modules)
        self.requires = tuple(requires)
        self.data = tuple(data)
        self.home = home
        self.arrived: dict[str, Any] | None = None
        self.activate: Callable[[], Callable[[], Any]] | None = None
        named: Any = function
        while isinstance(named, (functools.partial, types.MethodType)):
            named = named.func if isinstance(named, functools.partial) else named.__func__
        if not hasattr(named, "__qualname__"):  # an instance with __call__
            named = type(named)
        self.__name__: str = named.__name__ if named.__name__.isidentifier() else "function"
        self.__qualname__: str = named.__qualname__
        self.__module__: str = getattr(named, "__module__", None) or "builtins"
        self.__annotations__ = getattr(named, "__annotations__", {})
        self.__doc__ = function.__doc__ if named is function else named.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function here, in a task scope."""
        with _running_lock:
            self.running += 1
        inside_another = current() is not None
        undo = self.activate() if self.activate else None  # its arguments may have come with others
        try:
            with task_scope():
                return self.function(*args, **kwargs)
        finally:
            if undo and inside_another:
                undo()
            with _running_lock:
                self.running -= 1

    @overload  # type checkers ask for `receipted` here, too
    def __get__(
        self, instance: SelfContained[..., Any] | None, owner: type | None = None
    ) -> SelfContained[P, T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> SelfContained[..., T]: ...
    def __get__(self, instance: object, owner: type | None = None) -> SelfContained[..., T]:
        """Bind it to an instance, where it is a method: that travels, too."""
        if instance is None:
            return self
        options: dict[str, Any] = {name: getattr(self, name) for name in _OPTIONS}
        return SelfContained(types.MethodType(self.function, instance), **options)

    def __hash__(self) -> int:
        """Differ where what travels differs: see `gc_warm.shipping.disguise.executor_keys`."""
        if self.arrived is None:
            with contextlib.suppress(ShippingError):
                return cast("int", self._version())
        return id(self)

    @functools.cached_property
    def receipted(self) -> SelfContained[P, Receipted[T]]:
        """The same function, returning a `Receipted`: its result and what the call cost."""
        # Not an import: few functions are sent with what makes receipts.
        module: Any = importlib.import_module("gc_warm.worker.receipted")
        made: SelfContained[P, Receipted[T]] = module.WithReceipt(self)
        return made

    if TYPE_CHECKING:  # these are `gc_warm.shipping.payload`'s, found by __getattr__

        def source(self) -> str:
            """Return it as source text, for ``Client.register_source_code``.

            Raises:
                ShippingError: The function cannot be carried; the message says why.
            """

        def payload_size(self) -> int:
            """Return how many bytes it adds to each task, under Globus Compute's default."""

        def requirements(self) -> str:
            """Return what must be installed on a worker, as the text of a requirements file.

            It fits ``user_endpoint_config={"requirements": ...}`` of Globus Compute's default
            template, and ``pip install -r`` in the ``worker_init`` of an endpoint of your own.
            """

    def __repr__(self) -> str:
        return f"<self-contained {self.__module__}:{self.__qualname__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as a bundle of sources.

        Raises:
            ShippingError: The function cannot be carried; the message says why.
        """
        names = self.arrived or self._came_along()
        if names is not None:
            return eval, (names["again"], {}, names)
        return cast("tuple[Any, ...]", self._reduce())

    def _came_along(self) -> dict[str, Any] | None:
        """Return the payload that brought its module, with the name that it has there."""
        plain: Any = vars(self).get("plain", self)
        module: Any = sys.modules.get(str(plain.home))
        loader: Any = getattr(module, "__loader__", None)
        for name, value in vars(module).items() if hasattr(loader, "payload") else ():
            if value is plain:
                return {**loader.payload, "target": f"{plain.home}:{name}{self.form}"}
        return None

    def __getattr__(self, name: str) -> Any:
        """Find what only a client needs: what it is to `inspect`, and how it travels."""
        if name not in _ON_CLIENT:
            raise AttributeError(f"{self!r} has no attribute {name!r}")
        try:
            from gc_warm.shipping.payload import attribute
        except ImportError as error:
            if name[:2] == "__":  # on a worker, it is what it wraps
                return self.function if name == "__wrapped__" else getattr(self.function, name)
            raise ShippingError(
                f"{self!r} was made on a worker that has no gc-warm. Return its result."
            ) from error
        return attribute(self, name)

    @property  # type: ignore[misc]  # nothing may set it
    def __class__(self) -> type:
        disguise = sys.modules.get("gc_warm.shipping.disguise.function_class")
        return disguise.class_of(self) if disguise else type(self)


def _make(function: Callable[P, T], /, **options: Any) -> SelfContained[P, T]:
    try:
        from gc_warm.shipping.acceptance import accept
    except ImportError:  # on a worker: it was accepted where it was sent
        return SelfContained(function, **options)
    return cast("SelfContained[P, T]", accept(function, **options))


@overload
def self_contained(
    function: Callable[P, T],
    /,
    *,
    modules: Sequence[str] = (),
    requires: Sequence[str] = (),
    data: Sequence[str] = (),
) -> SelfContained[P, T]: ...
@overload
def self_contained(
    *, modules: Sequence[str] = (), requires: Sequence[str] = (), data: Sequence[str] = ()
) -> Callable[[Callable[P, T]], SelfContained[P, T]]: ...
def self_contained(
    function: Callable[P, T] | None = None,
    /,
    *,
    modules: Sequence[str] = (),
    requires: Sequence[str] = (),
    data: Sequence[str] = (),
) -> SelfContained[P, T] | Callable[[Callable[P, T]], SelfContained[P, T]]:
    """Make a function carry its module's source to any worker, where its globals stay warm.

    The module, the modules of the same project that it imports, and gc-warm's small worker
    runtime travel with it, so the worker needs neither. They are imported once per worker and
    content; module globals, caches and `warm` states then live as long as the worker does. Of a
    script or notebook no statement runs there: the definitions that the function needs travel as
    source, and data as the values that they have when the function is sent.

    Args:
        function: A function; or a partial, a bound method, a lambda, an object that can be called.
        modules: Names of further modules to carry, where imports do not show that they are needed.
        requires: What must be installed on the worker, such as ``"numpy>=1.26"`` (PEP 508).
        data: Data files to carry for `importlib.resources`: paths or patterns such as
            ``"labels/*.txt"``, relative to the folder of the function's module.

    Returns:
        A `SelfContained`, called like the function. Its attribute ``receipted`` is the same
        function with a receipt.

    Raises:
        UsageError: It cannot be called, or is asynchronous, or an option is wrong.
    """
    home = sys._getframe(1).f_globals.get("__name__")  # noqa: SLF001  (documented for this use)
    make = functools.partial(_make, home=home, modules=modules, requires=requires, data=data)
    return make if function is None else make(function)
