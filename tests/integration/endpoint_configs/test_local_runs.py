"""The sample configs of one machine, run for real: 200 tasks, one build per worker."""

from collections import Counter

import pytest
from globus_compute_sdk.serialize import ComputeSerializer, JSONData, PureSourceTextInspect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TASKS = 200
# What ends blocks after two idle minutes by default ends them after a second.
FAST = {"max_idletime": 1.0, "strategy_period": 0.25}
IDLE = 8.0
# That a node is gone shows after two minutes without a heartbeat: here, after five seconds.
WATCHFUL = {"heartbeat_period": 1, "heartbeat_threshold": 5, "strategy_period": 0.25}


def check_one_build_each(calls):
    """Each worker built once, and every call after its first was a hit."""
    assert {1} == {call["builds"] for call in calls}
    uses = Counter()
    for call in calls:
        uses[call["pid"]] = max(uses[call["pid"]], call["uses"])
    assert len(calls) == sum(uses.values())
    return set(uses)


@pytest.mark.parametrize("folder", ["laptop", "process-pool", "warm-pool"])
def test_builds_once_in_each_worker(start, model, folder):
    engine = start(folder, clocks=FAST if folder != "process-pool" else None)
    calls = engine.run(model.use, TASKS)
    workers = check_one_build_each(calls)
    assert len(workers) <= 2

    engine.idle(IDLE)
    later = engine.run(model.use, TASKS)
    assert {1} == {call["builds"] for call in later}
    assert workers >= {call["pid"] for call in later}
    check_one_build_each(calls + later)


def test_without_min_blocks_a_pause_makes_it_cold(start, model):
    """The clocks above do bite: what the configs say is what keeps workers."""
    engine = start("laptop", clocks=FAST, min_blocks=0)
    before = {call["pid"] for call in engine.run(model.use, 20)}
    engine.idle(IDLE)
    after = {call["pid"] for call in engine.run(model.use, 20)}
    assert not before & after


@pytest.mark.parametrize("folder", ["laptop", "workstation-gpu"])
def test_work_goes_on_after_a_lost_block(start, model, folder):
    engine = start(folder, clocks=WATCHFUL)
    before = engine.run(model.use, 20)
    engine.lose_block()
    after = engine.run(model.use, TASKS)
    assert {"0"} == {call["block"] for call in before}
    assert {"1"} == {call["block"] for call in after}
    check_one_build_each(after)


def test_each_worker_sees_its_own_accelerator(start, model):
    engine = start("workstation-gpu", {"accelerators": 2}, clocks=FAST)
    calls = engine.run(model.use, TASKS)
    engine.idle(IDLE)
    calls += engine.run(model.use, TASKS)
    workers = check_one_build_each(calls)
    seen = {(call["pid"], call["devices"]) for call in calls}
    assert len(workers) == len(seen)
    assert {"0", "1"} == {devices for _, devices in seen}


SOURCE = ComputeSerializer(strategy_code=PureSourceTextInspect(), strategy_data=JSONData())


def test_high_security_stays_warm_with_source_alone(start, model):
    engine = start("high-security", serializer=SOURCE, clocks=FAST)
    calls = engine.run(model.use_installed, TASKS)
    engine.idle(IDLE)
    calls += engine.run(model.use_installed, TASKS)
    counts = Counter(call["pid"] for call in calls)
    assert 2 * TASKS == sum(counts.values())
    for pid, count in counts.items():
        numbers = sorted(call["count"] for call in calls if call["pid"] == pid)
        assert list(range(1, count + 1)) == numbers


def test_high_security_unpickles_nothing(start, model):
    engine = start("high-security")
    with pytest.raises(AssertionError, match="DillCode disabled"):
        engine.run(model.use, 1)


def test_pools_are_apart(start, model):
    small = start("warm-pool", {"state": "small"})
    large = start("warm-pool", {"state": "large"})
    calls = {name: pool.run(model.use, 50) for name, pool in [("s", small), ("l", large)]}
    assert {"small"} == {call["state"] for call in calls["s"]}
    assert {"large"} == {call["state"] for call in calls["l"]}
    assert not {call["pid"] for call in calls["s"]} & {call["pid"] for call in calls["l"]}
