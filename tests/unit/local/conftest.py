"""Executors that are shut down, tasks, and a way to wait for a task to begin without sleeping."""

import functools
import os
import runpy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gc_warm.local.executor import LocalExecutor
from gc_warm.local.workers import Workers

OF_WORKERS = {
    *("worker_python", "worker_path", "worker_env", "worker_packages", "endpoint_config"),
}


@pytest.fixture(scope="module")  # other modules count processes and threads
def kept_workers() -> Iterator[Callable[..., Workers]]:
    """Return a function that gives so many workers, the same each time."""
    with ExitStack() as stack:
        yield functools.cache(lambda *of: stack.enter_context(Workers(of[0], output=of[1])))


@pytest.fixture
def make_executor(
    kept_workers: Callable[..., Workers],
) -> Iterator[Callable[..., LocalExecutor]]:
    """Make executors that end with the test.

    Where nothing is said of their workers but how many there are, and whether what they print is
    shown, these are new ones, forked from a process that stays: to start one takes most of a
    second. Those that end with their executor are had with ``worker_env={}``.
    """
    made: list[LocalExecutor] = []

    def make(**options: Any) -> LocalExecutor:
        count, output = options.get("workers", 2), options.get("output")
        usual = isinstance(count, int) and isinstance(output, bool | None)
        if usual and not options.keys() & OF_WORKERS:
            options["workers"] = kept_workers(count, options.pop("output", None))
        made.append(LocalExecutor(**options))
        return made[-1]

    yield make
    for executor in made:
        executor.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def executor(kept_workers: Callable[..., Workers]) -> Iterator[LocalExecutor]:
    """One executor for the tests of a module that leave its workers as they were."""
    with LocalExecutor(workers=kept_workers(2, None)) as shared:
        yield shared


class Gate:
    """Two pipes: at one a task says that it has begun, at the other it waits to be let go."""

    def __init__(self, folder: Path) -> None:
        self._begun = folder / "begun"
        self._go = folder / "go"
        os.mkfifo(self._begun)
        os.mkfifo(self._go)
        self.paths = str(self._begun), str(self._go)

    def wait_until_begun(self) -> int:
        """Return the process id of the task that has begun."""
        return int(self._begun.read_text())

    def let_go(self) -> None:
        self._go.write_text("go")


@pytest.fixture
def make_gate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Gate]:
    return lambda: Gate(tmp_path_factory.mktemp("gate"))


@pytest.fixture
def gate(make_gate: Callable[[], Gate]) -> Gate:
    return make_gate()


@pytest.fixture
def tasks() -> SimpleNamespace:
    """The functions of tasks.py, as a script would have them; anew, so not registered yet."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("tasks.py"))))
