"""Warm hits and builds against `functools.lru_cache`, `cachetools.cached` with a lock, a global."""

from __future__ import annotations

import functools
import threading
import time
import tracemalloc
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cachetools

from benchmarks.measure import Ratio, alternate
from gc_warm import warm
from gc_warm.worker.scope import task_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager


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


def build_none(name: str) -> None:
    """Build a state that takes no memory."""


def yield_one(name: Any) -> Iterator[object]:  # noqa: ARG001  (it is the key)
    """Build a state that has a teardown."""
    yield object()


def caches(build: Callable[..., Any], maxsize: int = 1) -> dict[str, Callable[..., Any]]:
    """Put each kind of cache around an initialiser."""
    cached = cachetools.cached(cachetools.LRUCache(maxsize), lock=threading.Lock())
    return {
        "warm": warm(maxsize=maxsize)(build),
        "lru_cache": functools.lru_cache(maxsize=maxsize)(build),
        "cachetools": cached(build),
    }


def run() -> Iterator[Ratio]:
    """Yield all ratios."""
    yield from hits()
    yield from hits_in_turn()
    yield from hits_of_threads()
    yield from builds()
    yield from memory()


def hits() -> Iterator[Ratio]:
    """Yield the ratios of hits for each kind of key, outside of a call and in one."""
    keys: dict[str, tuple[Any, ...]] = {
        "no arguments": (),
        "one string": ("small",),
        "one number": (1.5,),
        "a tuple": (("small", 12),),
        "a frozen dataclass": (Config("small", 12),),
    }
    for key, args in keys.items():
        subjects = {
            name: functools.partial(function, *args)
            for name, function in caches(build_one if args else build_nothing).items()
        }
        subjects["a module global"] = functools.partial(by_global)
        yield from compared(f"hit, {key}", subjects, "<= 1" if key in EXACT_BY_TYPE else "")
        with task_scope():
            target = "<= 0.5" if key in EXACT_BY_TYPE else ""
            yield from compared(f"hit in a call, {key}", subjects, target)


# Other keys have to be looked into, which costs what cachetools does not do.
EXACT_BY_TYPE = {"no arguments", "one string"}


def compared(
    name: str, subjects: Mapping[str, Callable[..., Any]], target: str, *, calls: int = 1
) -> Iterator[Ratio]:
    """Yield the ratios of our hits to those of the others, of which cachetools has a target."""
    times = {
        each: 1e9 * t / calls
        for each, t in alternate(subjects, calls=20_000 // calls, rounds=25).items()
    }
    for other in times.keys() - {"warm"}:
        goal = target if other == "cachetools" else ""
        yield Ratio(name, times["warm"], times[other], other, "ns", goal)


def hits_in_turn() -> Iterator[Ratio]:
    """Yield the ratios of hits where two states take turns."""

    def in_turn(function: Callable[..., Any]) -> None:
        function("small")
        function("large")

    subjects = {
        name: functools.partial(in_turn, function)
        for name, function in caches(build_one, maxsize=2).items()
    }
    yield from compared("hit, two strings in turn", subjects, "<= 1", calls=2)
    with task_scope():
        yield from compared("hit in a call, two strings in turn", subjects, "<= 0.5", calls=2)


THREADS = 8


def hits_of_threads() -> Iterator[Ratio]:
    """Yield how much slower hits are in eight threads than in one, for us and for `lru_cache`.

    Threads take turns in Python, so the time of all hits together is to be that of one thread; what
    they lose by taking turns, `lru_cache` loses too.
    """
    cached = caches(build_one)
    one = {name: in_threads(1, cached[name]) for name in cached}
    many = {name: in_threads(THREADS, cached[name]) for name in cached}
    slower = {name: many[name] / one[name] for name in many}
    name = f"hit, {THREADS} threads / one"
    yield Ratio(name, slower["warm"], slower["lru_cache"], "lru_cache", "times", "<= 1.25")
    name = f"hit, {THREADS} threads"
    yield Ratio(name, 1e9 * many["warm"], 1e9 * many["cachetools"], "cachetools", "ns", "<= 1")
    in_calls = in_threads(THREADS, cached["warm"], scope=task_scope, calls=20_000)
    name = f"hit, {THREADS} threads, each in a call"
    yield Ratio(name, 1e9 * in_calls, 1e9 * many["cachetools"], "cachetools", "ns", "<= 0.5")


def in_threads(
    number: int,
    function: Callable[..., Any],
    *,
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
    calls: int = 400_000,
) -> float:
    """Return the seconds per hit of all threads together, in the fastest of several rounds.

    Args:
        number: How many threads there are; they begin and end together.
        function: What they call.
        scope: What each does it in.
        calls: How often they call it, all together; many, for threads to take turns at all.
    """

    def work(barrier: threading.Barrier) -> None:
        with scope():
            barrier.wait()
            for _ in range(calls // number):
                function("small")
            barrier.wait()

    best = float("inf")
    function("small")
    for _ in range(5):
        barrier = threading.Barrier(number + 1)
        threads = [threading.Thread(target=work, args=(barrier,)) for _ in range(number)]
        for thread in threads:
            thread.start()
        while barrier.n_waiting < number:
            time.sleep(0.001)
        start = time.perf_counter()
        barrier.wait()
        barrier.wait()
        best = min(best, (time.perf_counter() - start) / calls)
        for thread in threads:
            thread.join()
    return best


def builds() -> Iterator[Ratio]:
    """Yield what a build costs besides the initialiser, with the release of the former state."""
    limit = 20.0  # microseconds
    subjects: dict[str, Callable[..., Any]] = {
        "function": warm(build_one),
        "generator": warm(yield_one),
        "lru_cache": functools.lru_cache(maxsize=1)(build_one),
        "bare": build_one,
    }

    def another(function: Callable[..., Any]) -> None:
        function("small")
        function("large")

    pairs = {name: functools.partial(another, function) for name, function in subjects.items()}
    times = {name: 5e5 * t for name, t in alternate(pairs, calls=300, rounds=25).items()}
    cost = {name: t - times["bare"] for name, t in times.items() if name != "bare"}
    yield Ratio("build, a function", cost["function"], limit, "the limit", "µs", "<= 1")
    yield Ratio("build, a generator", cost["generator"], limit, "the limit", "µs", "<= 1")
    yield Ratio("build, a function", cost["function"], cost["lru_cache"], "lru_cache", "µs")


def memory() -> Iterator[Ratio]:
    """Yield what an entry takes besides its state."""
    entries = 2000
    names = [f"name {number}" for number in range(entries)]
    taken = {}
    for name, function in caches(build_none, maxsize=entries).items():
        function("warm up")
        tracemalloc.start()
        for argument in names:
            function(argument)
        taken[name] = tracemalloc.get_traced_memory()[0] / entries
        tracemalloc.stop()
    for other in ("lru_cache", "cachetools"):
        yield Ratio("memory per entry", taken["warm"], taken[other], other, "bytes")
