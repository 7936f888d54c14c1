"""Warm state: built once, kept, released in time."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import pickle
import textwrap
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from gc_warm import stats, warm
from gc_warm.errors import RecursiveBuildError, UnhashableArgumentError, UsageError
from gc_warm.worker.scope import task_scope


class Model:
    def __init__(self, name):
        self.name = name


def counting(**options):
    """Return a warm model and the list of names that it built."""
    built = []

    @warm(**options)
    def model(name="small"):
        built.append(name)
        return Model(name)

    return model, built


def test_a_state_is_built_once_and_is_the_same_object():
    model, built = counting()
    assert model("a") is model("a") is model(name="a")
    assert built == ["a"]


def test_defaults_are_part_of_the_key():
    model, built = counting()
    assert model() is model("small")
    assert built == ["small"]


@pytest.mark.parametrize("others", [(True, 1.0), (1.0, True)])
def test_equal_values_of_different_types_are_different_states(others):
    model, built = counting(maxsize=None)
    states = [model(1), *map(model, others)]
    assert len({id(state) for state in states}) == 3
    assert [type(name) for name in built] == [int, *map(type, others)]


def test_the_front_never_confuses_what_lru_cache_would():
    """The order matters: each value is asked for while the other is the one most recently used."""
    model, _ = counting(maxsize=None)
    for _ in range(3):
        for value in (0.0, -0.0, (1,), (True,), 1, True, "x", -1, -2):
            state = model(value)
            assert repr(state.name) == repr(value)


def test_the_least_recently_used_state_goes_first():
    model, built = counting(maxsize=2)
    for name in ["a", "b", "a", "a", "c", "a", "b"]:
        model(name)
    assert built == ["a", "b", "c", "b"]
    assert model.info().evictions == 2


def test_a_number_of_any_length_tells_states_apart():
    @warm(maxsize=2)
    def model(number):
        return [number]

    assert model(10**5000) is model(10**5000) is not model(10**5000 + 1)
    assert model.info().entries[0].arguments.startswith("<int ")


def test_an_unbounded_initialiser_keeps_everything():
    model, built = counting(maxsize=None)
    for _ in range(2):
        for name in range(100):
            model(name)
    assert built == list(range(100))


def test_the_old_state_is_gone_before_the_new_one_is_built():
    alive = weakref.WeakSet()
    most = []

    @warm
    def model(name):
        most.append(len(alive))
        state = Model(name)
        alive.add(state)
        return state

    for name in "abcabc":
        model(name)
        model(name)
    gc.collect()
    assert most == [0, 0, 0, 0, 0, 0]


def test_a_generator_is_torn_down_when_its_state_is_evicted():
    events = []

    @warm
    def model(name):
        events.append(f"build {name}")
        state = Model(name)
        seen = weakref.ref(state)
        yield state
        del state
        events.append(f"free {name}: {seen() is None}")

    model("a")
    model("a")
    model("b")
    assert events == ["build a", "free a: True", "build b"]
    model.clear()
    assert events[-1] == "free b: True"


def test_clear_releases_newest_first_and_builds_anew():
    events = []

    @warm(maxsize=None)
    def model(name):
        yield name
        events.append(name)

    for name in "abc":
        model(name)
    model.clear()
    assert events == ["c", "b", "a"]
    model("a")
    assert model.info().misses == 4


def test_a_class_is_closed_when_it_goes():
    events = []

    @warm
    class Connection:
        def __init__(self, host):
            self.host = host

        def close(self):
            events.append(self.host)

    assert Connection("a") is Connection("a")
    Connection("b")
    assert events == ["a"]


def test_a_context_manager_class_is_entered_and_exited():
    events = []

    @warm
    class Session:
        def __enter__(self):
            events.append("enter")
            return self

        def __exit__(self, *details):
            events.append("exit")

    Session()
    Session()
    Session.clear()
    assert events == ["enter", "exit"]


def test_many_threads_cause_one_build(in_threads):
    release = threading.Event()
    built = []

    @warm
    def model(name):
        built.append(name)
        release.wait(10)
        return Model(name)

    def ask(index):
        if index == 0:
            release.set()
        return model("a")

    states = in_threads(8, ask)
    assert len({id(state) for state in states}) == 1
    assert built == ["a"]
    assert model.info().misses == 1
    assert model.info().hits == 7


def test_waiting_threads_share_the_exception_and_nothing_is_kept(in_threads):
    calls = []
    together = threading.Barrier(8)

    @warm
    def model():
        calls.append(1)
        raise OSError("no such weights")

    def ask(_):
        together.wait()
        return model()

    errors = in_threads(8, ask)
    assert all(isinstance(error, OSError) for error in errors)
    assert model.info().currsize == 0
    assert model.info().failures == len(calls)
    with pytest.raises(OSError, match="no such weights"):
        model()


def test_an_interrupted_build_is_taken_over_by_a_waiting_thread():
    building, waiting = threading.Event(), threading.Event()
    calls = []

    @warm
    def model():
        calls.append(1)
        if len(calls) == 1:
            building.set()
            waiting.wait(10)
            raise KeyboardInterrupt
        return Model("second")

    def interrupted():
        with pytest.raises(KeyboardInterrupt):
            model()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(interrupted)
        building.wait(10)
        second = pool.submit(model)
        waiting.set()
        first.result()
        assert second.result().name == "second"


def test_different_keys_take_turns_when_only_one_may_live(in_threads):
    alive, most = set(), []
    lock = threading.Lock()

    @warm
    def model(name):
        with lock:
            alive.add(name)
            most.append(len(alive))
        yield name
        with lock:
            alive.discard(name)

    names = in_threads(8, lambda index: [model(index % 3) for _ in range(50)])
    assert all(result == [index % 3] * 50 for index, result in enumerate(names))
    assert set(most) == {1}


def test_a_failed_build_says_that_the_old_state_is_gone():
    @warm
    def model(name):
        if name == "bad":
            raise ValueError("bad weights")
        return Model(name)

    model("good")
    with pytest.raises(ValueError, match="bad weights") as caught:
        model("bad")
    notes = getattr(caught.value, "__notes__", None)
    if hasattr(caught.value, "add_note"):
        assert "already released" in notes[0]
    assert model.info().currsize == 0


def test_a_failing_teardown_is_logged_and_hides_nothing(caplog):
    @warm
    def model(name):
        yield name
        raise RuntimeError("the GPU is on fire")

    model("a")
    assert model("b") == "b"
    assert model.info().teardown_failures == 1
    assert "the GPU is on fire" in caplog.text


def test_an_initialiser_that_needs_itself_is_told_so():
    @warm
    def model(name):
        return model(name)

    with pytest.raises(RecursiveBuildError, match="asked for the state that it is building"):
        model("a")


def test_an_initialiser_may_need_another_of_its_own_states():
    """It would wait for itself; so both live, until the build is done and the first can go."""
    alive = []

    @warm
    def model(name):
        parts = [] if name == "base" else [model("base")]
        alive.append(name)
        yield [name, *parts]
        alive.remove(name)

    assert model("fine-tuned") == ["fine-tuned", ["base"]]
    assert alive == ["fine-tuned"]
    assert model.info().overdrafts == 1


def test_state_may_need_other_state():
    @warm
    def tokenizer():
        return ["t"]

    @warm
    def model():
        return [tokenizer()]

    assert model()[0] is tokenizer()


def test_generators_must_yield_once(caplog):
    @warm
    def never():
        return
        yield

    @warm
    def twice():
        yield 1
        yield 2

    with pytest.raises(UsageError, match="without a yield"):
        never()
    twice()
    twice.clear()
    assert "yielded twice" in caplog.text


def test_signature_name_and_docstring_are_the_initialisers():
    @warm
    def model(name: str) -> Model:
        """Load a model."""
        return Model(name)

    assert model.__name__ == "model"
    assert model.__doc__ == "Load a model."
    assert model.__wrapped__("x").name == "x"


@warm
def top_level():
    return Model("top")


def test_a_warm_state_pickles_by_name():
    assert pickle.loads(pickle.dumps(top_level)) is top_level


def test_unhashable_arguments_are_refused():
    model, built = counting()
    with pytest.raises(
        UnhashableArgumentError, match="'name' of warm initialiser 'model' is a list"
    ):
        model(["a"])
    assert built == []


@dataclass(frozen=True)
class Config:
    name: str
    layers: object


def test_equal_dataclasses_with_numbers_of_other_types_are_other_states():
    model, built = counting(maxsize=None)
    model(Config("a", 1))
    model(Config("a", True))
    model(Config("a", 1))
    assert len(built) == 2


@pytest.mark.parametrize("maxsize", [0, -1, 1.5, True, "2"])
def test_a_wrong_maxsize_is_refused(maxsize):
    with pytest.raises(UsageError, match="maxsize must be"):
        warm(maxsize=maxsize)


def test_a_wrong_key_is_refused():
    with pytest.raises(UsageError, match="key must be a function"):
        warm(key="name")


@pytest.mark.parametrize("thing", [3, "name", None.__class__()])
def test_what_is_no_initialiser_is_refused(thing):
    with pytest.raises(UsageError, match="decorates a function"):
        warm(maxsize=1)(thing)


def test_asynchronous_initialisers_are_refused():
    async def model():
        return 1

    with pytest.raises(UsageError, match="asynchronous"):
        warm(model)


def test_methods_are_refused_and_static_methods_work():
    with pytest.raises(UsageError, match="Move it out of the class"):

        class Wrong:
            @warm
            def model(self):
                return 1

    class Right:
        @staticmethod
        @warm
        def model():
            return Model("static")

    assert Right.model() is Right().model()


def test_info_and_stats_count_what_happened():
    model, _ = counting(maxsize=2)
    for name in ["a", "a", "b", "a", "c"]:
        model(name)
    info = model.info()
    expected = {"hits": 2, "misses": 3, "evictions": 1, "failures": 0, "currsize": 2, "maxsize": 2}
    assert expected == {name: getattr(info, name) for name in expected}
    assert info.build_seconds > 0
    assert [("'a'", 2), ("'c'", 0)] == [(e.arguments, e.hits) for e in info.entries]
    seen = json.loads(json.dumps(stats()))
    mine = [s for s in seen["states"].values() if [e["hits"] for e in s["entries"]] == [2, 0]]
    assert [["'a'", "'c'"]] == [[e["arguments"] for e in state["entries"]] for state in mine]


@pytest.mark.parametrize("how", ["clear", "invalidate"])
@pytest.mark.parametrize("background", [False, True])
def test_what_is_dropped_while_it_is_built_is_not_kept(how, background):
    entered, go_on = threading.Event(), threading.Event()
    builds = []

    @warm(background=background)
    def model(name):
        builds.append(name)
        if len(builds) == 1:
            entered.set()
            go_on.wait(20)
        return len(builds)

    thread = threading.Thread(target=model, args=("a",))
    thread.start()
    assert entered.wait(20)
    getattr(model, how)(*(["a"] if how == "invalidate" else []))
    go_on.set()
    thread.join()
    assert 2 == model("a")
    assert 2 == len(builds)


def test_invalidate_completes_the_arguments_for_a_key_of_ones_own():
    @warm(key=lambda *args: args, maxsize=None)
    def model(name, size=3):
        return object()

    first = model("a")
    assert model.invalidate("a")
    assert first is not model("a")
    assert model.invalidate(name="a", size=3)


def test_a_generator_function_that_is_wrapped():
    torn_down = []

    def logged(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper

    @warm
    @logged
    def model(name):
        yield name.upper()
        torn_down.append(name)

    assert ("A", "B") == (model("a"), model("b"))
    assert ["a"] == torn_down


def test_a_context_manager_is_entered_and_exited():
    torn_down = []

    @warm
    @contextlib.contextmanager
    def model(name):
        yield name.upper()
        torn_down.append(name)

    assert ("A", "B") == (model("a"), model("b"))
    assert ["a"] == torn_down


def test_options_that_would_fail_later_are_refused():
    with pytest.raises(UsageError, match="wait must be a number of seconds, not None"):
        warm(wait=None)


@pytest.mark.parametrize("size", [-5, "a", None, float("nan"), float("inf")])
def test_a_size_that_is_no_number_of_bytes_is_refused(size):
    @warm(maxsize=None, size=lambda _: size, maxbytes=10)
    def model():
        return 1

    with pytest.raises(UsageError, match=f"must return a number of bytes, not {size!r}"):
        model()


def connected(function):
    """Give a function a first argument that its callers do not know of."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function("connection", *args, **kwargs)

    return wrapper


def test_a_decorator_below_may_give_further_arguments():
    built = []

    @warm(maxsize=None)
    @connected
    def model(connection, name, size=3):
        built.append((connection, name, size))
        return [name, size]

    assert model("a") is model("a")
    assert ["a", 4] == model("a", 4)
    assert ["a", 5] == model("a", size=5)
    assert ["b", 3] == model("b")
    assert ["a", 3] == model("a")
    every = [("a", 3), ("a", 4), ("a", 5), ("b", 3)]
    assert [("connection", *each) for each in every] == built


@pytest.mark.parametrize(("args", "options"), [((), {}), (("a", 1, 2), {}), (("a", 1), {"c": 1})])
@pytest.mark.parametrize("wrapped", [False, True])
def test_wrong_arguments_are_refused(args, options, wrapped):
    built = []

    def model(connection, name):
        built.append(name)

    model = warm(connected(model) if wrapped else model)
    with pytest.raises(TypeError):
        model(*args, **options)
    assert built == []


DEFINITION = """
    from gc_warm import warm
    {start}
    @warm
    def model(name):
        events.append("build {number}")
        yield [name, {number}]
        events.append("free {number}")
"""


def test_a_module_that_is_reloaded_lets_its_old_state_go_first(user_module):
    events = user_module("journal", "events = []").events
    start = "from journal import events"
    module = user_module("reloaded", DEFINITION.format(number=1, start=start))
    assert ["a", 1] == module.model("a")
    user_module("reloaded", DEFINITION.format(number=22, start=start))
    importlib.reload(module)
    assert ["a", 22] == module.model("a")
    assert ["build 1", "free 1", "build 22"] == events


def test_a_definition_that_is_made_anew_lets_the_old_state_go_first():
    events = []
    names = {"__name__": "made_anew", "events": events}
    for number in (1, 2):
        exec(textwrap.dedent(DEFINITION.format(number=number, start="")), names)
        assert ["a", number] == names["model"]("a")
    assert ["build 1", "free 1", "build 2"] == events


def test_what_nobody_can_ask_for_any_more_goes_before_the_next_build():
    events = []

    @warm
    def model():
        events.append("build")
        yield ["state"]
        events.append("free")

    @warm
    def other():
        events.append("build another")

    model()
    del model
    other()
    assert ["build", "free", "build another"] == events


def test_what_is_used_though_its_definition_is_gone_stays():
    events = []

    @warm
    def model():
        events.append("build")
        yield ["state"]
        events.append("free")

    @warm
    def other(name):
        events.append(f"build {name}")

    with model.lease():
        lease = model.lease
        del model
        other("a")
        assert ["build", "build a"] == events
    del lease
    other("b")
    assert ["build", "build a", "free", "build b"] == events


def evict_by_another(model):
    model("b")


def evict_by_clear(model):
    model.clear()


def evict_by_invalidate(model):
    model.invalidate("a")


def make_function():
    @warm
    def model(name):
        return Model(name)

    return model


def make_generator():
    @warm
    def model(name):
        yield Model(name)

    return model


def make_class():
    @warm
    class Closing:
        def __init__(self, name):
            self.name = name

        def close(self):
            self.name = None

    return Closing


@pytest.mark.parametrize("evict", [evict_by_another, evict_by_clear, evict_by_invalidate])
@pytest.mark.parametrize("make", [make_function, make_generator, make_class])
def test_what_is_evicted_is_freed_at_once(make, evict):
    """Without a collection, which may be long in coming."""
    model = make()
    gc.disable()
    try:
        with task_scope():
            gone = weakref.ref(model("a"))
            model("a")
        evict(model)
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("make", [make_function, make_generator, make_class])
def test_what_a_call_held_beyond_the_capacity_is_freed_at_its_end(make):
    model = make()
    gc.disable()
    try:
        with task_scope():
            made = [weakref.ref(model("a")), weakref.ref(model("b"))]
        assert 1 == [each() for each in made].count(None)
    finally:
        gc.enable()
