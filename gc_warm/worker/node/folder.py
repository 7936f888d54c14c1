"""`node_folder`: a folder that is filled once per node, and used by all its processes."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, cast, overload

from gc_warm.errors import UsageError
from gc_warm.errors.node import NodeFolderError
from gc_warm.worker.label import label_of
from gc_warm.worker.node import place
from gc_warm.worker.node.bill import keep, note
from gc_warm.worker.node.content import NoContentError, hash_of, hash_of_arguments
from gc_warm.worker.node.entry import Entry
from gc_warm.worker.node.filling import DEFAULT_WAIT, Filling, Options
from gc_warm.worker.node.lock import Lock, describe_holder, held_by_this_thread, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from gc_warm.worker.node.entry import Generation

P = ParamSpec("P")


class NodeFolder(Generic[P]):
    """A folder for each set of arguments; made by `node_folder`.

    It is called like the initialiser, without ``folder``, and returns the folder's path.
    """

    def __init__(self, initialiser: Callable[..., object], options: Options) -> None:
        functools.update_wrapper(self, initialiser)
        self.__name__ = initialiser.__name__
        self.initialiser = initialiser
        self.options = options
        self.name = f"{initialiser.__module__}.{initialiser.__qualname__}"
        self._whole = inspect.signature(initialiser)
        parameters = {**self._whole.parameters}
        folder = parameters.pop("folder", None)
        if folder is None or folder.kind in {folder.VAR_KEYWORD, folder.VAR_POSITIONAL}:
            raise UsageError(
                f"{initialiser.__qualname__}() needs a parameter called folder, for the path "
                "of the empty folder that it must fill."
            )
        self.__signature__ = self._whole.replace(
            parameters=[*parameters.values()], return_annotation=Path
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Path:
        """Return the folder for these arguments; fill it if no process of the node has.

        Returns:
            Its path. It stays as long as it is in use: for the call of the self-contained function
            that asked for it, or for the life of the warm state that was being built; if there is
            neither, until this process ends.

        Raises:
            UsageError: An argument means nothing in another process.
            NodeTimeoutError: Another process was filling it for too long.
            NodeFolderError: The place is not safe, or full, or has no locks.
        """
        try:
            bound = self.__signature__.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.__name__}() got wrong arguments: {error}") from None
        bound.apply_defaults()
        entry = Entry(place.root() / "folders" / self._key(bound.arguments))
        generation, lock = entry.use(self.options.max_age) or self._get(entry, bound)
        keep(generation.path, lock)
        return Path(generation.content)

    def _key(self, arguments: dict[str, Any]) -> str:
        """Return the name of the entry: made of the arguments, and of what fills it."""
        try:
            given = hash_of_arguments(arguments)
        except NoContentError as error:
            raise UsageError(
                f"Argument {error.path!r} of {self.name} is of type "
                f"{type(error.value).__name__!r}, which means nothing in another process. Pass "
                "what it is made from, such as a path."
            ) from None
        if self.options.version is not None:
            content = f"{self.name} {self.options.version}"
        else:
            try:
                content = hash_of(self.initialiser)
            except NoContentError as error:
                raise UsageError(
                    f"{self.name} uses {error.path or error.value!r}, of type "
                    f"{type(error.value).__name__!r}, and whether that is the same in another "
                    "process cannot be known. Make it inside the initialiser, or use "
                    "@node_folder(version=...)."
                ) from None
        digest = hashlib.sha256(f"{given} {content} {self.options.mutable}".encode()).hexdigest()
        plain = "".join(each if each.isalnum() else "_" for each in self.__name__)
        return f"{plain[:40]}-{digest[:32]}"

    def what_builds(self) -> list[Any]:
        """Return what decides on which folders there are, and on what is in them."""
        return [self.name, self.options.mutable, self.options.version or self.initialiser]

    def _get(self, entry: Entry, bound: inspect.BoundArguments) -> tuple[Generation, Lock]:
        """Wait for another's folder, or fill it."""
        place.own(entry.path)
        if entry.lock in held_by_this_thread():
            raise NodeFolderError(f"{self.name} asked for the folder that it is filling.")
        began, filling = time.perf_counter(), self._filling(bound)

        def use() -> tuple[Generation, Lock] | None:
            age = self.options.max_age  # that it may have had when this call began
            return entry.use(None if age is None else age + time.perf_counter() - began)

        def attempt() -> tuple[Generation, Lock] | None:
            if (found := use()) is not None:
                return found
            place.own(entry.path)  # somebody may just have removed the entry
            with Lock(entry.lock) as lock:
                if lock.take(make=True):
                    return use() or filling.run(entry, lock)
            return use()

        try:
            found = wait_for(attempt, self.options.wait, lambda: self._too_long(entry))
        except BaseException:
            entry.forget()  # unless somebody else fills it
            raise
        note({"node_wait_seconds": time.perf_counter() - began - filling.seconds})
        return found

    def _too_long(self, entry: Entry) -> str:
        return (
            f"{self.name} waited {self.options.wait:g} s for its folder, which is being filled by "
            f"{describe_holder(entry.lock)}. To wait longer, use @node_folder(wait=...)."
        )

    def _filling(self, bound: inspect.BoundArguments) -> Filling:
        def write(content: Path) -> None:
            whole = self._whole.bind_partial()
            whole.arguments = {**bound.arguments, "folder": content}
            self.initialiser(*whole.args, **whole.kwargs)

        return Filling(self.name, label_of((), bound.arguments), write, self.options)

    def __get__(self, instance: object, owner: type | None = None) -> NodeFolder[P]:
        """Be the same in a class as outside."""
        return self

    def __reduce__(self) -> str | tuple[Any, ...]:
        if (
            self.__module__ != "__main__"
            and getattr(sys.modules.get(self.__module__), self.__name__, None) is self
        ):
            return str(self.__name__)
        return NodeFolder, (self.initialiser, self.options)

    def __repr__(self) -> str:
        return f"<node folder {self.name}>"


class _Decorator(Protocol):
    """`node_folder` with its options given."""

    @overload
    def __call__(self, initialiser: Callable[Concatenate[Path, P], object], /) -> NodeFolder[P]: ...
    @overload
    def __call__(self, initialiser: Callable[..., object], /) -> NodeFolder[...]: ...
    def __call__(self, initialiser: Callable[..., object], /) -> NodeFolder[...]:
        """Decorate an initialiser."""


@overload
def node_folder(initialiser: Callable[Concatenate[Path, P], object], /) -> NodeFolder[P]: ...
@overload
def node_folder(initialiser: Callable[..., object], /) -> NodeFolder[...]: ...
@overload
def node_folder(
    *,
    maxbytes: int | None = None,
    max_age: float | None = None,
    wait: float = DEFAULT_WAIT,
    version: str | None = None,
    mutable: bool = False,
) -> _Decorator: ...
def node_folder(
    initialiser: Callable[..., object] | None = None,
    /,
    *,
    maxbytes: int | None = None,
    max_age: float | None = None,
    wait: float = DEFAULT_WAIT,
    version: str | None = None,
    mutable: bool = False,
) -> NodeFolder[...] | _Decorator:
    """Fill a folder once per node and arguments, for all processes of the node.

    The initialiser has a parameter ``folder``: the path of an empty folder, which it fills. Other
    processes that ask meanwhile wait. If it raises, or its process is killed, nothing remains, and
    the next to ask fills the folder. Once it is complete, it must not be changed.

    Args:
        initialiser: The function that fills the folder.
        maxbytes: How large all folders of this initialiser may be together, in bytes. Beyond that,
            those that nobody uses are removed, the least recently used first.
        max_age: Fill the folder anew once it is this old, in seconds. Whoever uses the old one
            keeps it.
        wait: How long to wait for another process, in seconds.
        version: What tells this initialiser's folders from those of its earlier versions, instead
            of its code and what that names.
        mutable: Let users change what is in the folder. Otherwise its files are compared, once in
            each process, with what was built, and if any is missing or has another size, the folder
            is filled anew.

    Returns:
        A `NodeFolder`: called like the initialiser, without ``folder``; returns the path.

    Raises:
        UsageError: An option or the initialiser is not usable.
    """
    options = Options(maxbytes, max_age, wait, version, mutable)
    decorate = cast("_Decorator", functools.partial(_decorate, options))
    return decorate if initialiser is None else decorate(initialiser)


def _decorate(options: Options, initialiser: Any, /) -> NodeFolder[...]:
    later = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if not inspect.isfunction(initialiser) or any(is_kind(initialiser) for is_kind in later):
        raise UsageError(
            f"@node_folder decorates a plain function, not {initialiser!r}. Options are given by "
            "keyword: @node_folder(max_age=3600)."
        )
    return NodeFolder(initialiser, options)
