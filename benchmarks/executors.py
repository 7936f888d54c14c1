"""`LocalExecutor` against the endpoint's own engines: round trip, throughput, start."""

from __future__ import annotations

import contextlib
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Result, Task
from globus_compute_endpoint.engines import GlobusComputeEngine, ProcessPoolEngine
from globus_compute_endpoint.engines.base import GCFuture
from parsl.providers import LocalProvider

from benchmarks.measure import Ratio, medians
from gc_warm import LocalExecutor
from gc_warm.local.messages import ComputeSerializer, serialize_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

HERE = Path(__file__).parents[1]  # where workers find this module
WORKERS = 2
THROUGHPUT_ROUNDS = 8
LATER_WORKERS = 20
FIRST_RESULTS = 7


def plain(number: int) -> int:
    """Do next to nothing."""
    return number + 1


plain.__module__ = "__main__"  # so that it travels by value, as a script's function does


class Engine:
    """An engine, given tasks as SDK and endpoint make them, results unpacked as the SDK does.

    Args:
        engine: Not yet started.
    """

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self._serializer = ComputeSerializer()
        self._code = self.code_of(plain)
        self._folder = tempfile.TemporaryDirectory(prefix="gc-warm-bench-")
        engine.start(endpoint_id=uuid.uuid4(), run_dir=self._folder.name)

    def code_of(self, function: Callable[..., Any]) -> str:
        """Serialize a function."""
        return serialize_function(self._serializer, function)

    def submit(self, *args: Any, code: str | None = None) -> Future[bytes]:
        """Send a task, of `plain` unless another function's code is given."""
        task_id = uuid.uuid4()
        # By the SDK's own code: messages.py has short cuts, which nobody else does.
        packed_args = [self._serializer.serialize(args), self._serializer.serialize({})]
        body = (code or self._code) + self._serializer.pack_buffers(packed_args)
        future = GCFuture(gc_task_id=task_id)
        packed = messagepack.pack(Task(task_id=task_id, task_buffer=body))
        self.engine.submit(future, packed, resource_specification={})
        waiting: Future[bytes] = future
        return waiting

    def result(self, future: Future[bytes]) -> Any:
        """Wait for a task's result and unpack it."""
        message = messagepack.unpack(future.result(timeout=120))
        assert isinstance(message, Result)
        assert not message.is_error, message.data
        return self._serializer.deserialize(message.data)

    def call(self, number: int) -> Any:
        """Make one round trip."""
        return self.result(self.submit(number))

    def close(self) -> None:
        """Stop the engine's workers."""
        self.engine.shutdown(block=True)
        with contextlib.suppress(OSError):
            self._folder.cleanup()


class Local:
    """`LocalExecutor`, in the same terms."""

    def __init__(self) -> None:
        self._executor = LocalExecutor(workers=WORKERS, worker_path=[HERE])

    def submit(self, *args: Any) -> Future[Any]:
        """Send a task."""
        future: Future[Any] = self._executor.submit(plain, *args)
        return future

    def result(self, future: Future[Any]) -> Any:
        """Wait for a task's result."""
        return future.result(timeout=120)

    def call(self, number: int) -> Any:
        """Make one round trip."""
        return self.result(self.submit(number))

    def close(self) -> None:
        """Stop the workers."""
        self._executor.shutdown()


def process_pool() -> Engine:
    """Start a ProcessPoolEngine."""
    return Engine(ProcessPoolEngine(max_workers=WORKERS))


def htex() -> Engine:
    """Start a GlobusComputeEngine with local blocks, as a laptop's endpoint does."""
    # HTEX starts the endpoint's own programs by name.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    provider = LocalProvider(  # type: ignore[no-untyped-call]
        init_blocks=1, min_blocks=1, max_blocks=1
    )
    engine = GlobusComputeEngine(
        address="127.0.0.1", max_workers_per_node=WORKERS, provider=provider, encrypted=False
    )
    return Engine(engine)


def throughput(target: Local | Engine, tasks: int) -> float:
    """Return how many tasks a second get done when many are submitted at once."""
    start = time.perf_counter()
    futures = [target.submit(number) for number in range(tasks)]
    results = [target.result(future) for future in futures]
    assert results == [number + 1 for number in range(tasks)]
    return tasks / (time.perf_counter() - start)


def start_to_first_result(start: Callable[[], Local | Engine]) -> tuple[Local | Engine, float]:
    """Start an executor; return it, and how long its first result took in seconds."""
    begin = time.perf_counter()
    target = start()
    assert target.call(1) == 2  # noqa: PLR2004
    return target, time.perf_counter() - begin


def run() -> Iterator[Ratio]:
    """Yield the ratios against both engines, one after the other.

    Only two are up at a time: HTEX's threads and processes, which poll, would disturb the others.
    """
    # HTEX starts the endpoint's own programs by name.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    yield from against("ProcessPoolEngine", process_pool, ("<= 0.75", ">= 1.3", ""))
    yield from against("HTEX", htex, ("", "", "<= 0.125"))
    yield from first_results()
    yield from later_workers()


def against(
    other: str, start: Callable[[], Engine], targets: tuple[str, str, str]
) -> Iterator[Ratio]:
    """Yield the ratios against an engine."""
    with contextlib.ExitStack() as stack:
        subjects: dict[str, Local | Engine] = {}
        starts: dict[str, float] = {}
        makers: dict[str, Callable[[], Local | Engine]] = {"ours": Local, other: start}
        for name, make in makers.items():
            subjects[name], starts[name] = start_to_first_result(make)
            stack.callback(subjects[name].close)
        trips = medians(
            {name: functools.partial(subject.call, 1) for name, subject in subjects.items()},
            calls=1500,
            warm_up=100,
        )
        rates: dict[str, float] = dict.fromkeys(subjects, 0.0)
        for _ in range(THROUGHPUT_ROUNDS):
            for name, subject in subjects.items():
                rates[name] = max(rates[name], throughput(subject, 1000))
    trip, rate, first = targets
    yield Ratio("round trip, p50", 1e3 * trips["ours"], 1e3 * trips[other], other, "ms", trip)
    yield Ratio("throughput", rates["ours"], rates[other], other, "tasks/s", rate)
    yield Ratio("start to first result", starts["ours"], starts[other], other, "s", first)


PROGRAM = """
from gc_warm import LocalExecutor
with LocalExecutor() as executor:
    executor.submit(len, "abc").result()
    print("done", flush=True)
"""


def first_results() -> Iterator[Ratio]:
    """Yield how long a program takes from its start to its first result, imports included."""
    seconds = []
    for _ in range(FIRST_RESULTS):
        begin = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == b"done\n"
            seconds.append(time.perf_counter() - begin)
    first = statistics.median(seconds)
    yield Ratio("start of Python to first result", first, 1.0, "target", "s", "<= 1")


def later_workers() -> Iterator[Ratio]:
    """Yield how long it takes from the death of the only worker to a result of the next one."""
    # A task that was sent to the dead worker is tried again.
    with LocalExecutor(workers=1, worker_path=[HERE], max_retries_on_system_failure=1) as executor:
        begin = time.perf_counter()
        executor.submit(plain, 1).result()
        first = time.perf_counter() - begin
        seconds = []
        for _ in range(LATER_WORKERS):
            begin = time.perf_counter()
            executor.faults.kill_worker()
            executor.submit(plain, 1).result()
            seconds.append(time.perf_counter() - begin)
    later = statistics.median(seconds)
    yield Ratio("start of a later worker", 1e3 * later, 50, "target", "ms", "<= 1")
    yield Ratio("start of a later worker", 1e3 * later, 1e3 * first, "first worker", "ms")
