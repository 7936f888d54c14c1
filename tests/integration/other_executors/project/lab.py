"""A user's module: state that is slow to build, in the forms people write, and what uses it."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from importlib.machinery import PathFinder

import lab_log

from gc_warm import self_contained, warm

calls = 0
server = None


@dataclass(frozen=True)
class Setup:
    """The folder where builds are noted: the key of what is built."""

    folder: str


@dataclass
class Used:
    """What a task found."""

    pid: int
    calls: int
    answer: int
    importable: list[str]


@warm
def model(setup):
    lab_log.note(setup.folder, "warm")
    yield 20


@functools.lru_cache(maxsize=1)
def table(setup):
    lab_log.note(setup.folder, "lru_cache")
    return 1


@self_contained
def use(folder, number):
    global calls, server  # noqa: PLW0603  (one of the forms that people write)
    calls += 1
    setup = Setup(folder)
    if server is None:
        lab_log.note(folder, "global")
        server = 300
    # What this process has imported already counts only if it could have done so by itself.
    importable = [name for name in ("gc_warm", "lab", "lab_log") if PathFinder.find_spec(name)]
    return Used(os.getpid(), calls, server + model(setup) + table(setup) + number, importable)


@self_contained
def reuse(used):
    """Use what another task returned: an instance of a class that no worker has installed."""
    global calls  # noqa: PLW0603
    calls += 1
    return Used(os.getpid(), calls, used.answer + 1000, used.importable)


def scaled(by, folder, number):
    used = use(folder, number)
    used.answer *= by
    return used
