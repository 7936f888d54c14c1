"""The Slurm configs, run for real on a Slurm of one node."""

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from parsl.providers import SlurmProvider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TASKS = 200
# The scaling strategy's clocks, and how soon a lost node shows; see test_local_runs.py.
CLOCKS = {
    "max_idletime": 1.0,
    "strategy_period": 0.25,
    "heartbeat_period": 1,
    "heartbeat_threshold": 5,
}
IDLE = 8.0
# Long enough for a job to be cancelled meanwhile.
TASK_SECONDS = 0.05
OPTIONS = {
    "slurm-cpu": {"workers_per_node": 2, "memory_gb_per_worker": 1, "walltime": "01:00:00"},
    "slurm-gpu": {"account": "m0000_g", "gpus_per_node": 2, "walltime": "01:00:00"},
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        slurm_cluster = importlib.import_module("slurm_cluster")
    finally:
        sys.path.pop(0)
    if absent := slurm_cluster.missing():
        pytest.skip(f"Slurm is not installed (apt-get install slurm-wlm munge): no {absent[0]}")
    with slurm_cluster.slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture(autouse=True)
def on_the_cluster(cluster, as_on_an_endpoint, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", cluster["SLURM_CONF"])
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")
    monkeypatch.setattr(SlurmProvider, "status_polling_interval", 1)  # instead of a minute


@pytest.mark.parametrize("folder", ["slurm-cpu", "slurm-gpu"])
def test_stays_warm_on_slurm(start, model, one_build_each, folder):
    engine = start(folder, OPTIONS[folder], clocks=CLOCKS)
    calls = engine.run(model.use, TASKS)
    engine.idle(IDLE)
    calls += engine.run(model.use, TASKS)
    workers = one_build_each(calls)
    assert 2 == len(workers)
    assert ["0"] == list(engine.blocks)
    if folder == "slurm-gpu":
        seen = {(call["pid"], call["devices"]) for call in calls}
        assert {"0", "1"} == {devices for _, devices in seen}
        assert 2 == len(seen)


def cancel(job):
    """Cancel a job, and wait until Slurm has ended it."""
    subprocess.run(["scancel", job], check=True)
    end = time.monotonic() + 60
    while subprocess.run(["squeue", "-h", "-j", job], capture_output=True, check=False).stdout:
        assert time.monotonic() < end, "Slurm does not end the job"
        time.sleep(0.1)


@pytest.mark.parametrize("folder", ["slurm-cpu", "slurm-gpu"])
def test_work_goes_on_after_a_cancelled_job(start, model, one_build_each, folder):
    engine = start(folder, OPTIONS[folder], clocks=CLOCKS)
    futures = [engine.submit(model.use_for, TASK_SECONDS) for _ in range(TASKS)]
    first = [engine.result(future) for future in futures[:20]]
    cancel(engine.blocks["0"])
    calls = first + [engine.result(future) for future in futures[20:]]
    assert {1} == {call["builds"] for call in calls}
    calls += engine.run(model.use_for, TASKS, TASK_SECONDS)
    new = [call for call in calls if call["block"] == "1"]
    workers = one_build_each(new)
    assert not workers & {call["pid"] for call in first}
    assert {"1"} == {call["block"] for call in calls[-TASKS:]}
    if folder == "slurm-gpu":
        assert {"0", "1"} == {call["devices"] for call in new}


def test_blocks_of_one_node_share_a_folder_and_the_next_job_finds_it(
    start, model, tmp_path, monkeypatch
):
    monkeypatch.setenv("WORKER_SCRATCH", str(tmp_path / "node"))  # as the site would set it
    # Two blocks at once on a node: jobs must not have it for themselves.
    shared = {"scheduler_options": "", "cores_per_node": 1, "init_blocks": 2, "min_blocks": 2}
    options = {**OPTIONS["slurm-cpu"], "workers_per_node": 1, "blocks": 2}
    engine = start("slurm-cpu", options, clocks=CLOCKS, **shared)
    calls = []
    end = time.monotonic() + 60
    while len({call.value["job"] for call in calls}) < 2:
        assert time.monotonic() < end, "not all blocks came up"
        calls += engine.run(model.use_data.receipted, 4, TASK_SECONDS)
    for job in engine.blocks.values():
        cancel(job)
    later = engine.run(model.use_data.receipted, 4, TASK_SECONDS)
    assert 1 == sum(call.receipt.node_cold_starts for call in calls)
    assert 0 == sum(call.receipt.node_cold_starts for call in later)
    assert not {call.value["job"] for call in calls} & {call.value["job"] for call in later}
    assert {"data"} == {call.value["data"] for call in calls + later}
    assert 1 == len({call.value["folder"] for call in calls + later})


def test_workers_may_use_all_cores_of_their_node(start, model):
    """Slurm binds what srun starts to one core, unless it is told otherwise."""
    [call] = start("slurm-cpu", OPTIONS["slurm-cpu"], clocks=CLOCKS).run(model.use, 1)
    assert os.cpu_count() == call["cores"]


# Setting up an environment that lacks the endpoint's programs.
BROKEN = "PATH=/usr/bin:/bin\n"


def test_a_block_that_never_starts_is_not_submitted_again(start, model, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKER_SETUP", str(tmp_path / "setup.sh"))
    (tmp_path / "setup.sh").write_text(BROKEN)
    engine = start("slurm-cpu", OPTIONS["slurm-cpu"], clocks=CLOCKS)
    futures = [engine.submit(model.use) for _ in range(2)]
    for future in futures:
        with pytest.raises(AssertionError, match="No globus-compute-endpoint"):
            engine.result(future)
    engine.idle(3)
    assert ["0"] == list(engine.blocks)


def test_a_later_block_that_cannot_start_is_held(start, model, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKER_SETUP", str(tmp_path / "setup.sh"))
    (tmp_path / "setup.sh").touch()
    engine = start("slurm-cpu", OPTIONS["slurm-cpu"], clocks=CLOCKS)
    [before] = engine.run(model.use, 1)
    (tmp_path / "setup.sh").write_text(BROKEN)
    cancel(engine.blocks["0"])
    future = engine.submit(model.use)
    wait_until_held(engine)
    engine.idle(3)
    assert ["0", "1"] == list(engine.blocks)

    (tmp_path / "setup.sh").write_text("")
    job = engine.blocks["1"]
    subprocess.run(["scontrol", "release", job], check=True)
    # A requeued job waits for two minutes more.
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)
    after = engine.result(future)
    assert ("0", "1") == (before["block"], after["block"])


def wait_until_held(engine):
    end = time.monotonic() + 60
    while "held" not in state(engine.blocks.get("1", "")):
        assert time.monotonic() < end, state(engine.blocks.get("1", ""))
        time.sleep(0.1)


def state(job):
    command = ["squeue", "-h", "-o", "%T %r", "-j", job]
    return (
        subprocess.run(command, capture_output=True, text=True, check=False).stdout if job else ""
    )
