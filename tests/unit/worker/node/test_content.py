"""What is the same in every process, and what is not."""

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import json
import logging
import queue
import re
import socket
import subprocess
import sys
import threading
import types
import uuid
import weakref
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gc_warm import node_folder
from gc_warm.errors import UsageError
from gc_warm.shipping.definitions.text import text_of
from gc_warm.worker.definitions.compiling import compiled
from gc_warm.worker.node.content import hash_of

PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=5)
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.frozensets(PLAIN, max_size=3),
    ),
    max_leaves=8,
)


def typed(value):
    """Write a value so that two are the same text only if they are the same in type and content."""
    match value:
        case list() | tuple():
            return f"{type(value).__name__}({', '.join(map(typed, value))})"
        case frozenset():
            return f"frozenset({', '.join(sorted(map(typed, value)))})"
        case dict():
            return f"dict({', '.join(sorted(typed(pair) for pair in value.items()))})"
        case _:
            return f"{type(value).__name__} {value!r}"


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES)
def test_two_values_have_one_hash_only_if_they_are_the_same(one, other):
    assert (typed(one) == typed(other)) == (hash_of(one) == hash_of(other))


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Config:
    layers: int
    names: tuple[str, ...] = ()


class Point(NamedTuple):
    x: int
    y: int


DISTINCT = [
    *(1, 1.0, True, "1", b"1", None, -0.0, 0.0, float("nan"), 1j, (1,), [1], {1}, frozenset({1})),
    *(Path("a"), "a", Colour.RED, Colour.BLUE, Config(1), Config(2), Point(1, 2), (1, 2)),
    *(decimal.Decimal(1), dt.date(2026, 1, 1), uuid.UUID(int=1), range(3), re.compile("a")),
    *(np.float64(1), np.float32(1), np.array([1, 2]), np.array([1, 3]), np.dtype("f4")),
    *(json, sys),
    *({"a": 1}, {"a": 2}, [("a", 1)], -1, -2, functools.partial(int, base=2), int, list[int], len),
    *(logging.getLogger("a"), logging.getLogger("b"), slice(1, 2), bytearray(b"1"), ..., str.upper),
]


def test_each_of_many_kinds_of_values_has_a_hash_of_its_own():
    assert len(DISTINCT) == len({hash_of(each) for each in DISTINCT})


# Sets have another order there.
HASHES = """
import json, sys
sys.path.insert(0, sys.argv[1])
import test_content as t
print(json.dumps([t.hash_of(each) for each in (*t.DISTINCT, t.function, t.Config)]))
"""

ROOT = Path("/data")
LOG = logging.getLogger("a")
NAMES = {"b", "a", "c"}


def helper(name):
    return ROOT / name if name in {"a", "b", "c"} else sorted(NAMES)


@functools.lru_cache
def function(name, *, colour=Colour.RED):
    def inner():
        return helper(name), Config(1), np.zeros(3), LOG, colour

    return [inner() for _ in range(3)]


def test_hashes_are_the_same_in_every_process():
    command = [sys.executable, "-c", HASHES, str(Path(__file__).parent)]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [hash_of(each) for each in (*DISTINCT, function, Config)] == json.loads(elsewhere)


# Python compiles `json.dumps()` in another way where it sees that `json` is a module.
IMPORTING = """
    import json, os, time

    def call(folder):
        time.sleep(0.1)

    def last(folder):
        if folder:
            found = 1
        else:
            found = 2
        return time.time()

    def caught(folder):
        try:
            return json.loads(folder, cls=None)
        except ValueError:
            return [os.getpid() for each in range(3)]

    class Model:
        def load(self):
            def inner(): return json.dumps(self)
            return inner()

    def around(json):
        def nested(folder):
            def deep(): return json.dumps(folder), (lambda: os.getpid())
            return deep()
        return nested

    ALL = [call, last, caught, Model.load, around(1), lambda: time.time() + 1]
"""


def test_a_function_of_a_script_is_the_same_where_it_has_travelled(user_module):
    module = user_module("script_that_imports", IMPORTING)
    for each in module.ALL:
        code = compiled(json.loads(json.dumps(text_of(each).what)))
        again = types.FunctionType(code, vars(module), closure=each.__closure__)
        assert hash_of(each) == hash_of(again), each


NAMES_OF_FUNCTIONS = st.sampled_from(["json.dumps", "time.time", "os.getpid", "len", "a.b"])
CALLS = st.lists(st.sampled_from(["a", "b", "1", "2.0", "a + b", "a - b"]), max_size=3)


@settings(max_examples=50, deadline=None)
@given(*[st.tuples(NAMES_OF_FUNCTIONS, CALLS)] * 2)
def test_two_functions_are_the_same_only_if_they_do_the_same(one, other):
    def made(function, arguments):
        text = f"import json, os, time\ndef f(a, b): return {function}({', '.join(arguments)})"
        names = {"__name__": "__main__"}
        exec(text, names)
        return hash_of(names["f"])

    assert (one == other) == (made(*one) == made(*other))


# What fills a folder

PROJECT = """
    import functools
    import project_tools
    from project_tools import unpack, Reader

    ROOT = "/data"
    LIMITS = {"a": 1}

    class Model:
        size = 1
        def load(self):
            return self.size

    def helper():
        return ROOT

    @functools.lru_cache
    def cached():
        return helper()

    def fill(folder, scale=2):
        "Fill it."
        import project_late
        Model().load()
        project_tools.other()
        unpack(folder)
        return cached(), LIMITS, Reader
"""
TOOLS = """
    import project_deep

    def unpack(folder):
        return 1

    def other():
        return project_deep.value

    class Reader:
        pass
"""


def hash_of_project(user_module, edits=(), name="project_main"):
    texts = {"project_main": PROJECT, "project_tools": TOOLS}
    texts |= {"project_deep": "    value = 1\n", "project_late": "    late = 1\n"}
    for old, new in edits:
        assert any(old in text for text in texts.values())
        texts = {each: text.replace(old, new) for each, text in texts.items()}
    for each in texts:
        sys.modules.pop(each, None)
    modules = {each: user_module(each, texts[each]) for each in reversed(texts)}
    sys.modules.pop("project_late")  # it is imported when the function runs
    return hash_of(modules[name].fill)


@pytest.mark.parametrize(
    "edit",
    [
        ('ROOT = "/data"', 'ROOT = "/other"'),
        ('{"a": 1}', '{"a": 2}'),
        ("size = 1", "size = 2"),
        ("return self.size", "return -self.size"),
        ("return ROOT", "return ROOT * 2"),
        ("return 1", "return 3"),
        ("value = 1", "value = 2"),
        ("late = 1", "late = 2"),
        ("scale=2", "scale=3"),
        ("unpack(folder)\n", "unpack(folder, 1)\n"),
        ("return project_deep.value", "return -project_deep.value"),
    ],
)
def test_a_change_of_what_fills_it_is_another_content(user_module, edit):
    assert hash_of_project(user_module) != hash_of_project(user_module, [edit])


@pytest.mark.parametrize(
    "edit",
    [
        ("    import functools\n", "    import functools\n    # a comment\n\n"),
        ("    ROOT = ", "    unused = 1\n    ROOT = "),
        ("def fill(folder", "def fill(folder: 'object'"),
    ],
)
def test_what_it_does_not_use_may_change(user_module, edit):
    assert hash_of_project(user_module) == hash_of_project(user_module, [edit])


def test_definitions_that_name_each_other_come_to_an_end(user_module):
    module = user_module(
        "in_a_circle",
        """
        def a():
            return b, C, KNOWN

        def b():
            return a

        class C:
            def own(self):
                return C, a

        KNOWN = [a]
        KNOWN.append(KNOWN)
        """,
    )
    assert hash_of(module.a) != hash_of(module.b)


def test_shared_helpers_are_read_once(user_module):
    lines = ["def f0(): return 1"]
    lines += [
        f"def f{n}(): return f{n - 1}() + f{n - 1}() + (lambda: f{n - 1})()()" for n in range(1, 40)
    ]
    assert hash_of(user_module("many_helpers", "\n".join(lines)).f39)


class Worker:
    def __init__(self):
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    "make",
    [
        *(threading.Lock, threading.RLock, threading.Event, threading.local, threading.Thread),
        *(object, queue.Queue, Worker, sys._getframe, Path("/dev/null").open, socket.socket),
        *(lambda: weakref.ref(Worker), lambda: (each for each in ()), lambda: memoryview(b"a")),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_argument_that_means_nothing_elsewhere_is_refused_by_name(make):
    @node_folder
    def weights(config: object, folder: Path):
        pass

    message = r"Argument 'config' of .*weights is of type '\w+', which means nothing in another pro"
    for value in (make(), [make()], {"a": make()}, functools.partial(print, make())):
        with pytest.raises(UsageError, match=message):
            weights(value)


def test_what_fills_it_may_use_locks_and_marks_of_its_own(user_module):
    text = """
        import threading
        LOCK, NONE, ALL = threading.Lock(), object(), object()
        def fill(folder, which=NONE):
            with LOCK:
                return which is NONE
    """
    first = hash_of(user_module("with_a_lock", text).fill)
    assert first == hash_of(user_module("with_a_lock_2", text).fill)
    other = text.replace("is NONE", "is ALL")
    assert first != hash_of(user_module("with_a_lock_3", other).fill)


def test_a_refused_global_is_named_and_a_version_helps(user_module):
    text = """
        import sys
        from gc_warm import node_folder
        client = {"frame": sys._getframe()}
        def connect():
            return client
        def fill(folder):
            connect()
        weights = node_folder(fill)
        versioned = node_folder(version="1")(fill)
    """
    module = user_module("with_a_client", text)
    with pytest.raises(
        UsageError, match=r"fill uses 'connect.client', of type 'frame', .*version="
    ):
        module.weights()
    assert module.versioned().is_dir()


@pytest.mark.parametrize("decorator", ["self_contained", "warm", "node_folder"])
def test_what_is_decorated_counts_by_its_function(user_module, decorator):
    text = f"""
        import gc_warm
        @gc_warm.{decorator}
        def inner(folder):
            return 1
        def fill(folder):
            return inner()
    """
    first = hash_of(user_module("decorated", text).fill)
    assert first == hash_of(user_module("decorated_2", text).fill)
    assert first != hash_of(user_module("decorated_3", text.replace("1", "2")).fill)


@dataclasses.dataclass
class Derived:
    number: int
    extra: dataclasses.InitVar[str] = ""

    def __post_init__(self, extra):
        self.path = f"/data/{extra}"


@dataclasses.dataclass
class Listed(list):
    number: int = 0


def test_all_that_a_dataclass_holds_counts():
    cats, dogs, again = Derived(1, "cats"), Derived(1, "dogs"), Derived(1, "cats")
    assert hash_of(cats) == hash_of(again) != hash_of(dogs)
    one, two = Listed(), Listed()
    one.append(1)
    two.append(2)
    assert hash_of(one) != hash_of(two)


ATTRIBUTES = """
import re, time
from gc_warm import node_folder

start = time.time()

class Meta(type):
    def __call__(cls, *args):
        return super().__call__(*args)

class Kind(metaclass=Meta):
    pass

@node_folder
def fill(text, folder):
    Kind()
    for match in re.finditer("a+", text):
        (folder / str(match.start())).touch()
"""


def hash_of_fill(user_module, name, text):
    sys.modules.pop(name, None)
    return hash_of(user_module(name, text).fill)


def test_an_attribute_is_no_global(user_module):
    later = ATTRIBUTES.replace("time.time()", "time.time() + 1")
    assert hash_of_fill(user_module, "one", ATTRIBUTES) == hash_of_fill(user_module, "one", later)


def test_an_edit_of_a_metaclass_counts(user_module):
    edited = ATTRIBUTES.replace("__call__(*args)", "__call__(*reversed(args))")
    assert hash_of_fill(user_module, "one", ATTRIBUTES) != hash_of_fill(user_module, "one", edited)


class Cached:
    def __init__(self, name, cache):
        self.name = name
        self.cache = cache

    def __getstate__(self):
        return {"name": self.name}


def test_the_order_of_keys_annotations_and_what_is_not_pickled_do_not_count(user_module):
    assert hash_of({"a": 1, "b": 2}) == hash_of({"b": 2, "a": 1})
    assert hash_of(Cached("a", 1)) == hash_of(Cached("a", 2)) != hash_of(Cached("b", 1))
    annotated = ATTRIBUTES.replace("(text, folder)", "(text: str, folder: object) -> None")
    assert annotated != ATTRIBUTES
    assert hash_of_fill(user_module, "one", ATTRIBUTES) == hash_of_fill(
        user_module, "one", annotated
    )


class Huge(enum.IntEnum):
    VALUE = 10**5000


class Part(enum.Flag):
    ONE = 1
    TWO = 2


def test_numbers_with_names_and_combined_flags_count():
    before = hash_of(Part.ONE)
    values = [Huge.VALUE, Part.ONE, Part.ONE | Part.TWO, Part(0), Part.TWO]
    assert len(values) == len({hash_of(value) for value in values})
    assert before == hash_of(Part.ONE)


def test_another_version_is_another_folder():
    def fill(folder: Path):
        pass

    folders = [node_folder(version=version)(fill)() for version in ("1", "2", "1")]
    assert folders[0] == folders[2] != folders[1]
