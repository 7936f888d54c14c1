"""Say what registering a function would come to, before anyone is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gc_warm.client.manifest import Entry, Version
from gc_warm.client.strategies import require_code
from gc_warm.errors import UsageError
from gc_warm.shipping.payload import fingerprint
from gc_warm.worker.self_contained import SelfContained


@dataclass(frozen=True)
class Registration:
    """What registering a function came to.

    Attributes:
        entry: The function, as the manifest has it now.
        changed: Whether it got a new id. With ``dry_run``, whether it would.
        reason: Why, such as ``its source changed``.
    """

    entry: Entry
    changed: bool
    reason: str

    @property
    def function_id(self) -> str:
        """The function's id."""
        return self.entry.current.id


def draft(
    function: Any,
    name: str | None,
    description: str | None,
    group: str | None,
    *,
    public: bool,
    strategy: str,
) -> Entry:
    """Return the entry that a function would have, as yet without an id.

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
        raise UsageError(
            f"A function cannot be called {name!r}: choose a name that can be printed."
        )
    target, content = fingerprint(function)
    version = Version("", content, "", strategy)
    return Entry(name, target, version, (), public, group, description)


def compare(
    entries: dict[str, Entry], wanted: Entry, *, again: bool, keep: bool = False
) -> Registration:
    """Say whether a function would get a new id, and why.

    Args:
        entries: What the manifest has.
        wanted: What `draft` made of the function.
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
