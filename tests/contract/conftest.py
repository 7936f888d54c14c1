"""One suite, several implementations of the same promise: the SDK's ``Executor``.

Each implementation is a way to make an executor. A test that needs what not all of them have says
so with ``@pytest.mark.only("pool", …)``, and why. To take the SDK's own ``Executor`` in, on a local
service, add it to `IMPLEMENTATIONS`.
"""

import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gc_warm.local.executor import LocalExecutor

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
IMPLEMENTATIONS = [
    "pool",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ENGINES),
]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only(*names, why): the implementations that it is true of")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items[:]:
        only = item.get_closest_marker("only")
        spec = getattr(item, "callspec", None)
        if only and spec and spec.params.get("implementation") not in only.args:
            items.remove(item)


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def make(
    implementation: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., LocalExecutor]:
    """Make an executor of the implementation."""
    if implementation == "pool":
        return LocalExecutor
    path = tmp_path_factory.mktemp(implementation) / "config.yaml"
    path.write_text(ENGINES[implementation])
    return lambda **options: LocalExecutor(endpoint_config=path, **options)


@pytest.fixture(scope="session")
def executor(make: Callable[..., LocalExecutor]) -> Iterator[LocalExecutor]:
    """One executor for all tests that leave it as it was."""
    with make() as shared:
        yield shared


@pytest.fixture
def own(make: Callable[..., LocalExecutor], implementation: str) -> Iterator[LocalExecutor]:
    """An executor that the test may ruin."""
    if implementation == "htex":
        pytest.fail("too slow: mark the test as only for the others")
    made = make()
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
def gate(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return Gate(tmp_path_factory.mktemp("gate"))
