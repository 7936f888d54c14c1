"""Register self-contained functions, and remember their ids."""

from __future__ import annotations

import datetime as dt
import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.client.manifest import Entry, Manifest, Version
from gc_warm.client.service import connect, explaining, register
from gc_warm.client.strategies import DEFAULT_CODE, require_code
from gc_warm.errors import UsageError
from gc_warm.errors.client import UnknownFunctionError
from gc_warm.shipping.payload import fingerprint
from gc_warm.worker.self_contained import SelfContained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from globus_compute_sdk import Client

__all__ = [
    "Entry",
    "FunctionRegistry",
    "Registration",
    "Version",
    "registered",
]

MANIFEST = "functions.json"


@dataclass(frozen=True)
class Registration:
    """The outcome of registering a function."""

    entry: Entry  # as the manifest has it now
    changed: bool  # it got a new id; with `dry_run`, it would
    reason: str  # such as "its source changed"

    @property
    def function_id(self) -> str:
        """The function's id."""
        return self.entry.current.id


class FunctionRegistry:
    """Registers functions and remembers them in a manifest, a JSON file meant for git.

    Args:
        manifest: The file; the first function that is registered creates it.
        client: A ``globus_compute_sdk.Client``; by default one is made when it is needed.
        clock: Returns the time.
    """

    def __init__(
        self,
        manifest: str | os.PathLike[str] = MANIFEST,
        *,
        client: Client | None = None,
        clock: Callable[[], dt.datetime] | None = None,
    ) -> None:
        self._manifest = Manifest(Path(manifest))
        self._client = client
        self._clock = clock or functools.partial(dt.datetime.now, dt.timezone.utc)

    @property
    def path(self) -> Path:
        """The manifest's file."""
        return self._manifest.path

    def exists(self) -> bool:
        """Return whether there is a manifest."""
        return os.path.lexists(self.path)

    def entries(self) -> dict[str, Entry]:
        """Return all functions by name.

        Raises:
            RegistryError: The manifest cannot be read.
        """
        return self._manifest.read()

    def __getitem__(self, name: str) -> Entry:
        """Return a function by its name.

        Raises:
            UsageError: The manifest has no such function.
        """
        entries = self.entries()
        if name not in entries:
            known = ", ".join(sorted(entries)) or "none"
            raise UsageError(f"{self.path} has no function {name!r}; it has: {known}.")
        return entries[name]

    def register(
        self,
        function: SelfContained[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        public: bool = False,
        group: str | None = None,
        strategy: str | None = None,
        again: bool = False,
        dry_run: bool = False,
    ) -> Registration:
        """Register a function, unless the manifest has it with the same source.

        Args:
            function: A self-contained function.
            name: What to call it in the manifest; by default its own name.
            description: How the service describes it; by default by its docstring.
            public: Let anyone run it.
            group: Let the members of a Globus group run it: the group's id.
            strategy: The SDK's serialization strategy for it, by the name of its class; by default
                the one that the manifest has for it, or ``DillCode``.
            again: Register it even if it did not change.
            dry_run: Only say what would be done; needs no credentials.

        Returns:
            The function with its id, and whether that is new.

        Raises:
            UsageError: It is not self-contained, or the name belongs to another function, or there
                is no such strategy.
            ShippingError: It cannot be made self-contained.
            RegistryError: The service refuses it, or the manifest cannot be read or written.
        """
        wanted = _draft(
            function, name, description, group, public=public, strategy=strategy or DEFAULT_CODE
        )
        if dry_run:
            return _compare(self.entries(), wanted, again=again, keep=strategy is None)
        with self._manifest.changing() as entries:
            planned = _compare(entries, wanted, again=again, keep=strategy is None)
            if not planned.changed:
                return planned
            wanted = planned.entry
            function_id = register(self._service(), function, wanted)
            now = f"{self._clock():%Y-%m-%dT%H:%M:%SZ}"
            entry = replace(wanted, current=replace(wanted.current, id=function_id, registered=now))
            old = entries.get(wanted.name)
            entries[wanted.name] = old.renewed(entry) if old else entry
        return Registration(entries[wanted.name], True, planned.reason)

    def verify(self, names: Iterable[str] = ()) -> None:
        """Check that the service still knows functions.

        Args:
            names: Which functions; by default all.

        Raises:
            UnknownFunctionError: It does not know one.
            RegistryError: It does not answer.
        """
        for name in list(names) or sorted(self.entries()):
            function_id = self[name].current.id
            with explaining(f"look up {name}", function_id):
                self._service().get_function(function_id)

    def prune(
        self, names: Iterable[str] = (), *, keep: int = 0, delete: bool = False
    ) -> list[Version]:
        """Forget old versions of functions.

        Args:
            names: Of which functions; by default of all.
            keep: How many old versions of each to keep.
            delete: Delete them from the service, too. Submitting them is an error then.

        Returns:
            What was forgotten.

        Raises:
            UsageError: The manifest has no such function, or `keep` is below zero.
            RegistryError: The service refuses, or the manifest cannot be read or written.
        """
        if keep < 0:
            raise UsageError(f"keep={keep} must be zero or more.")
        for name in (names := list(names)):
            self[name]  # raises if there is none
        forgotten: list[Version] = []
        with self._manifest.changing() as entries:
            for name in names or sorted(entries):
                entry = entries[name]
                forgotten += entry.history[keep:]
                entries[name] = replace(entry, history=entry.history[:keep])
            if delete:
                for version in forgotten:
                    self._delete(version.id)
        return forgotten

    def _delete(self, function_id: str) -> None:
        try:
            with explaining(f"delete {function_id}", function_id):
                self._service().delete_function(function_id)
        except UnknownFunctionError:
            return  # that is what was wanted

    def allowed_functions(self, names: Iterable[str] = ()) -> str:
        """Return the block of an endpoint's config.yaml that allows these functions and no others.

        Its comments name their strategies: ``allowed_serializers``, if the template has it, must
        have these, too.

        Args:
            names: Which functions; by default all.
        """
        chosen = [self[name] for name in list(names) or sorted(self.entries())]
        if not chosen:
            return "allowed_functions: []"
        lines = [f"  - {e.current.id}  # {e.name}, by {e.current.strategy}" for e in chosen]
        return "\n".join(["allowed_functions:", *lines])

    def _service(self) -> Client:
        if self._client is None:
            self._client = connect()
        return self._client


def registered(name: str, manifest: str | os.PathLike[str] = MANIFEST) -> str:
    """Return a registered function's id, for ``submit_to_registered_function``.

    Args:
        name: The function's name in the manifest.
        manifest: The manifest's file.

    Raises:
        UsageError: The manifest has no such function.
        RegistryError: The manifest cannot be read.
    """
    return FunctionRegistry(manifest)[name].current.id


def _draft(
    function: Any,
    name: str | None,
    description: str | None,
    group: str | None,
    *,
    public: bool,
    strategy: str,
) -> Entry:
    """Return the entry that a function would have, without an id yet.

    Raises:
        UsageError: It is not self-contained, or it would be both public and a group's, or its name
            or strategy will not do.
        ShippingError: It cannot be carried.
    """
    if not isinstance(function, SelfContained):
        raise UsageError(
            f"{function!r} is not self-contained, so workers could not keep anything warm for it. "
            "Put @self_contained above it."
        )
    if public and group:
        raise UsageError("A function is public, or a group's; not both.")
    require_code(strategy)
    name = function.__qualname__ if name is None else name
    if not name or not name.isprintable():
        raise UsageError(f"A function cannot be called {name!r}: choose a printable name.")
    target, content = fingerprint(function)
    version = Version("", content, "", strategy)
    return Entry(name, target, version, (), public, group, description)


def _compare(
    entries: dict[str, Entry], wanted: Entry, *, again: bool, keep: bool = False
) -> Registration:
    """Return whether a function would get a new id, and why.

    Args:
        entries: What the manifest has.
        wanted: What `_draft` made of the function.
        again: Whether it gets one even if it did not change.
        keep: Whether it keeps the strategy that it was registered with.

    Raises:
        UsageError: The name belongs to another function.
    """
    known = entries.get(wanted.name)
    if known is None:
        return Registration(wanted, True, "it is new")
    if known.target != wanted.target:
        raise UsageError(
            f"The name {wanted.name!r} belongs to {known.target}. Choose another for "
            f"{wanted.target}, with name= or --name."
        )
    if keep:
        current = replace(wanted.current, strategy=known.current.strategy)
        wanted = replace(wanted, current=current)
    if known.current.hash != wanted.current.hash:
        return Registration(wanted, True, "its source changed")
    if known.current.strategy != wanted.current.strategy:
        return Registration(wanted, True, f"its strategy was {known.current.strategy}")
    if (known.public, known.group) != (wanted.public, wanted.group):
        return Registration(wanted, True, "who may run it changed")
    if known.description != wanted.description:
        return Registration(wanted, True, "its description changed")
    if again:
        return Registration(wanted, True, "it was asked for")
    return Registration(known, False, "it did not change")
