"""Fixtures for testing functions offline, in real worker processes.

Installing gc-warm is enough for pytest to find them. They cost nothing until a test asks for one:

- ``gc_executor``: a `LocalExecutor` of this test's own, on workers that have just been forked.
- ``gc_faults``: what can go wrong, on request, in that executor.
- ``gc_workers``: the workers that the session's executors take turns in.
- ``gc_service``: the services of Globus Compute on this machine, on port 5000, for the session.
- ``gc_endpoint``: starts real endpoints there: ``gc_endpoint("laptop").executor()``.

``--gc-engine=pool|thread|process|htex`` says what runs the tasks, ``@pytest.mark.gc_workers(n)`` by
how many workers. Each test has an engine of its own, so with ``htex`` it takes ten seconds longer.
With pytest-xdist each of its workers has its own; but there is only one port 5000, so tests with a
service belong in one file, and ``--dist=loadfile`` gives them to one worker.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from uuid import UUID

    from globus_compute_sdk import Executor

    from gc_warm.local.executor import LocalExecutor
    from gc_warm.local.faults import Faults
    from gc_warm.local.service.agent import Agent
    from gc_warm.local.service.service import LocalService
    from gc_warm.local.service.state.records import Identity
    from gc_warm.local.workers import Workers

PATIENCE_SECONDS = 2.0
"""How long a test's tasks may go on after it."""

_CONFIGS = {
    "thread": "engine: {{type: ThreadPoolEngine, max_workers: {workers}}}\n",
    "process": "engine: {{type: ProcessPoolEngine, max_workers: {workers}}}\n",
    "htex": """\
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  max_workers_per_node: {workers}
  job_status_kwargs: {{max_idletime: 86400}}
  provider: {{type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}}
""",
}
ENGINES = ("pool", *_CONFIGS)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--gc-engine``."""
    parser.getgroup("gc-warm", "testing functions for Globus Compute").addoption(
        "--gc-engine",
        choices=ENGINES,
        default="pool",
        help="what runs the tasks of gc_executor: gc-warm's own workers, or an endpoint's engine",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "gc_workers(n): how many workers gc_executor has; else two")


class SessionWorkers:
    """The workers that the executors of a session take turns in.

    Args:
        engine: One of `ENGINES`.
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self._stack = ExitStack()
        self._kept: dict[int, Workers] = {}

    def executor(self, workers: int = 2) -> LocalExecutor:
        """Make an executor.

        Args:
            workers: How many workers it has.

        Returns:
            An executor whose workers know nothing of former tests.
        """
        from gc_warm.local.executor import LocalExecutor
        from gc_warm.local.workers import Workers

        if workers not in self._kept:
            config = None if self.engine == "pool" else self._config(workers)
            made = Workers(workers, endpoint_config=config)
            self._kept[workers] = self._stack.enter_context(made)
        return LocalExecutor(workers=self._kept[workers])

    def _config(self, workers: int) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="gc-warm-plugin-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        path = folder / "config.yaml"
        path.write_text(_CONFIGS[self.engine].format(workers=workers))
        return path

    def close(self) -> None:
        """End all workers."""
        self._stack.close()


@pytest.fixture(scope="session")
def gc_workers(request: pytest.FixtureRequest) -> Iterator[SessionWorkers]:
    """Workers that the executors of this session take turns in."""
    workers = SessionWorkers(request.config.getoption("--gc-engine"))
    yield workers
    workers.close()


@pytest.fixture
def gc_executor(
    request: pytest.FixtureRequest, gc_workers: SessionWorkers
) -> Iterator[LocalExecutor]:
    """An executor for this test, used as ``globus_compute_sdk.Executor`` is."""
    executor = gc_workers.executor(_count(request.node.get_closest_marker("gc_workers")))
    yield executor
    _end(executor)


@pytest.fixture
def gc_faults(gc_executor: LocalExecutor) -> Iterator[SkippingFaults]:
    """What can go wrong in `gc_executor`; it ends with the test.

    A test that asks for what the engine of ``--gc-engine`` cannot do is skipped.
    """
    yield SkippingFaults(gc_executor.faults)
    gc_executor.faults.clear()


class SkippingFaults:
    """The faults of an executor; skips the test that asks for what its engine cannot do."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        fault = getattr(self._faults, name)

        @functools.wraps(fault)
        def fail(*args: Any, **options: Any) -> Any:
            from gc_warm.errors.client import UnsupportedFaultError

            try:
                return fault(*args, **options)
            except UnsupportedFaultError as error:
                pytest.skip(f"{name}: {error}")

        return fail


class Endpoint:
    """A real endpoint, on the session's service.

    Args:
        service: The service.
        agent: The running agent.
        test: Closes what ends with the test.

    Attributes:
        id: The endpoint's id.
        agent: The agent that runs it.
    """

    def __init__(self, service: LocalService, agent: Agent, test: ExitStack) -> None:
        self.id: UUID = agent.id
        self.agent = agent
        self._service = service
        self._test = test

    def executor(
        self,
        *,
        user_endpoint_config: dict[str, Any] | None = None,
        identity: Identity | None = None,
    ) -> Executor:
        """Make the SDK's own executor for it; it ends with the test, whatever it waits for.

        Args:
            user_endpoint_config: What its user endpoint is started with.
            identity: Whose tasks it submits.
        """
        made = self._service.executor(
            self.id, user_endpoint_config=user_endpoint_config, identity=identity
        )
        self._test.callback(made.shutdown, wait=False, cancel_futures=True)
        return made

    def log(self) -> str:
        """Return the end of what it and its user endpoints wrote."""
        return self.agent.log()


class Endpoints:
    """Starts endpoints for one test; most of them stay for the next.

    Args:
        service: The session's service.
        agents: Those that stay for the session, by their configs' folders.
        root: Where the project is.
        test: Closes what ends with the test.
    """

    def __init__(
        self, service: LocalService, agents: dict[Path, Agent], root: Path, test: ExitStack
    ) -> None:
        self._service = service
        self._agents = agents
        self._root = root
        self._test = test

    def __call__(self, config: str | os.PathLike[str], *, fresh: bool = False) -> Endpoint:
        """Start an endpoint, or find the one that runs already.

        Args:
            config: Its folder; or the name of one in the project's ``endpoint_configs``, or of one
                of gc-warm's samples.
            fresh: Start another one, whose workers know nothing of former tests, and which ends
                with this test. Otherwise it is the same for the whole session.

        Returns:
            The endpoint, which is online.

        Raises:
            UsageError: There is no such folder, or it is not an endpoint's.
            GcWarmError: It does not start.
        """
        from gc_warm.local.service.agent import find_config

        folder = find_config(config, self._root)
        agent = None if fresh else self._agents.get(folder)
        if agent is None or not agent.home.exists():  # a test may have stopped it
            agent = self._service.start_endpoint(folder)
            if fresh:
                self._test.callback(agent.stop)
            else:
                self._agents[folder] = agent
        return Endpoint(self._service, agent, self._test)


@pytest.fixture(scope="session")
def gc_service() -> Iterator[LocalService]:
    """The services of Globus Compute on this machine, where the SDK's environment local is."""
    try:
        from gc_warm.local.service.service import LocalService
    except ImportError as error:
        if (error.name or "").startswith("gc_warm"):
            raise
        pytest.skip(f"{error.name} is missing: gc_service needs pip install 'gc-warm[service]'")
    with LocalService() as service:
        yield service


@pytest.fixture(scope="session")
def _gc_agents() -> dict[Path, Agent]:
    """Return the agents that stay for the session, by their configs' folders."""
    return {}


@pytest.fixture
def gc_endpoint(
    request: pytest.FixtureRequest, gc_service: LocalService, _gc_agents: dict[Path, Agent]
) -> Iterator[Endpoints]:
    """Start real endpoints, by a folder or the name of a sample config."""
    with ExitStack() as test:
        yield Endpoints(gc_service, _gc_agents, request.config.rootpath, test)


def _end(executor: LocalExecutor) -> None:
    """Shut down; what a test has left running might take for ever, and only gets a moment."""
    ending = threading.Thread(target=executor.shutdown, kwargs={"cancel_futures": True})
    ending.start()
    ending.join(PATIENCE_SECONDS)
    if ending.is_alive():
        executor.abandon()
        ending.join()


def _count(marker: pytest.Mark | None) -> int:
    if marker is None:
        return 2
    if len(marker.args) != 1 or marker.kwargs or not isinstance(marker.args[0], int):
        raise pytest.UsageError("@pytest.mark.gc_workers takes one number: how many workers.")
    return marker.args[0]
