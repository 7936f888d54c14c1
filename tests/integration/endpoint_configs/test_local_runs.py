"""The sample configs of one machine, run for real: 200 tasks, one build per worker."""

from pathlib import Path

import pytest
from globus_compute_sdk.serialize import ComputeSerializer, JSONData, PureSourceTextInspect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TASKS = 200
# What ends blocks after two idle minutes by default ends them after a second.
FAST = {"max_idletime": 1.0, "strategy_period": 0.25}
IDLE = 8.0
# That a node is gone shows after two minutes without a heartbeat: here, after five seconds.
WATCHFUL = {"heartbeat_period": 1, "heartbeat_threshold": 5, "strategy_period": 0.25}


# Long enough for a block to be lost meanwhile.
TASK_SECONDS = 0.05


@pytest.mark.parametrize("folder", ["laptop", "process-pool", "warm-pool"])
def test_builds_once_in_each_worker(start, model, one_build_each, folder):
    engine = start(folder, clocks=FAST if folder != "process-pool" else None)
    calls = engine.run(model.use, TASKS)
    workers = one_build_each(calls)
    assert len(workers) <= 2

    engine.idle(IDLE)
    later = engine.run(model.use, TASKS)
    assert {1} == {call["builds"] for call in later}
    assert workers >= {call["pid"] for call in later}
    one_build_each(calls + later)


def test_workers_of_a_node_share_a_folder(start, model, tmp_path, monkeypatch):
    monkeypatch.setenv("GC_WARM_NODE_DIR", str(tmp_path / "node"))
    calls = start("laptop").run(model.use_data.receipted, 20, TASK_SECONDS)
    assert 2 == len({call.receipt.pid for call in calls})
    assert 1 == sum(call.receipt.node_cold_starts for call in calls)
    assert 1 == len({call.value["folder"] for call in calls})


def test_without_min_blocks_a_pause_makes_it_cold(start, model):
    """The clocks above do bite: what the configs say is what keeps workers."""
    engine = start("laptop", clocks=FAST, min_blocks=0)
    before = {call["pid"] for call in engine.run(model.use, 20)}
    engine.idle(IDLE)
    after = {call["pid"] for call in engine.run(model.use, 20)}
    assert not before & after


SOURCE = ComputeSerializer(strategy_code=PureSourceTextInspect(), strategy_data=JSONData())
# How functions travel to an endpoint that takes no pickles, by what makes them do so.
WAYS = {"plain source": "use_installed", "carried source": "use_for"}


@pytest.fixture
def way(request, monkeypatch):
    """Name a function; have its module where workers run, if it brings no source along."""
    if request.param == "plain source":
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return WAYS[request.param]


def check_work_goes_on(engine, function, one_build_each):
    """Lose the block in the middle of the work: all of it is done, and one build for each worker.

    What the lost workers had in hand is done again, so only the new ones' numbers add up.
    """
    futures = [engine.submit(function, TASK_SECONDS) for _ in range(TASKS)]
    first = [engine.result(future) for future in futures[:20]]
    engine.lose_block()
    calls = first + [engine.result(future) for future in futures[20:]]
    assert {"0"} == {call["block"] for call in first}
    assert TASKS == len(calls)
    assert {"0", "1"} == {call["block"] for call in calls}
    assert {1} == {call["builds"] for call in calls}
    later = engine.run(function, TASKS, TASK_SECONDS)
    assert {"1"} == {call["block"] for call in later}
    one_build_each([call for call in calls if call["block"] == "1"] + later)


@pytest.mark.parametrize("folder", ["laptop", "workstation-gpu", "warm-pool"])
def test_work_goes_on_after_a_lost_block(start, model, one_build_each, folder):
    engine = start(folder, clocks=WATCHFUL)
    check_work_goes_on(engine, model.use_for, one_build_each)


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_high_security_goes_on_after_a_lost_block(start, model, one_build_each, way):
    engine = start("high-security", serializer=SOURCE, clocks=WATCHFUL)
    check_work_goes_on(engine, getattr(model, way), one_build_each)


@pytest.mark.parametrize(("threshold", "stays"), [(60, True), (4, False)])
def test_a_block_that_is_silent_for_too_long_counts_as_lost(start, model, threshold, stays):
    """As when the memory of a node is busy: what GW113 warns of."""
    clocks = {**WATCHFUL, "heartbeat_threshold": threshold}
    engine = start("laptop", {"workers": 1}, clocks=clocks)
    before = {call["pid"] for call in engine.run(model.use, 20)}
    with engine.silent_block():
        engine.idle(IDLE)
    after = {call["pid"] for call in engine.run(model.use, 20)}
    assert stays is (after == before)


def test_each_worker_sees_its_own_accelerator(start, model, one_build_each):
    engine = start("workstation-gpu", {"accelerators": 2}, clocks=FAST)
    calls = engine.run(model.use, TASKS)
    engine.idle(IDLE)
    calls += engine.run(model.use, TASKS)
    workers = one_build_each(calls)
    seen = {(call["pid"], call["devices"]) for call in calls}
    assert len(workers) == len(seen)
    assert {"0", "1"} == {devices for _, devices in seen}


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_high_security_stays_warm(start, model, one_build_each, way):
    engine = start("high-security", serializer=SOURCE, clocks=FAST)
    function = getattr(model, way)
    calls = engine.run(function, TASKS, 0)
    engine.idle(IDLE)
    calls += engine.run(function, TASKS, 0)
    one_build_each(calls)


def test_high_security_unpickles_nothing(start, model):
    engine = start("high-security")
    with pytest.raises(AssertionError, match="DillCode disabled"):
        engine.run(model.use, 1)


def test_pools_are_apart(start, model):
    small = start("warm-pool", {"state": "small-model"})
    large = start("warm-pool", {"state": "large-model"})
    calls = {name: pool.run(model.use, 50) for name, pool in [("s", small), ("l", large)]}
    assert {"small-model"} == {call["state"] for call in calls["s"]}
    assert {"large-model"} == {call["state"] for call in calls["l"]}
    assert not {call["pid"] for call in calls["s"]} & {call["pid"] for call in calls["l"]}
