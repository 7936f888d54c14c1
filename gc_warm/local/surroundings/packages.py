"""Which of the packages that are installed here an endpoint would have.

All of them, except gc-warm itself, what is here only because gc-warm needs it, and editable
installs. Metadata is read without ``importlib.metadata``, which would take five times as long.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

OURS = "gc-warm"
FOR_WORKERS = frozenset({"demo", "endpoint"})
"""Those of gc-warm's extras that bring what workers need."""

_METADATA = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}
_NAME = re.compile(r"^Name:\s*(\S+)", re.MULTILINE)
_NEED = re.compile(r"^Requires-Dist:[ \t]*([\w.-]+)[ \t]*(?:\[([^\]]*)\])?(.*)$", re.MULTILINE)
_FIRST = re.compile(r'\n"?([^/,\n]+)')
_PROGRAM = re.compile(r"\n(?:\.\./)+bin/([^/,\n]+),")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)")


class Need(NamedTuple):
    """A distribution that another one needs.

    Attributes:
        extras: Those of its extras that are needed.
        by: The extra of the other one that needs it; empty if that always does.
    """

    name: str
    extras: frozenset[str] = frozenset()
    by: str = ""


@dataclass(frozen=True)
class Installed:
    """A distribution that is installed here; its metadata is in `folder`."""

    name: str
    folder: str = ""
    needs: tuple[Need, ...] = ()
    editable: bool = False

    @cached_property
    def record(self) -> str:
        """Its files, each after a line feed and before a comma; empty if nobody knows them."""
        return "\n" + _read(self.folder, "RECORD")

    def entries(self) -> set[str]:
        """Return what it brings into the folder where it is installed."""
        own = self.folder.rpartition("/")[2]
        return {own, *_FIRST.findall(self.record)} - {"..", "__pycache__"}

    def programs(self) -> set[str]:
        """Return the names of what it brings for the command line."""
        return set(_PROGRAM.findall(self.record))


def normal(name: str) -> str:
    """Return a distribution's name in its normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_installed(folders: Iterable[str]) -> dict[str, Installed]:
    """Return the distributions of folders by their names; the first of each name counts."""
    found: dict[str, Installed] = {}
    for folder in folders:
        for entry in os.scandir(folder):
            kind = _METADATA.get(entry.name[-len(".dist-info") :])
            if kind and (text := _read(entry.path, kind)):
                each = _parse(entry.path, text.partition("\n\n")[0])
                found.setdefault(each.name, each)
    return found


def _parse(folder: str, head: str) -> Installed:
    named = _NAME.search(head)
    needs = [
        Need(
            normal(name),
            frozenset(normal(extra) for extra in extras.split(",") if extra.strip()),
            normal(by[1]) if (by := _EXTRA.search(marker)) else "",
        )
        for name, extras, marker in _NEED.findall(head)
    ]
    origin = json.loads(_read(folder, "direct_url.json") or "{}")
    editable = bool(origin.get("dir_info", {}).get("editable"))
    return Installed(normal(named[1]) if named else "", folder, tuple(needs), editable)


def _read(folder: str, name: str) -> str:
    try:
        with open(f"{folder}/{name}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def hidden_from_workers(
    installed: Mapping[str, Installed], packages: Collection[str] = ()
) -> set[str]:
    """Return the names of those that a bare endpoint would not have.

    An extra of gc-warm counts as installed if all that it needs is here.

    Args:
        installed: Those that are installed, by their names.
        packages: Those that it has all the same, with what they need.
    """
    hidden = {each.name for each in installed.values() if each.editable}
    hidden.difference_update(packages)
    if OURS not in installed:
        return hidden
    needs = installed[OURS].needs
    extras = {need.by for need in needs} - FOR_WORKERS
    complete = {
        extra
        for extra in extras
        if not extra or all(need.name in installed for need in needs if need.by == extra)
    }
    ours = _closure(installed, (need for need in needs if need.by in complete))
    others = [Need(name) for name in (installed.keys() - ours) | {*packages}]
    others += [need for need in needs if need.by in FOR_WORKERS]
    if OURS in packages:
        others += [need for need in needs if not need.by]
    else:
        hidden.add(OURS)
    return hidden | (ours - _closure(installed, others))


def _closure(installed: Mapping[str, Installed], needs: Iterable[Need]) -> set[str]:
    """Return the names of what is needed, and of what that needs in turn; gc-warm is not asked."""
    seen: set[tuple[str, frozenset[str]]] = set()
    left = list(needs)
    while left:
        need = left.pop()
        key = need.name, need.extras
        if key not in seen and need.name in installed and need.name != OURS:
            seen.add(key)
            left += [
                each for each in installed[need.name].needs if not each.by or each.by in need.extras
            ]
    return {name for name, _ in seen}
