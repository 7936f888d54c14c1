"""`WarmExecutor.map` against one task at a time, a loop of submit, and ProcessPoolExecutor.map.

``GC_WARM_BENCH_FILES`` says how many files the real model identifies: 20,000 is the full size.
"""

from __future__ import annotations

import itertools
import os
import pickle
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Ratio, alternate
from gc_warm import LocalExecutor, WarmExecutor, self_contained
from gc_warm.demo import standard_library
from gc_warm.functions.counter import increase_count
from gc_warm.functions.filetype import identify
from gc_warm.local.service.service import LocalService
from gc_warm.worker.batched import Batched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = 2
ITEMS = 2000
ONE_BY_ONE = 12
CHUNKS = (8, 32, 128, 500)
ROUNDS = 3
FILES = int(os.environ.get("GC_WARM_BENCH_FILES", "2000"))

HTEX = f"""
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  max_workers_per_node: {WORKERS}
  job_status_kwargs: {{max_idletime: 600}}
  provider: {{type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}}
"""


def millisecond(number: int) -> int:
    """Take a millisecond."""
    import time

    time.sleep(0.001)
    return number


millisecond.__module__ = "__main__"  # so that a plain submit sends it by value, as a script's


@self_contained
def nothing(number: int) -> int:
    """Do nothing."""
    return number


def run() -> Iterator[Ratio]:
    """Yield what receipts cost, and what maps gain."""
    yield receipt()
    yield from local()
    yield from real_model()
    yield from service()


def receipt() -> Ratio:
    """Return what a receipt costs on the worker, besides the call and its pickles."""
    batched: Any = Batched(nothing)
    calls = [pickle.dumps(((number,), {}), 5) for number in range(1000)]
    packed = pickle.dumps(calls, 5)

    def without() -> None:
        for each in calls:
            args, kwargs = pickle.loads(each)
            pickle.dumps(nothing(*args, **kwargs), 5)

    times = alternate({"with": lambda: batched(packed), "without": without}, calls=5, rounds=20)
    micros = (times["with"] - times["without"]) * 1e6 / len(calls)
    return Ratio("receipt of a call", micros, 20.0, "target", "µs", "<= 1")


def timed(function: Callable[[], object]) -> float:
    """Return how long a function takes, in seconds."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def local() -> Iterator[Ratio]:
    """Yield items of 1 ms over `LocalExecutor`, beside the ideal and the standard library."""
    context = get_context("spawn")
    with (
        WarmExecutor(LocalExecutor(workers=WORKERS)) as warm,
        ProcessPoolExecutor(WORKERS, mp_context=context) as pool,
    ):
        plain = importable_millisecond()
        list(pool.map(plain, range(WORKERS)))
        list(warm.map(millisecond, range(50), progress=False))
        begun = warm.report().figures().call_seconds
        ours: list[float] = []
        theirs: dict[int, list[float]] = {size: [] for size in CHUNKS}
        for _ in range(ROUNDS):
            ours.append(timed(lambda: list(warm.map(millisecond, range(ITEMS), progress=False))))
            for size, times in theirs.items():
                times.append(
                    timed(lambda size=size: list(pool.map(plain, range(ITEMS), chunksize=size)))  # type: ignore[misc]
                )
        work = warm.report().figures().call_seconds - begun
        share = work / WORKERS / sum(ours)
        yield Ratio("map of 1 ms calls", share, 1.0, "ideal", "of ideal", ">= 0.8")
        best = min(map(statistics.median, theirs.values()))
        mine = statistics.median(ours)
        yield Ratio("map of 1 ms calls", mine, best, "ProcessPool, best", "s", "<= 1.3")


def importable_millisecond() -> Callable[[int], int]:
    """Return the function as a process pool needs it: found in a module by its name."""
    from benchmarks import sleeping

    return sleeping.millisecond


def real_model() -> Iterator[Ratio]:
    """Yield Magika over files: cold for each task, warm one by one, and mapped."""
    found = (str(path) for path in itertools.cycle(standard_library().rglob("*.py")))
    files = [[path] for path in itertools.islice(found, FILES)]
    cold = []
    for _ in range(3):
        with LocalExecutor(workers=1) as fresh:
            fresh.submit(increase_count).result()
            cold.append(timed(lambda: fresh.submit(identify, files[0]).result()))
    with LocalExecutor(workers=WORKERS) as below:
        warm = WarmExecutor(below)
        warm.prewarm(identify, files[0], workers=WORKERS)
        some = files[: max(1, FILES // 4)]

        def one_task_each() -> None:
            for future in [below.submit(identify, each) for each in some]:
                future.result()

        single = timed(one_task_each) / len(some)
        mapped = timed(lambda: list(warm.map(identify, files, progress=False))) / len(files)
    each = 1 / (statistics.median(cold) / WORKERS)
    name = f"files a second, Magika over {FILES:,}"
    yield Ratio(name, 1 / mapped, each, "cold in each task", "files/s")
    yield Ratio(name, 1 / mapped, 1 / single, "warm, a task each", "files/s")


def service() -> Iterator[Ratio]:
    """Yield items of 1 ms over the unmodified SDK and a real endpoint, on the local service."""
    with tempfile.TemporaryDirectory(prefix="gc-warm-bench-") as name, LocalService() as running:
        folder = Path(name)
        (folder / "config.yaml").touch()
        (folder / "user_config_template.yaml.j2").write_text(HTEX)
        endpoint = running.start_endpoint(folder)
        with _plain(running, endpoint.id) as first:
            first.submit(millisecond, 0).result()
        with _plain(running, endpoint.id) as one:
            single = timed(lambda: [one.submit(millisecond, 0).result() for _ in range(ONE_BY_ONE)])
        with WarmExecutor(running.executor(endpoint.id)) as warm:
            mapped = timed(lambda: list(warm.map(millisecond, range(ITEMS), progress=False)))
        with _plain(running, endpoint.id) as loop:
            futures = [loop.submit(millisecond, number) for number in range(ITEMS)]
            looped = timed(lambda: [future.result() for future in futures])
    rate = ITEMS / mapped
    yield Ratio("map over the SDK", rate, ONE_BY_ONE / single, "one at a time", "items/s", ">= 20")
    yield Ratio("map over the SDK", rate, ITEMS / looped, "loop of submit", "items/s", ">= 3")


def _plain(running: LocalService, endpoint_id: Any) -> Any:
    """Return the SDK's executor, which publishes few types."""
    return running.executor(endpoint_id)
