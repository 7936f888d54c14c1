"""A call on a worker gives what it gives here: for programs that are made up, and for those found.

A failure says which program it was, in the form in which `differential/found.py` keeps such. See
``differential/__main__.py`` for how to look for more.
"""

from __future__ import annotations

import collections
import importlib
import os
import pickle
import posix
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def _neighbour(name):
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        return importlib.import_module(f"differential.{name}")
    finally:
        sys.path.pop(0)


found, programs, sessions, twins, searching = map(
    _neighbour, ("found", "programs", "sessions", "twins", "__main__")
)

SLOW = int(os.environ.get("GC_WARM_FUZZ_PROGRAMS", "2500"))
# Of all programs: how many of which kind.
SHARES = {"ordinary": 0.45, "strange": 0.25, "two at a time": 0.3}
FAST = 160


@pytest.fixture(scope="module")
def worker():
    with sessions.Worker() as worker:
        yield worker


@pytest.fixture
def lab(worker, tmp_path):
    return sessions.Lab(worker, tmp_path)


def _drawn(*, ordinary):
    seeds = st.integers(0, programs.SEEDS - 1)
    what = st.integers(0, programs.number_of_choices(ordinary=ordinary) - 1)
    step = st.builds(programs.Step, what, seeds, seeds)
    options = st.builds(
        programs.Options, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2)
    )
    steps = st.lists(step, min_size=4, max_size=16)
    return st.builds(lambda s, o: programs.build(s, o, ordinary=ordinary), steps, options)


def _compare(lab, amount, *, ordinary=False, together=False):
    """Run made-up programs; return how often calls ended how, and why they were refused."""
    ends, reasons = collections.Counter(), collections.Counter()
    program = _drawn(ordinary=ordinary)
    drawn = st.lists(program, min_size=2, max_size=2) if together else st.tuples(program)

    @settings(
        max_examples=amount // 2 if together else amount,
        deadline=None,
        derandomize=True,  # to look for more: python -m differential
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(drawn, st.lists(st.integers(0, 1), max_size=40) if together else st.just([]))
    def run(drawn, turns):
        ran = sessions.run_all(drawn, lab, turns=turns)
        _assert_none_failed(ran)
        for each in [each for session in ran for each in session.submissions]:
            ends[each.how] += 1
            if each.how == "refused":
                reasons[searching.reason_of(each.here)] += 1

    run()
    return ends, reasons


def _assert_none_failed(ran):
    failed = [
        f"{failure}\nin {session.program}"
        for session in ran
        for failure in sessions.failures([session])
    ]
    if len(ran) > 1 and failed:
        failed += [f"with {session.program}" for session in ran]
    assert not failed, "\n".join(failed)


@pytest.fixture(params=[FAST, pytest.param(SLOW, marks=pytest.mark.slow)], ids=["fast", "slow"])
def total(request):
    return request.param


@pytest.mark.timeout(6 * 3600)
def test_an_ordinary_program_is_seldom_refused_and_gets_the_same_answers(lab, total):
    amount = round(total * SHARES["ordinary"])
    ends, reasons = _compare(lab, amount, ordinary=True)
    assert ends["same"] > amount  # or the programs are none
    assert ends["refused"] <= 0.1 * ends.total(), reasons.most_common()


@pytest.mark.timeout(6 * 3600)
def test_a_strange_program_gets_the_same_answers(lab, total):
    amount = round(total * SHARES["strange"])
    ends, _ = _compare(lab, amount)
    assert ends["same"] > amount


@pytest.mark.timeout(6 * 3600)
def test_two_programs_in_turns_get_their_own_answers(lab, total):
    amount = round(total * SHARES["two at a time"])
    ends, _ = _compare(lab, amount, together=True)
    assert ends["same"] > amount


@pytest.mark.parametrize("name", found.CASES)
def test_what_was_found_once_stays_right(name, lab):
    case = found.CASES[name]
    ran = sessions.run_all(case.programs, lab, turns=case.turns, one_by_one=bool(case.turns))
    _assert_none_failed(ran)
    ended = [each for session in ran for each in session.submissions]
    assert case.may_be_refused or "same" in [each.how for each in ended]
    refused = [each.here for each in ended if each.how == "refused"]
    assert case.may_be_refused or not refused


# The harness itself


def test_a_worker_that_is_right_by_construction_is_found_right(tmp_path):
    ends, _ = _compare(sessions.Lab(twins.Twin(), tmp_path), 20)
    assert ends["same"] > 10


def test_a_worker_that_answers_late_is_found_wrong(tmp_path):
    program = found.script("""
        count = 0
        def bump(x):
            global count
            count += x
            return count
        __submit_once__(bump, 1)
    """)
    [session] = sessions.run_all([program], sessions.Lab(twins.Late(), tmp_path))
    assert ["differs"] == [each.how for each in sessions.failures([session])]


def test_a_worker_that_does_not_answer_is_found():
    with sessions.Worker(seconds=1) as worker:
        answer = worker.run(pickle.dumps(signal.pause), pickle.dumps(()), signal.pause)
        assert ("failed", "no answer in 1 seconds") == answer
        worker.seconds = 60  # another one has begun, and a loaded machine is slow
        assert ("returned", "3") == _length_of_abc(worker)


def test_a_worker_that_ends_is_found():
    with sessions.Worker() as worker:  # os._exit may be coverage's
        answer = worker.run(pickle.dumps(posix._exit), pickle.dumps((3,)), posix._exit)
        assert ("failed", "the worker ended with 3") == answer
        assert ("returned", "3") == _length_of_abc(worker)


def _length_of_abc(worker):
    return worker.run(pickle.dumps(len), pickle.dumps(("abc",)), len)
