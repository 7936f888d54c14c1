"""A warm hit against `functools.lru_cache`, `cachetools.cached` with a lock, and a global."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cachetools

from benchmarks.measure import Ratio, alternate
from gc_warm import warm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Config:
    """A key as users write them."""

    name: str
    layers: int


STATE = object()


def by_global() -> object:
    """Do what everybody does without a library."""
    return STATE


def build_nothing() -> object:
    """Build a state of no arguments."""
    return object()


def build_one(name: Any) -> object:  # noqa: ARG001  (it is the key)
    """Build a state for one argument."""
    return object()


def caches(build: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Put each kind of cache around an initialiser."""
    lock = threading.Lock()
    cached = cachetools.cached(cachetools.LRUCache(maxsize=1), lock=lock)
    return {
        "warm": warm(build),
        "lru_cache": functools.lru_cache(maxsize=1)(build),
        "cachetools": cached(build),
    }


def run() -> Iterator[Ratio]:
    """Yield the ratios of hits for each kind of key."""
    keys: dict[str, tuple[Any, ...]] = {
        "no arguments": (),
        "one string": ("small",),
        "a frozen dataclass": (Config("small", 12),),
    }
    for key, args in keys.items():
        subjects = {
            name: functools.partial(function, *args)
            for name, function in caches(build_one if args else build_nothing).items()
        }
        subjects["a module global"] = functools.partial(by_global)
        times = {name: 1e9 * t for name, t in alternate(subjects, calls=20_000, rounds=25).items()}
        for other, target in {
            "lru_cache": "<= 2",
            "cachetools": "<= 0.333",
            "a module global": "",
        }.items():
            yield Ratio(f"hit, {key}", times["warm"], times[other], other, "ns", target)
