"""What every program here does: have what no worker has, and report.

A program is started by `test_other_executors.py` with the folder of gc-warm, the folder of the
user's modules, and one for notes. It finds the first two by a finder of its own: what is on
`sys.path`, many executors put on their workers' as well.
"""

from __future__ import annotations

import dataclasses
import importlib.abc
import json
import os
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.machinery import ModuleSpec


class OnlyHere(importlib.abc.MetaPathFinder):
    """Find modules of folders that are on no path."""

    def __init__(self, folders: list[str]) -> None:
        self._folders = folders

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, self._folders) if path is None else None


def begin() -> tuple[Any, str]:
    """Return the user's module, and the folder for notes."""
    ours, project, folder = sys.argv[1:4]
    sys.meta_path.append(OnlyHere([ours, project]))
    import lab

    return lab, folder


def report(**cases: Iterable[Any]) -> None:
    """Print what the tasks of each case returned."""
    tasks = {name: [dataclasses.asdict(used) for used in case] for name, case in cases.items()}
    print(json.dumps({"client": os.getpid(), "tasks": tasks}))  # noqa: T201  (its answer)
