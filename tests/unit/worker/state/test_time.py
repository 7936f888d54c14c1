"""States that age, wear out, or fail."""

from __future__ import annotations

import threading
import traceback
import weakref

import pytest

from gc_warm import stats, sweep, warm
from gc_warm.worker.scope import task_scope


def counting(**options):
    built, freed = [], []

    @warm(**options)
    def model(name="a"):
        built.append(name)
        yield [name]
        freed.append(name)

    return model, built, freed


def test_an_idle_state_is_built_anew(clock):
    model, built, freed = counting(idle_timeout=10, timer=clock)
    for moment in (0, 9, 18, 27):
        clock.now = moment
        model()
    assert built == ["a"]
    clock.now = 37
    model()
    assert (built, freed) == (["a", "a"], ["a"])


def test_an_old_state_is_built_anew_however_much_it_is_used(clock):
    model, built, _ = counting(max_age=10, timer=clock)
    for moment in range(25):
        clock.now = moment
        model()
    assert built == ["a"] * 3


def test_a_worn_state_is_built_anew():
    model, built, _ = counting(max_uses=3)
    for _ in range(7):
        model()
    assert built == ["a"] * 3


def test_another_state_of_the_group_releases_what_has_expired(clock):
    model, _, freed = counting(maxsize=None, idle_timeout=10, timer=clock)
    model("a")
    clock.now = 20
    model("b")
    assert freed == ["a"]


def test_sweep_releases_what_has_expired(clock):
    model, _, freed = counting(maxsize=None, idle_timeout=10, timer=clock)
    model("a")
    clock.now = 5
    model("b")
    clock.now = 12
    assert sweep() == 1
    assert freed == ["a"]


def test_what_a_call_uses_does_not_expire_under_it(clock):
    model, built, freed = counting(max_age=10, timer=clock)
    with task_scope():
        state = model()
        clock.now = 20
        assert sweep() == 1
        assert freed == []
        assert state == ["a"]
    assert freed == ["a"]
    model()
    assert built == ["a", "a"]


def test_a_call_keeps_what_it_has_got(clock):
    model, built, _ = counting(max_age=10, timer=clock)
    with task_scope():
        state = model()
        clock.now = 20
        assert model() is state
    model()
    assert built == ["a", "a"]


def test_no_thread_is_started(clock):
    before = threading.active_count()
    model, _, _ = counting(idle_timeout=10, max_age=100, max_uses=5, timer=clock)
    model()
    assert threading.active_count() == before


def failing(clock, **options):
    calls = []

    @warm(timer=clock, **options)
    def model(name):
        calls.append(name)
        if len(calls) < 3:
            raise OSError(f"attempt {len(calls)}")
        return [name]

    return model, calls


def test_a_failure_is_tried_again_at_once_without_retry_after(clock):
    model, calls = failing(clock)
    for _ in range(2):
        with pytest.raises(OSError, match="attempt"):
            model("a")
    assert model("a") == ["a"]
    assert len(calls) == 3


def test_retry_after_raises_the_same_error_without_building(clock):
    model, calls = failing(clock, retry_after=30)
    for moment in (0, 10, 29):
        clock.now = moment
        with pytest.raises(OSError, match="attempt 1"):
            model("a")
    assert calls == ["a"]
    with pytest.raises(OSError, match="attempt 2"):
        model("b")
    clock.now = 31
    assert model("a") == ["a"]


def test_clear_and_invalidate_forget_failures(clock):
    model, _ = failing(clock, retry_after=30)
    with pytest.raises(OSError, match="attempt 1"):
        model("a")
    model.invalidate("a")
    with pytest.raises(OSError, match="attempt 2"):
        model("a")
    model.clear()
    assert model("a") == ["a"]


def test_a_failing_teardown_is_reported():
    @warm
    def model():
        yield 1
        raise RuntimeError("stuck")

    model()
    model.clear()
    assert model.info().teardown_failures == 1
    assert model.info().last_teardown_error == "RuntimeError: stuck"
    assert any(s["last_teardown_error"] for s in stats()["states"].values())


def test_a_remembered_failure_keeps_nothing_alive(clock):
    class Weights:
        pass

    loaded = []

    @warm(retry_after=30, timer=clock)
    def model():
        weights = Weights()
        loaded.append(weakref.ref(weights))
        raise OSError("no memory")

    def length_of_traceback():
        try:
            model()
        except OSError as error:
            return len(traceback.extract_tb(error.__traceback__))

    lengths = [length_of_traceback() for _ in range(5)]
    assert loaded[0]() is None
    assert len(loaded) == 1
    assert len(set(lengths[1:])) == 1


def test_seconds_of_nested_builds_count_once():
    @warm
    def inner():
        return sum(range(200_000))

    @warm
    def outer():
        return [inner()]

    with task_scope() as task:
        outer()
    assert len(task.builds) == 2
    assert task.build_seconds == outer.info().build_seconds


def test_states_go_newest_first():
    model, _, freed = counting(maxsize=None)
    for name in "abcab":
        model(name)
    model.clear()
    assert freed == ["c", "b", "a"]


class StatusError(Exception):
    def __init__(self, status):
        super().__init__(f"server said {status}")
        self.status = status


class PickyError(Exception):
    def __init__(self, one, *, two):
        super().__init__(one)
        self.two = two


@pytest.mark.parametrize(
    "error", [StatusError(503), PickyError("one", two=2), OSError(2, "not there", "file")]
)
def test_retry_after_repeats_the_error_word_for_word(clock, error):
    @warm(retry_after=30, timer=clock)
    def model():
        raise error from ValueError("the reason")

    seen = []
    for _ in range(3):
        with pytest.raises(type(error)) as caught:
            model()
        seen.append((str(caught.value), vars(caught.value), repr(caught.value.__cause__)))
    assert seen[0] == seen[1] == seen[2]
    assert error.__traceback__ is not None
