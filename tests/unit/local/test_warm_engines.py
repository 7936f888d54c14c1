"""On which engines state stays warm, and on which it does not."""

import sys
from pathlib import Path

import pytest

from gc_warm.local.executor import LocalExecutor

HTEX = """
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  encrypted: false
  max_workers_per_node: 2
  job_status_kwargs: {max_idletime: 600}
  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}
"""


@pytest.fixture
def use(monkeypatch):
    """The function of warmth.py, imported as a user's module."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.delitem(sys.modules, "warmth", raising=False)
    import warmth

    return warmth.use


@pytest.fixture
def run(tmp_path):
    """Run the function many times by an engine; return the pids, builds and teardowns."""

    def start(config, function, tasks=60):
        traces = tmp_path / "traces"
        traces.mkdir()
        options = {"workers": 2}
        if config:
            (tmp_path / "config.yaml").write_text(config)
            options = {"endpoint_config": tmp_path}
        with LocalExecutor(**options) as executor:
            futures = [executor.submit(function, str(traces)) for _ in range(tasks)]
            pids = {future.result(timeout=60) for future in futures}
        names = [path.name.split("-") for path in traces.iterdir()]
        return (
            pids,
            {int(pid) for word, pid in names if word == "built"},
            {int(pid) for word, pid in names if word == "ended"},
        )

    return start


@pytest.mark.parametrize(
    "config",
    [
        pytest.param("", id="pool"),
        pytest.param("engine: {type: ProcessPoolEngine, max_workers: 2}", id="process"),
        pytest.param(
            "engine: {type: ThreadPoolEngine, max_workers: 2}", marks=pytest.mark.slow, id="thread"
        ),
        pytest.param(HTEX, marks=pytest.mark.slow, id="htex"),
    ],
)
def test_one_build_and_one_teardown_in_each_worker(run, use, config):
    pids, built, ended = run(config, use)  # a second build in a worker would fail its task
    assert pids == built
    assert 1 <= len(pids) <= 2
    assert built == ended


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="max_tasks_per_child is new in 3.11")
@pytest.mark.may_skip("Python 3.10 has no max_tasks_per_child")
def test_no_warmth_with_one_task_for_each_process(run, use):
    config = "engine: {type: ProcessPoolEngine, max_workers: 2, max_tasks_per_child: 1}"
    pids, built, ended = run(config, use, tasks=4)
    assert pids == built
    assert 4 == len(built)
    assert built == ended


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param("", True, id="pool"),
        pytest.param(
            "engine: {type: ProcessPoolEngine, max_workers: 1}",
            False,
            marks=pytest.mark.slow,
            id="process",
        ),
        pytest.param(HTEX, True, marks=pytest.mark.slow, id="htex"),
    ],
)
def test_sigterm_at_shutdown(make_executor, tasks, tmp_path, config, told):
    options = {"workers": 1, "worker_env": {}}
    if config:
        (tmp_path / "config.yaml").write_text(config)
        options = {"endpoint_config": tmp_path}
    executor = make_executor(**options)
    executor.submit(tasks.write_on_sigterm, str(tmp_path / "told")).result(timeout=60)
    executor.shutdown()
    assert told == (tmp_path / "told").exists()
