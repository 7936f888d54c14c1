"""Run the engines of the sample configs, as the endpoint would, without the cloud."""

import importlib
import json
import os
import signal
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_endpoint.engines.base import GCFuture, GlobusComputeEngineBase
from globus_compute_sdk.serialize import ComputeSerializer

from gc_warm import endpoint_config

CONFIGS = Path(__file__).parents[3] / "endpoint_configs"
SECONDS = 120


@dataclass
class Running:
    """A started engine, and what is submitted to it."""

    engine: GlobusComputeEngineBase
    serializer: ComputeSerializer
    logs: Path
    codes: dict[Callable[..., Any], str] = field(default_factory=dict)

    def submit(self, function: Callable[..., Any], *args: Any) -> GCFuture:
        if function not in self.codes:  # as the client does, when it registers it
            self.codes[function] = self._pack(function)
        task = Task(task_id=uuid.uuid4(), task_buffer=self.codes[function] + self._pack(args, {}))
        future = GCFuture(task.task_id)
        self.engine.submit(future, messagepack.pack(task), {})
        return future

    def _pack(self, *parts: Any) -> str:
        return self.serializer.pack_buffers([self.serializer.serialize(part) for part in parts])

    def result(self, future: GCFuture) -> Any:
        result = messagepack.unpack(future.result(timeout=SECONDS))
        if result.is_error:
            raise AssertionError(f"the task failed: {result.data}")
        return self.serializer.deserialize(result.data)

    def run(self, function: Callable[..., Any], times: int, *args: Any) -> list[Any]:
        futures = [self.submit(function, *args) for _ in range(times)]
        return [self.result(future) for future in futures]

    def lose_block(self) -> None:
        """Kill all that its blocks run, as a node's crash would."""
        kill(self.managers())

    @contextmanager
    def silent_block(self) -> Iterator[None]:
        """Stop what speaks for its blocks for a while, without ending it."""
        stopped = self.managers()
        for manager in stopped:
            manager.suspend()
        try:
            yield
        finally:
            for manager in stopped:
                with suppress(psutil.NoSuchProcess):
                    manager.resume()

    def managers(self) -> list[psutil.Process]:
        """Return what runs the workers of each block."""
        pool = "parsl.executors.high_throughput.process_worker_pool"
        return [each for each in processes_of(self.logs) if pool in command(each)]

    @property
    def blocks(self) -> dict[str, str]:
        """The job of each block so far."""
        return dict(self.engine.executor.blocks_to_job_id)

    def idle(self, seconds: float) -> None:
        """Submit nothing for a while: what is tested is what time does."""
        future = GCFuture(uuid.uuid4())
        with pytest.raises(TimeoutError):
            future.result(timeout=seconds)


def check_one_build_each(calls: Iterable[Mapping[str, Any]]) -> set[int]:
    """Check that each worker built once, and that every call after its first was a hit."""
    calls = list(calls)
    assert {1} == {call["builds"] for call in calls}
    uses = Counter()
    for call in calls:
        uses[call["pid"]] = max(uses[call["pid"]], call["uses"])
    assert len(calls) == sum(uses.values())
    return set(uses)


@contextmanager
def running(  # noqa: PLR0917
    folder: str,
    run_dir: Path,
    options: Mapping[str, Any],
    serializer: ComputeSerializer,
    clocks: Mapping[str, Any],
    provider: Mapping[str, Any],
) -> Iterator[Running]:
    text = endpoint_config.render(
        CONFIGS / folder / "user_config_template.yaml.j2",
        CONFIGS / folder / "user_config_schema.json",
        options,
    )
    engine = endpoint_config.load_text(text).engine
    clocks = dict(clocks)
    for name in {"heartbeat_period", "heartbeat_threshold"} & clocks.keys():
        setattr(engine.executor, name, clocks.pop(name))
    if clocks:
        engine._job_status_kwargs.update(clocks)
    for name, value in provider.items():
        setattr(engine.executor.provider, name, value)
    others = {*psutil.Process().children(recursive=True)}
    try:
        engine.start(endpoint_id=uuid.uuid4(), run_dir=str(run_dir))
        yield Running(engine, serializer, run_dir)
    finally:
        children = {*psutil.Process().children(recursive=True)} - others
        engine.shutdown(block=True)
        wait_for_end(run_dir, children)


def wait_for_end(run_dir: Path, children: set[psutil.Process]) -> None:
    """Wait for what an engine's shutdown began to end; it does not wait itself."""
    ending = {*children, *processes_of(run_dir)}
    ending = [each for each in ending if "resource_tracker" not in " ".join(command(each))]
    _, alive = psutil.wait_procs(ending, timeout=15)
    kill(alive)


def processes_of(run_dir: Path) -> list[psutil.Process]:
    return [each for each in psutil.process_iter() if str(run_dir) in " ".join(command(each))]


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            for each in [*process.children(recursive=True), process]:
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=10)


@pytest.fixture(autouse=True)
def as_on_an_endpoint(monkeypatch):
    """HTEX starts its parts by name, and workers reach it on loopback."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("WORKER_INTERFACE", "lo")


@pytest.fixture
def start(tmp_path):
    """Start an engine from a sample config, which ends with the test.

    Clocks are those of its heartbeats and of its scaling strategy, to be shortened; the rest is
    set on its provider.
    """
    with ExitStack() as stack:

        def begin(folder, options=None, *, serializer=None, clocks=None, **provider):
            if options is None:
                options = json.loads((CONFIGS / folder / "options.example.json").read_text())
            run_dir = tmp_path / f"run-{uuid.uuid4().hex[:8]}"
            run_dir.mkdir()
            return stack.enter_context(
                running(
                    folder,
                    run_dir,
                    options,
                    serializer or ComputeSerializer(),
                    clocks or {},
                    provider,
                )
            )

        yield begin


@pytest.fixture
def one_build_each():
    return check_one_build_each


@pytest.fixture
def model(monkeypatch):
    """Import the module whose functions the tests submit, as a user would."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.delitem(sys.modules, "warm_model", raising=False)
    yield importlib.import_module("warm_model")
    sys.modules.pop("warm_model", None)
