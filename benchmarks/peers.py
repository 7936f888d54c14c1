"""What gc-warm promises, asked of its peers: every cell of the table is what happened when it ran.

The peers are no dependencies of this project. Install those of interest beside it, then run::

    pip install cachetools streamlit "ray[serve]"
    pip install --no-deps distllm
    python -m benchmarks.peers

Each peer is used in its best configuration, runs in a process of its own, and is given seconds for
each question; whoever does not answer "hangs".
"""

# What a peer's method does is documented where `Peer` has it.
# ruff: noqa: D102

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.metadata
import inspect
import itertools
import json
import logging
import os
import platform
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 5.0  # that a peer has to answer a question
MOMENT = 0.15  # that a slow build takes, or a thread is given to get somewhere


_numbers = itertools.count()


class Thing:
    """What is kept here; knows how many are alive, and how many there have been at once."""

    living: ClassVar[weakref.WeakSet[Thing]]
    peak: ClassVar[int]

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.living.add(self)
        Thing.peak = max(Thing.peak, len(self.living))

    @classmethod
    def begin(cls) -> None:
        """Count anew."""
        cls.living = weakref.WeakSet()
        cls.peak = 0


Thing.begin()


class Peer:
    """A cache, asked for what it can do; here, what holds unless one does better.

    Args:
        name: What the table calls it.
        package: Its distribution; None for what comes with Python.
        module: What has to be imported.
    """

    def __init__(self, name: str, package: str | None, module: str) -> None:
        self.name = name
        self.package = package
        self._module = module
        self.any_argument = True

    @functools.cached_property
    def module(self) -> Any:
        """The module, imported."""
        return importlib.import_module(self._module)

    def version(self) -> str:
        """Return the version, or say that it is not there."""
        if self.package is None:
            return platform.python_version()
        try:
            version = importlib.metadata.version(self.package)
            assert self.module
        except ImportError:
            return "not installed"
        return version

    def wrap(self, build: Callable[..., Any], **options: Any) -> Any:
        """Put the cache around a function; for one object, unless ``maxsize`` says otherwise."""
        raise NotImplementedError

    def closing(self, build: Callable[..., Any], release: Callable[[Any], None]) -> Any:
        """Do so, and have a function called with a weak reference to what goes; None: cannot."""
        del build, release

    def begin(self) -> None:
        """Forget what former questions left."""

    def share(self, one: Callable[..., Any], other: Callable[..., Any]) -> tuple[Any, Any]:
        """Put one cache for one object around two functions."""
        return self.wrap(one), self.wrap(other)

    def use(self, cached: Any, name: str) -> contextlib.AbstractContextManager[Any]:
        """Use an object for a while."""
        return contextlib.nullcontext(cached(name))

    def timed(self, build: Callable[..., Any]) -> dict[str, Any]:
        """Put caches around a function that keep for 0.1 s, without use 0.1 s, for one use."""
        del build
        return {}

    def in_bytes(self, build: Callable[..., Any]) -> Any:
        """Put a cache for two objects of 100 bytes around a function; None: cannot."""
        del build

    def patient(self, build: Callable[..., Any]) -> Any:
        """Put a cache around a function whose callers wait 0.1 s at most, if that can be said."""
        return self.wrap(build)

    def stubborn(self, build: Callable[..., Any]) -> Any:
        """Put a cache around a function whose build is not to be cut off, if that can be said."""
        return self.wrap(build)

    def backing_off(self, build: Callable[..., Any]) -> Any:
        """Put a cache around a function that is not to be tried again soon after it failed."""
        return self.wrap(build)

    def invalidate(self, cached: Any, name: str) -> bool:
        """Forget the object of one call; say whether that can be done."""
        del cached, name
        return False

    def info(self, cached: Any) -> list[str]:
        """Return the names of what it tells about itself."""
        for name in ("info", "cache_info", "stats"):
            if callable(ask_it := getattr(cached, name, None)):
                return [*ask_it()._fields]
        return []

    def disabled(self) -> contextlib.AbstractContextManager[Any] | None:
        """Switch all caches off; None: cannot."""
        return None

    def hit_seconds(self, cached: Any, one: str, other: str) -> float:
        """Measure a hit where two names take turns."""

        def in_turn() -> None:
            for _ in range(3000):
                cached(one)
                cached(other)

        return fastest(in_turn) / 6000


def fastest(function: Callable[[], object]) -> float:
    """Return the seconds of the least disturbed of several runs."""
    times = []
    for _ in range(15):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


class GcWarm(Peer):
    """`gc_warm.warm`."""

    def version(self) -> str:
        version: str = self.module.__version__
        return version

    def wrap(self, build: Callable[..., Any], **options: Any) -> Any:
        return self.module.warm(**options)(build)

    def closing(self, build: Callable[..., Any], release: Callable[[Any], None]) -> Any:
        def initialiser(name: str) -> Iterator[Any]:
            thing = build(name)
            yield thing
            reference = weakref.ref(thing)
            del thing
            release(reference)

        return self.module.warm(initialiser)

    def share(self, one: Callable[..., Any], other: Callable[..., Any]) -> tuple[Any, Any]:
        return self.wrap(one, group="shared"), self.wrap(other, group="shared")

    def use(self, cached: Any, name: str) -> contextlib.AbstractContextManager[Any]:
        lease: contextlib.AbstractContextManager[Any] = cached.lease(name)
        return lease

    def timed(self, build: Callable[..., Any]) -> dict[str, Any]:
        return {
            "age": self.wrap(build, max_age=0.1),
            "idleness": self.wrap(build, idle_timeout=0.1),
            "uses": self.wrap(build, max_uses=1),
        }

    def in_bytes(self, build: Callable[..., Any]) -> Any:
        return self.wrap(build, maxsize=None, size=100, maxbytes=200)

    def patient(self, build: Callable[..., Any]) -> Any:
        return self.wrap(build, wait=0.1)

    def stubborn(self, build: Callable[..., Any]) -> Any:
        return self.wrap(build, background=True)

    def backing_off(self, build: Callable[..., Any]) -> Any:
        return self.wrap(build, retry_after=60)

    def invalidate(self, cached: Any, name: str) -> bool:
        done: bool = cached.invalidate(name)
        return done

    def disabled(self) -> contextlib.AbstractContextManager[Any] | None:
        switch: contextlib.AbstractContextManager[Any] = self.module.disable()
        return switch


class LruCache(Peer):
    """`functools.lru_cache`."""

    def wrap(self, build: Callable[..., Any], **options: Any) -> Any:
        return functools.lru_cache(maxsize=options.get("maxsize", 1), typed=True)(build)


class Cachetools(Peer):
    """`cachetools.cached`, with a lock, or with a condition that lets one of many build."""

    def __init__(self, name: str, guard: Callable[[], Any]) -> None:
        super().__init__(name, "cachetools", "cachetools")
        self._guard = guard

    def _cached(self, cache: Any, key: Any = None) -> Any:
        guard = self._guard()
        kind = "condition" if isinstance(guard, threading.Condition) else "lock"
        key = key or self.module.keys.typedkey
        return self.module.cached(cache, key=key, info=True, **{kind: guard})

    def wrap(self, build: Callable[..., Any], **options: Any) -> Any:
        size = options.get("maxsize", 1)
        cache = self.module.LRUCache(float("inf") if size is None else size)
        return self._cached(cache)(build)

    def share(self, one: Callable[..., Any], other: Callable[..., Any]) -> tuple[Any, Any]:
        cache, key = self.module.LRUCache(1), self.module.keys.typedkey
        shared = [
            self.module.cached(cache, key=functools.partial(key, f.__name__), lock=self._guard())(f)
            for f in (one, other)
        ]
        return shared[0], shared[1]

    def timed(self, build: Callable[..., Any]) -> dict[str, Any]:
        return {"age": self._cached(self.module.TTLCache(8, 0.1))(build)}

    def in_bytes(self, build: Callable[..., Any]) -> Any:
        return self._cached(self.module.LRUCache(200, getsizeof=lambda _: 100))(build)

    def invalidate(self, cached: Any, name: str) -> bool:
        return cached.cache.pop(cached.cache_key(name), None) is not None


def renewed(build: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that a cache has never seen, even if it goes by names; or the class."""
    if isinstance(build, type) or inspect.isgeneratorfunction(build):
        return build

    @functools.wraps(build)
    def renewed_build(*args: Any, **named: Any) -> Any:
        return build(*args, **named)

    renewed_build.__qualname__ += f"_{next(_numbers)}"
    return renewed_build


class Streamlit(Peer):
    """`streamlit.cache_resource`, without a running app."""

    def wrap(self, build: Callable[..., Any], **options: Any) -> Any:
        logging.disable(logging.CRITICAL)  # it warns that there is no app
        options.setdefault("max_entries", options.pop("maxsize", 1))
        return self.module.cache_resource(show_spinner=False, **options)(renewed(build))

    def closing(self, build: Callable[..., Any], release: Callable[[Any], None]) -> Any:
        def on_release(thing: Any) -> None:
            reference = weakref.ref(thing)
            del thing
            release(reference)

        return self.wrap(build, on_release=on_release)

    def timed(self, build: Callable[..., Any]) -> dict[str, Any]:
        return {"age": self.wrap(build, ttl=0.1)}

    def invalidate(self, cached: Any, name: str) -> bool:
        cached.clear(name)
        return True


class Registry(Peer):
    """`distllm.registry`, the registry of objects of several projects on Parsl: always for one."""

    def begin(self) -> None:
        registry = self.module.registry  # one for the process
        registry._registry, registry._active = {}, None

    def wrap(self, build: Callable[..., Any], **options: Any) -> Any:
        del options
        return self.module.register()(renewed(build))

    def closing(self, build: Callable[..., Any], release: Callable[[Any], None]) -> Any:
        def shutdown(thing: Any) -> None:
            reference = weakref.ref(thing)
            del thing
            release(reference)

        return self.module.register(shutdown_callback=shutdown)(renewed(build))


class RayServe(Peer):
    """`ray.serve.multiplexed`; works in a replica only, in an event loop, for one text each."""

    def __init__(self, name: str, package: str, module: str) -> None:
        super().__init__(name, package, module)
        self.any_argument = False

    @functools.cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        return loop

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def wrap(self, build: Callable[..., Any], **options: Any) -> Any:
        @self.module.multiplexed(max_num_models_per_replica=options.get("maxsize") or 1)  # type: ignore[untyped-decorator]
        async def load(name: str) -> Any:
            return await asyncio.to_thread(build, name)

        def cached(*args: Any, **named: Any) -> Any:
            return self._run(load(*args, **named))

        cached.load = load  # type: ignore[attr-defined]
        return cached

    def closing(self, build: Callable[..., Any], release: Callable[[Any], None]) -> Any:
        class Closing(Thing):
            def __del__(self) -> None:
                release(weakref.ref(self))

        def load_closing(name: str) -> Thing:
            build(name)
            return Closing(name)

        return self.wrap(load_closing)

    def info(self, cached: Any) -> list[str]:
        return super().info(cached.load)

    def hit_seconds(self, cached: Any, one: str, other: str) -> float:
        async def in_turn() -> None:
            for _ in range(1000):
                await cached.load(one)
                await cached.load(other)

        return fastest(lambda: self._run(in_turn())) / 2000


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        GcWarm("gc-warm", "gc-warm", "gc_warm"),
        LruCache("functools.lru_cache", None, "functools"),
        Cachetools("cachetools.cached, lock=", threading.Lock),
        Cachetools("cachetools.cached, condition=", threading.Condition),
        Streamlit("Streamlit cache_resource", "streamlit", "streamlit"),
        RayServe("Ray Serve multiplexed", "ray", "ray.serve"),
        Registry("distllm.registry", "distllm", "distllm.registry"),
    )
}


# Questions


def in_threads(number: int, function: Callable[[int], Any]) -> list[Any]:
    """Run a function in threads that start together; return results and exceptions."""
    barrier = threading.Barrier(number)
    results: list[Any] = [TimeoutError("hangs")] * number

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = function(index)
        except Exception as error:  # noqa: BLE001  (it is the result)
            results[index] = error

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return results


def forms(peer: Peer) -> str:
    """Ask what can be decorated."""

    def generator(name: str) -> Iterator[Thing]:
        yield Thing(name)

    if isinstance(peer, RayServe):
        try:
            peer.module.multiplexed(lambda name: name)
        except TypeError:
            return "asynchronous function"
    names = []
    for name, initialiser in {"function": keep, "generator": generator, "class": Thing}.items():
        cached = peer.wrap(initialiser)
        one, two = cached("a"), cached("a")
        if one is two and isinstance(one, Thing):
            names.append(name)
    return ", ".join(names)


def keep(name: str) -> Thing:
    """Build a thing."""
    return Thing(name)


def key_of(name: object) -> tuple[object]:
    """Build what is told apart by its identity."""
    return (name,)


def exact_keys(peer: Peer) -> str:
    """Ask for different states by values that Python calls equal."""
    if not peer.any_argument:
        return "one text only"
    wrong = []
    pairs: list[tuple[object, object]] = [
        (1, True),
        (0.0, -0.0),
        (-1, -2),
        ((1,), (1.0,)),
    ]
    for one, other in pairs:
        cached = peer.wrap(key_of, maxsize=None)
        if cached(one) is cached(other):
            wrong.append(f"`{one!r}` is `{other!r}`")
    return "no: " + ", ".join(wrong) if wrong else "yes"


def same_call(peer: Peer) -> str:
    """Call the same in two ways."""
    cached = peer.wrap(key_of, maxsize=8)
    return "yes" if cached("a") is cached(name="a") else "no"


class Unhashable:
    """What cannot be a key."""

    __hash__ = None  # type: ignore[assignment]


def unhashable(peer: Peer) -> str:
    """Pass what cannot be a key; look for its name in the error."""
    try:
        peer.wrap(key_of)(Unhashable())
    except Exception as error:  # noqa: BLE001  (its text is what was asked for)
        return "yes" if "'name'" in str(error) else f"no: {type(error).__name__}"
    return "no error"


def evict_before_load(peer: Peer) -> str:
    """Count how many are alive when one takes the place of another."""
    cached = peer.wrap(keep)
    for name in "abcab":
        cached(name)
        gc.collect()
    return "yes" if Thing.peak == 1 else f"no: {Thing.peak} alive"


def freed_before_teardown(peer: Peer) -> str:
    """Look in the teardown whether the object is gone."""
    alive: list[bool] = []
    cached = peer.closing(keep, lambda reference: alive.append(reference() is not None))
    if cached is None:
        return "no teardown"
    for name in "abc":
        cached(name)
    if not alive:
        return "no teardown"
    return "no" if any(alive) else "yes"


def one_capacity(peer: Peer) -> str:
    """Let two functions share a place."""

    def other(name: str) -> Thing:
        return Thing(name)

    one, two = peer.share(keep, other)
    one("a")
    two("a")
    gc.collect()
    return "yes" if len(Thing.living) == 1 else "no"


def leases(peer: Peer) -> str:
    """See whether what one thread uses is torn down because another wants the place."""
    torn_down = threading.Event()
    cached = peer.closing(keep, lambda _: torn_down.set())
    if cached is None:
        return "no teardown"
    with peer.use(cached, "a"):
        threading.Thread(target=cached, args=("b",), daemon=True).start()
        early = torn_down.wait(4 * MOMENT)
    return "no" if early else "yes"


def bytes_limit(peer: Peer) -> str:
    """Keep what fits into 200 bytes."""
    cached = peer.in_bytes(keep)
    if cached is None:
        return "no"
    for name in "abc":
        cached(name)
    gc.collect()
    return "yes" if len(Thing.living) == 2 else "no"  # noqa: PLR2004


def slowly(builds: list[str], name: str) -> Thing:
    """Take a moment to build."""
    builds.append(name)
    time.sleep(MOMENT)
    return Thing(name)


def single_flight(peer: Peer) -> str:
    """Let eight threads ask at once."""
    builds: list[str] = []

    def load(name: str) -> Thing:
        return slowly(builds, name)

    cached = peer.wrap(load)
    things = {id(thing) for thing in in_threads(8, lambda _: cached("a"))}
    return "yes" if len(builds) == len(things) == 1 else f"no: {len(builds)} builds"


def shared_exception(peer: Peer) -> str:
    """Let eight threads ask at once for what fails."""
    builds: list[str] = []

    def load(name: str) -> Thing:
        slowly(builds, name)
        raise OSError(name)

    cached = peer.wrap(load)
    in_threads(8, lambda _: cached("a"))
    return "yes" if len(builds) == 1 else f"no: {len(builds)} builds"


def wait_limit(peer: Peer) -> str:
    """Wait for another's build, but not for long."""
    builds: list[str] = []
    go = threading.Event()

    def load(name: str) -> Thing:
        builds.append(name)
        go.wait(SECONDS / 2)
        return Thing(name)

    cached = peer.patient(load)
    threading.Thread(target=cached, args=("a",), daemon=True).start()
    time.sleep(MOMENT)
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            cached("a")
        except Exception as error:  # noqa: BLE001  (it is the result)
            errors.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(4 * MOMENT)
    waits = asking.is_alive()
    go.set()
    if len(builds) > 1:
        return "no: builds again"
    return "no" if waits or not isinstance(errors[0], TimeoutError) else "yes"


def failure_forgotten(peer: Peer) -> str:
    """Fail once, then ask again."""
    builds: list[str] = []

    def load(name: str) -> Thing:
        builds.append(name)
        if len(builds) == 1:
            raise OSError(name)
        return Thing(name)

    cached = peer.wrap(load)
    with contextlib.suppress(OSError):
        cached("a")
    return "yes" if isinstance(cached("a"), Thing) else "no"


def back_off(peer: Peer) -> str:
    """Ask soon after a failure."""
    builds: list[str] = []

    def load(name: str) -> Thing:
        builds.append(name)
        raise OSError(name)

    cached = peer.backing_off(load)
    for _ in range(3):
        with contextlib.suppress(OSError):
            cached("a")
    return "yes" if len(builds) == 1 else "no"


def teardown_fails(peer: Peer) -> str:
    """Let a teardown raise while another's result is awaited."""
    logging.disable(logging.CRITICAL)

    def release(_: Any) -> None:
        raise OSError("the teardown failed")

    cached = peer.closing(keep, release)
    if cached is None:
        return "no teardown"
    cached("a")
    try:
        return "yes" if cached("b").name == "b" else "no"
    except OSError:
        return "no: raises"


def time_limits(peer: Peer) -> str:
    """Use an object now, soon, and after a while."""
    works = []
    for name, cached in peer.timed(keep).items():
        one = cached("a")
        if name != "uses":
            time.sleep(0.12)
        if cached("a") is not one:
            works.append(name)
    return ", ".join(works) or "no"


def cut_off(peer: Peer) -> str:
    """Interrupt a thread that waits for a build, as ``GC_TASK_TIMEOUT`` does, and ask again."""
    builds: list[str] = []

    def load(name: str) -> Thing:
        builds.append(name)
        for _ in range(40):
            time.sleep(MOMENT / 10)
        return Thing(name)

    cached = peer.stubborn(load)

    def ask() -> None:
        with contextlib.suppress(InterruptedError):
            cached("a")

    if isinstance(peer, RayServe):
        task = asyncio.run_coroutine_threadsafe(cached.load("a"), peer._loop)
        time.sleep(MOMENT)
        task.cancel()
    else:
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        time.sleep(MOMENT)
        ident = ctypes.c_ulong(thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(InterruptedError))
        thread.join(SECONDS)
    cached("a")
    return "yes" if len(builds) == 1 else "no: starts over"


def sigterm(peer: Peer) -> str:
    """End a process that holds an object."""
    if peer.closing(keep, lambda _: None) is None:
        return "no teardown"
    if isinstance(peer, RayServe):
        return "no"  # replaced by `run_ray`
    with tempfile.TemporaryDirectory(prefix="gc-warm-bench-") as folder:
        file = Path(folder) / "closed"
        command = [sys.executable, "-m", "benchmarks.peers", "--end", peer.name, str(file)]
        environment = {**os.environ, "GC_TASK_UUID": "a task"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)
        return "yes" if file.exists() else "no"


def be_ended(name: str, file: str) -> None:
    """Hold an object until the process is ended."""
    cached = PEERS[name].closing(keep, lambda _: Path(file).touch())
    cached("a")
    print("ready", flush=True)
    time.sleep(SECONDS)


def in_child(function: Callable[[], str]) -> str:
    """Run a function in a forked child; return what it says, or that it hangs."""
    if not hasattr(os, "fork"):
        return "not run"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.write(writing, function().encode())
        os._exit(0)
    os.close(writing)
    ready = select.select([reading], [], [], SECONDS / 2)[0]
    answer = os.read(reading, 1000).decode() if ready else "no: hangs"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    return answer


def fork(peer: Peer) -> str:
    """Ask in a forked child for what the parent has."""
    if isinstance(peer, RayServe):
        return "not run"
    cached = peer.wrap(keep)
    parents = cached("a")
    return in_child(lambda: "no" if cached("a") is parents else "yes")


def fork_while_building(peer: Peer) -> str:
    """Ask in a child that was forked while a thread of the parent was building the same."""
    if isinstance(peer, RayServe):
        return "not run"
    builds: list[str] = []

    def load(name: str) -> Thing:
        return slowly(builds, name)

    cached = peer.wrap(load)
    threading.Thread(target=cached, args=("a",), daemon=True).start()
    time.sleep(MOMENT / 3)
    return in_child(lambda: "yes" if isinstance(cached("a"), Thing) else "no")


def nested(peer: Peer) -> str:
    """Build what needs another object."""

    def vocabulary(name: str) -> Thing:
        return Thing(name)

    inner = peer.wrap(vocabulary)

    def model(name: str) -> Thing:
        inner(name)
        return Thing(name)

    outer = peer.wrap(model)
    return "yes" if outer("a") is outer("a") else "no: built again"


def recursion(peer: Peer) -> str:
    """Let an initialiser ask for what it builds."""

    def load(name: str) -> Any:
        return cached(name)

    cached = peer.wrap(load)
    try:
        cached("a")
    except RecursionError:
        return "no: stack overflow"
    except Exception as error:  # noqa: BLE001  (its name is the result)
        return f"yes: {type(error).__name__}"
    return "no"


def looking(peer: Peer) -> str:
    """Ask for counts."""
    cached = peer.wrap(keep)
    cached("a")
    names = peer.info(cached)
    if not names:
        return "no"
    return f"{len(names)} figures" if "entries" not in names else f"{len(names)} figures, per state"


def one_entry(peer: Peer) -> str:
    """Forget one object of two."""
    cached = peer.wrap(keep, maxsize=2)
    a, b = cached("a"), cached("b")
    if not peer.invalidate(cached, "a"):
        return "no"
    return "yes" if cached("b") is b and cached("a") is not a else "no"


def switch_off(peer: Peer) -> str:
    """Switch all caches off."""
    switch = peer.disabled()
    if switch is None:
        return "no"
    cached = peer.wrap(keep)
    with switch:
        different = cached("a") is not cached("a")
    return "yes" if different and cached("a") is cached("a") else "no"


def hit(peer: Peer) -> str:
    """Measure a hit with one text."""
    cached = peer.wrap(keep)
    return f"{1e9 * peer.hit_seconds(cached, 'small', 'small'):.0f} ns"


def other_hit(peer: Peer) -> str:
    """Measure a hit where two texts take turns."""
    if isinstance(peer, Registry):
        return "holds one"
    cached = peer.wrap(keep, maxsize=2)
    return f"{1e9 * peer.hit_seconds(cached, 'small', 'large'):.0f} ns"


QUESTIONS: dict[str, Callable[[Peer], str]] = {
    "what can be decorated": forms,
    "keys are exact": exact_keys,
    "`f(1)` and `f(a=1)` are the same": same_call,
    "the error names an unhashable argument": unhashable,
    "evicts before it loads": evict_before_load,
    "the object is gone when its teardown runs": freed_before_teardown,
    "several functions share a capacity": one_capacity,
    "capacity in bytes": bytes_limit,
    "no teardown while in use": leases,
    "waiting is bounded": wait_limit,
    "eight threads, one build": single_flight,
    "eight threads, one exception": shared_exception,
    "a failure is not kept": failure_forgotten,
    "no new attempt for a while": back_off,
    "a failing teardown hides no result": teardown_fails,
    "limits of time": time_limits,
    "a build survives the task that is cut off": cut_off,
    "teardown on SIGTERM": sigterm,
    "a forked child builds its own": fork,
    "a fork during a build does no harm": fork_while_building,
    "state that needs other state": nested,
    "asking for itself is an error": recursion,
    "counts": looking,
    "forget one state": one_entry,
    "switch for tests": switch_off,
    "a hit, the same again": hit,
    "a hit, two in turn": other_hit,
}


# Answers


def ask(peer: Peer) -> dict[str, str]:
    """Ask one peer all questions."""
    return {text: answer(question, peer) for text, question in QUESTIONS.items()}


def answer(question: Callable[[Peer], str], peer: Peer) -> str:
    """Ask a question in a thread, for so long."""
    answers: list[str] = []

    def run() -> None:
        try:
            answers.append(question(peer))
        except Exception as error:  # noqa: BLE001  (an answer too)
            answers.append(f"no: {type(error).__name__}")

    peer.begin()
    gc.collect()
    Thing.begin()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(2 * SECONDS)
    return answers[0] if answers else "no: hangs"


def run_ray(peer: Peer) -> dict[str, str]:
    """Ask in a replica, and end that."""
    ray, serve = importlib.import_module("ray"), peer.module
    in_replica = importlib.import_module("benchmarks.peers").Replica  # by name, not as __main__
    environment = {"env_vars": {"PYTHONPATH": str(Path.cwd())}}
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    try:
        serve.start(proxy_location="Disabled")
        replica = serve.deployment(in_replica).options(max_ongoing_requests=10)
        handle = serve.run(replica.bind(peer.name), route_prefix=None)
        answers: dict[str, str] = handle.ask.remote().result()
        with tempfile.TemporaryDirectory(prefix="gc-warm-bench-") as folder:
            file = Path(folder) / "closed"
            os.kill(handle.hold.remote(str(file)).result(), signal.SIGTERM)
            time.sleep(2 * SECONDS / 5)
            return {**answers, "teardown on SIGTERM": "yes" if file.exists() else "no"}
    finally:
        serve.shutdown()
        ray.shutdown()


class Replica:
    """Asks where Ray Serve can answer."""

    def __init__(self, name: str) -> None:
        self._peer = PEERS[name]
        self._kept: list[Any] = []

    def ask(self) -> dict[str, str]:
        """Ask all questions."""
        return ask(self._peer)

    def hold(self, file: str) -> int:
        """Hold an object whose teardown makes a file; return the process to end."""
        self._kept.append(self._peer.closing(keep, lambda _: Path(file).touch()))
        self._kept[0]("a")
        return os.getpid()


def column(name: str) -> dict[str, str]:
    """Ask a peer in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.peers", "--ask", name]
    ended = subprocess.run(command, capture_output=True, check=False)
    try:
        answers: dict[str, str] = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        print(ended.stderr.decode()[-2000:], file=sys.stderr)
        return dict.fromkeys(QUESTIONS, "could not be run")
    return answers


def main(names: list[str]) -> None:
    """Print the table as Markdown."""
    versions = {name: PEERS[name].version() for name in names}
    answers = {
        name: dict.fromkeys(QUESTIONS, "not installed") if v == "not installed" else column(name)
        for name, v in versions.items()
    }
    print("| | " + " | ".join(f"{name} {versions[name]}" for name in names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for question in QUESTIONS:
        print(f"| {question} | " + " | ".join(answers[name][question] for name in names) + " |")
    today = time.strftime("%d %B %Y")
    print(f"\nRun on {today} with Python {platform.python_version()}, {os.cpu_count()} cores.")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--ask", name]:
            peer = PEERS[name]
            result = run_ray(peer) if isinstance(peer, RayServe) else ask(peer)
            sys.stdout.write("\n" + json.dumps(result) + "\n")
            sys.stdout.flush()
            os._exit(0)  # threads that hang would keep it
        case ["--end", name, file]:
            be_ended(name, file)
        case names:
            main(names or [*PEERS])
