"""One suite, several implementations of the same promise: the SDK's ``Executor``.

Each implementation is a way to make an executor. A test that needs what not all of them have says
so with ``@pytest.mark.only("pool", …)``, and why; ``"local"`` stands for all `LocalExecutor`s. The
others are the promise itself: the SDK's own ``Executor``, and a real endpoint, on a local service.
"""

import functools
import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import pytest
from globus_compute_sdk import Executor

from gc_warm.local.executor import LocalExecutor
from gc_warm.local.service.agent import Agent
from gc_warm.local.service.service import LocalService
from gc_warm.local.workers import Workers

ENGINES = {
    "thread": "engine: {type: ThreadPoolEngine, max_workers: 2}",
    "process": "engine: {type: ProcessPoolEngine, max_workers: 2}",
    "htex": """
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  encrypted: false
  max_workers_per_node: 2
  job_status_kwargs: {max_idletime: 600}
  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}
""",
}
REAL = {
    "service-threads": ENGINES["thread"],
    # A limit that nobody reaches makes it spawn its workers. Forked while the endpoint makes its
    # first heartbeat in another thread, they could inherit a lock that is held, and hang.
    "service-processes": ENGINES["process"].replace("2}", "2, max_tasks_per_child: 100000}"),
    "service-htex": ENGINES["htex"],
}
# Of these the others' tests would be minutes of the same.
FILES = {"service-htex": "test_surroundings.py"}
IMPLEMENTATIONS = [
    "pool",
    *(pytest.param(name, marks=pytest.mark.slow) for name in (*ENGINES, *REAL)),
]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only(*names, why): the implementations that it is true of")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items[:]:
        only = item.get_closest_marker("only")
        spec = getattr(item, "callspec", None)
        name = spec.params.get("implementation") if spec else None
        if name is None:
            continue
        names = {name, "real" if name in REAL else "local"}
        if (only and not names & {*only.args}) or item.path.name != FILES.get(name, item.path.name):
            items.remove(item)


class Real:
    """A service and its endpoints, which start when they are needed."""

    def __init__(self, service: LocalService, folder: Path) -> None:
        self._service = service
        self._folder = folder
        self._endpoints: dict[str, Agent] = {}

    def endpoint(self, name: str) -> Agent:
        """Return the endpoint of an implementation."""
        if name not in self._endpoints:
            folder = self._folder / name
            folder.mkdir()
            (folder / "config.yaml").touch()
            (folder / "user_config_template.yaml.j2").write_text(REAL[name])
            self._endpoints[name] = self._service.start_endpoint(folder)
        return self._endpoints[name]

    def executor(self, name: str) -> Executor:
        """Make an executor for an endpoint, that hardly ever waits between two submissions."""
        executor = self._service.executor(self.endpoint(name).id)
        executor.api_burst_limit, executor.api_burst_window_s = 8, 1
        return executor


@pytest.fixture(scope="package")
def real(
    port_5000_lock: filelock.FileLock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    with port_5000_lock, LocalService() as service:
        yield Real(service, tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="package", params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="package")
def make(
    implementation: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Make an executor of the implementation."""
    if implementation == "pool":
        return LocalExecutor
    if implementation in REAL:
        return functools.partial(request.getfixturevalue("real").executor, implementation)
    path = tmp_path_factory.mktemp(implementation) / "config.yaml"
    path.write_text(ENGINES[implementation])
    return lambda **options: LocalExecutor(endpoint_config=path, **options)


@pytest.fixture(scope="package")
def home(implementation: str, request: pytest.FixtureRequest) -> str:
    """The home of whoever runs the workers."""
    if implementation in REAL:
        return str(request.getfixturevalue("real").endpoint(implementation).home)
    return os.environ["HOME"]


@pytest.fixture(scope="package")
def executor(make: Callable[..., Any]) -> Iterator[Any]:
    """One executor for all tests that leave it as it was."""
    with make() as shared:
        yield shared


@pytest.fixture(scope="package")
def kept_workers() -> Iterator[Workers]:
    """Of which each executor gets new ones, forked from a process that stays: that is quick."""
    with Workers(2) as workers:
        yield workers


@pytest.fixture
def own(
    make: Callable[..., Any], implementation: str, request: pytest.FixtureRequest
) -> Iterator[Any]:
    """An executor that the test may ruin."""
    if implementation == "htex":
        pytest.fail("too slow: mark the test as only for the others")
    pool = implementation == "pool"
    made = make(workers=request.getfixturevalue("kept_workers")) if pool else make()
    yield made
    made.shutdown(cancel_futures=True)


@pytest.fixture
def tasks() -> SimpleNamespace:
    """The functions of tasks.py, as a script would have them; anew, so not registered yet."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("tasks.py"))))


class Gate:
    """Two pipes: at one a task says that it has begun, at the other it waits to be let go."""

    def __init__(self, folder: Path) -> None:
        self._begun, self._go = folder / "begun", folder / "go"
        os.mkfifo(self._begun)
        os.mkfifo(self._go)
        self.paths = str(self._begun), str(self._go)

    def wait_until_begun(self) -> None:
        self._begun.read_text()

    def let_go(self) -> None:
        self._go.write_text("go")


@pytest.fixture
def make_gate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Gate]:
    return lambda: Gate(tmp_path_factory.mktemp("gate"))


@pytest.fixture
def gate(make_gate: Callable[[], Gate]) -> Gate:
    return make_gate()
