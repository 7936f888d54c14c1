"""Fixtures for testing functions offline, in real worker processes.

Installing gc-warm is enough for pytest to find them. They cost nothing until a test asks for one:

- ``gc_executor``: a `LocalExecutor` of this test's own, on workers that have just been forked.
- ``gc_faults``: what can go wrong, on request, in that executor.
- ``gc_workers``: the workers that the session's executors take turns in.

``--gc-engine=pool|thread|process|htex`` says what runs the tasks, ``@pytest.mark.gc_workers(n)`` by
how many workers. With pytest-xdist each of its workers has its own.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm.local.executor import LocalExecutor
    from gc_warm.local.faults import Faults
    from gc_warm.local.workers import Workers

ENGINES = ("pool", "thread", "process", "htex")

PATIENCE_SECONDS = 2.0
"""How long a test's tasks may go on after it."""

_TYPES = {"thread": "ThreadPoolEngine", "process": "ProcessPoolEngine"}
_POOL_CONFIG = "engine: {{type: {type}, max_workers: {workers}}}\n"
_HTEX_CONFIG = """\
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  encrypted: false
  max_workers_per_node: {workers}
  job_status_kwargs: {{max_idletime: 86400}}
  provider: {{type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}}
"""


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
            An executor whose workers know nothing of former tests; with ``--gc-engine=htex``, whose
            workers take ten seconds to start, they are the same for the whole session.
        """
        from gc_warm.local.executor import LocalExecutor
        from gc_warm.local.workers import Workers

        if workers not in self._kept:
            config = None if self.engine == "pool" else self._config(workers)
            made = Workers(workers, endpoint_config=config, keep_state=self.engine == "htex")
            self._kept[workers] = self._stack.enter_context(made)
        return LocalExecutor(workers=self._kept[workers])

    def _config(self, workers: int) -> Path:
        if self.engine == "htex":
            text = _HTEX_CONFIG.format(workers=workers)
        else:
            text = _POOL_CONFIG.format(workers=workers, type=_TYPES[self.engine])
        folder = Path(tempfile.mkdtemp(prefix="gc-warm-plugin-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        path = folder / "config.yaml"
        path.write_text(text)
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
def gc_faults(gc_executor: LocalExecutor) -> Iterator[Faults]:
    """What can go wrong in `gc_executor`; it ends with the test."""
    yield gc_executor.faults
    gc_executor.faults.clear()


def _end(executor: LocalExecutor) -> None:
    """Shut down; what a test has left running may take for ever, and gets a moment only."""
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
        raise pytest.UsageError("@pytest.mark.gc_workers wants one number: how many workers.")
    return marker.args[0]
