"""A state that an edited module would build the same is handed over to it, and only such."""

from __future__ import annotations

import itertools
import json
import subprocess
import textwrap

import nbclient
import nbformat
import pytest

from gc_warm import LocalExecutor
from gc_warm.shipping.boot import VERSIONS

HANDED_OVER, BUILT = (0, 1), (1, 0)  # misses, and taken over from other versions
_numbers = itertools.count()


@pytest.fixture(scope="module")
def worker(workers):
    """Return an executor for modules that have nothing to do with each other."""
    with LocalExecutor(workers=workers) as executor:
        yield executor


HEAD = """
from gc_warm import self_contained, warm

{definitions}

@warm
def model(name):
    return load(name)

@self_contained
def work():
    model("a")
    info = model.info()
    return {number}, info.misses, info.handed_over
"""


@pytest.fixture
def versions(project, worker):
    """Return a function that runs versions of a module; gives misses and takeovers of each."""
    name = f"edited_{next(_numbers)}"

    def run(*definitions):
        counts = []
        for number, each in enumerate(definitions):
            text = HEAD.format(definitions=textwrap.dedent(each), number=number)
            seen, *count = worker.submit(project({f"{name}.py": text}).work).result()
            assert number == seen
            counts.append(tuple(count))
        return counts

    return run


# What an initialiser is made of: unchanged, and with an edit.
PARTS = {
    "a constant": (
        """
        SIZE = 3
        def load(name): return [name] * SIZE
        """,
        ("SIZE = 3", "SIZE = 4"),
    ),
    "a constant of another type": (
        """
        SIZE = 1
        def load(name): return [name, SIZE]
        """,
        ("SIZE = 1", "SIZE = True"),
    ),
    "a number in the code": (
        "def load(name): return [name, 0.0]",
        ("0.0", "-0.0"),
    ),
    "a helper": (
        """
        def helper(name): return name * 2
        def load(name): return [helper(name)]
        """,
        ("* 2", "* 3"),
    ),
    "a helper of a helper": (
        """
        def inner(name): return name * 2
        def outer(name): return inner(name)
        def load(name): return [outer(name)]
        """,
        ("* 2", "* 3"),
    ),
    "a helper inside another": (
        """
        def load(name):
            def inner(text):
                return [each * 2 for each in text]
            return inner(name)
        """,
        ("* 2", "* 3"),
    ),
    "functions that call each other": (
        """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        def load(name): return [even(10)]
        """,
        ("n != 0", "n > 0"),
    ),
    "a default": (
        """
        def helper(name, size=3): return [name] * size
        def load(name): return helper(name)
        """,
        ("size=3", "size=4"),
    ),
    "a keyword default": (
        """
        def helper(name, *, size=3): return [name] * size
        def load(name): return helper(name)
        """,
        ("size=3", "size=4"),
    ),
    "a closure": (
        """
        def made(size):
            def load(name): return [name] * size
            return load
        load = made(3)
        """,
        ("made(3)", "made(4)"),
    ),
    "a lambda": (
        """
        scale = lambda name: name * 2
        def load(name): return [scale(name)]
        """,
        ("* 2", "* 3"),
    ),
    "a decorator": (
        """
        import functools
        def twice(function):
            @functools.wraps(function)
            def wrapper(*args): return [function(*args)] * 2
            return wrapper
        @twice
        def load(name): return name
        """,
        ("] * 2", "] * 3"),
    ),
    "what is decorated": (
        """
        import functools
        def twice(function):
            @functools.wraps(function)
            def wrapper(*args): return [function(*args)] * 2
            return wrapper
        @twice
        def load(name): return name.lower()
        """,
        ("lower", "upper"),
    ),
    "lru_cache": (
        """
        import functools
        @functools.lru_cache
        def helper(name): return name * 2
        def load(name): return [helper(name)]
        """,
        ("* 2", "* 3"),
    ),
    "partial": (
        """
        import functools
        def helper(name, size): return [name] * size
        load = functools.partial(helper, size=3)
        """,
        ("size=3", "size=4"),
    ),
    "what is partial": (
        """
        import functools
        def helper(name, size): return [name] * size
        load = functools.partial(helper, size=3)
        """,
        ("* size", "* -size"),
    ),
    "a class": (
        """
        class Reader:
            size = 3
            def read(self, name): return [name] * self.size
        def load(name): return Reader().read(name)
        """,
        ("size = 3", "size = 4"),
    ),
    "a method": (
        """
        class Reader:
            def read(self, name): return [name] * 3
        def load(name): return Reader().read(name)
        """,
        ("* 3", "* 4"),
    ),
    "a base class": (
        """
        class Base:
            def read(self, name): return [name] * 3
        class Reader(Base):
            def read(self, name): return super().read(name)
        def load(name): return Reader().read(name)
        """,
        ("* 3", "* 4"),
    ),
    "a base": (
        """
        class One:
            def read(self, name): return [1]
        class Two:
            def read(self, name): return [2]
        class Reader(One):
            pass
        def load(name): return Reader().read(name)
        """,
        ("Reader(One)", "Reader(Two)"),
    ),
    "a property": (
        """
        class Reader:
            @property
            def size(self): return 3
        def load(name): return [name] * Reader().size
        """,
        ("return 3", "return 4"),
    ),
    "a static method": (
        """
        class Reader:
            @staticmethod
            def read(name): return [name] * 3
        def load(name): return Reader.read(name)
        """,
        ("* 3", "* 4"),
    ),
    "a class method": (
        """
        class Reader:
            @classmethod
            def read(cls, name): return [name] * 3
        def load(name): return Reader.read(name)
        """,
        ("* 3", "* 4"),
    ),
    "a cached property": (
        """
        import functools
        class Reader:
            @functools.cached_property
            def size(self): return 3
        def load(name): return [name] * Reader().size
        """,
        ("return 3", "return 4"),
    ),
    "slots": (
        """
        class Reader:
            __slots__ = ("size",)
            def __init__(self): self.size = 3
        def load(name): return [name] * Reader().size
        """,
        ("size = 3", "size = 4"),
    ),
    "an abstract class": (
        """
        import abc
        class Base(abc.ABC):
            @abc.abstractmethod
            def read(self, name): ...
        class Reader(Base):
            def read(self, name): return [name] * 3
        def load(name): return Reader().read(name)
        """,
        ("* 3", "* 4"),
    ),
    "a dataclass": (
        """
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class Config:
            size: int = 3
        def load(name): return [name] * Config().size
        """,
        ("size: int = 3", "size: int = 4"),
    ),
    "a field of a dataclass": (
        """
        from dataclasses import dataclass, field
        @dataclass
        class Config:
            sizes: list = field(default_factory=lambda: [3])
        def load(name): return Config().sizes
        """,
        ("[3]", "[4]"),
    ),
    "an instance of a dataclass": (
        """
        from dataclasses import dataclass
        @dataclass
        class Config:
            size: int
        config = Config(3)
        def load(name): return [name] * config.size
        """,
        ("Config(3)", "Config(4)"),
    ),
    "a named tuple": (
        """
        from typing import NamedTuple
        class Config(NamedTuple):
            size: int = 3
        def load(name): return [name] * Config().size
        """,
        ("size: int = 3", "size: int = 4"),
    ),
    "an enum": (
        """
        from enum import Enum
        class Size(Enum):
            SMALL = 3
        def load(name): return [name] * Size.SMALL.value
        """,
        ("SMALL = 3", "SMALL = 4"),
    ),
    "an exception": (
        """
        class OddError(ValueError):
            code = 3
        def load(name):
            try:
                raise OddError(name)
            except OddError as error:
                return [error.code]
        """,
        ("code = 3", "code = 4"),
    ),
    "which exception is caught": (
        """
        def load(name):
            try:
                return [{}["name"]]
            except KeyError:
                return []
        """,
        ("except KeyError", "except LookupError"),
    ),
    "what is called of a library": (
        """
        import math
        def load(name): return [math.floor(1.5)]
        """,
        ("math.floor", "math.ceil"),
    ),
    "what a name of a library means": (
        """
        from math import floor as rounded
        def load(name): return [rounded(1.5)]
        """,
        ("floor", "ceil"),
    ),
    "which module it is": (
        """
        import posixpath as paths
        def load(name): return [paths.basename(name)]
        """,
        ("posixpath", "ntpath"),
    ),
    "a global that appears": (
        """
        def load(name):
            try:
                return [SIZE]
            except NameError:
                return []
        """,
        ("def load", "SIZE = 3\ndef load"),
    ),
    "a path": (
        """
        from pathlib import Path
        FOLDER = Path("/data/one")
        def load(name): return [FOLDER / name]
        """,
        ("/one", "/two"),
    ),
    "a pattern": (
        """
        import re
        PATTERN = re.compile("a+")
        def load(name): return PATTERN.findall(name)
        """,
        ("a+", "a*"),
    ),
    "a decimal": (
        """
        from decimal import Decimal
        RATE = Decimal("1.0")
        def load(name): return [RATE]
        """,
        ("1.0", "1.00"),
    ),
    "an array": (
        """
        import numpy
        WEIGHTS = numpy.arange(1000.0)
        def load(name): return WEIGHTS * 2
        """,
        ("1000.0", "1001.0"),
    ),
    "one number of an array": (
        """
        import numpy
        WEIGHTS = numpy.arange(1000.0)
        WEIGHTS[3] = 3
        def load(name): return WEIGHTS * 2
        """,
        ("= 3", "= 4"),
    ),
    "a table": (
        """
        TABLE = {"a": [1, 2], "b": {"c": (3, 4)}}
        def load(name): return TABLE[name]
        """,
        ("(3, 4)", "(3, 5)"),
    ),
    "a set": (
        """
        NAMES = {"a", "b", "c", "d"}
        def load(name): return [name in NAMES]
        """,
        ('"d"', '"e"'),
    ),
    "functions in a table": (
        """
        def small(name): return [name]
        def large(name): return [name] * 100
        TABLE = {"a": small, "b": [large]}
        def load(name): return TABLE[name](name)
        """,
        ("* 100", "* 200"),
    ),
    "classes in a table": (
        """
        class Small:
            size = 3
        TABLE = {"a": [Small]}
        def load(name): return [name] * TABLE[name][0].size
        """,
        ("size = 3", "size = 4"),
    ),
    "an instance in a table": (
        """
        class Small:
            def __init__(self, size): self.size = size
        TABLE = {"a": [Small(3)]}
        def load(name): return [name] * TABLE[name][0].size
        """,
        ("Small(3)", "Small(4)"),
    ),
    "a bound method": (
        """
        class Reader:
            def __init__(self, size): self.size = size
            def read(self, name): return [name] * self.size
        load = Reader(3).read
        """,
        ("Reader(3)", "Reader(4)"),
    ),
    "an instance that is called": (
        """
        class Reader:
            def __call__(self, name): return [name] * 3
        load = Reader()
        """,
        ("* 3", "* 4"),
    ),
    "a logger": (
        """
        import logging
        log = logging.getLogger("reading")
        def load(name):
            log.debug("loads")
            return [name]
        """,
        ('"reading"', '"writing"'),
    ),
    "a generator": (
        """
        def load(name):
            return list(parts(name))
        def parts(name):
            yield name
            yield from "xy"
        """,
        ('"xy"', '"xyz"'),
    ),
    "a class that is made by a call": (
        """
        import collections
        Config = collections.namedtuple("Config", "size", defaults=[3])
        def load(name): return [name] * Config().size
        """,
        ("[3]", "[4]"),
    ),
    "a class inside another": (
        """
        class Reader:
            class Options:
                size = 3
        def load(name): return [name] * Reader.Options.size
        """,
        ("size = 3", "size = 4"),
    ),
    "an attribute of a function": (
        """
        def helper(name): return [name] * helper.size
        helper.size = 3
        def load(name): return helper(name)
        """,
        ("size = 3", "size = 4"),
    ),
    "an attribute of a class that is set later": (
        """
        class Reader: pass
        Reader.size = 3
        def load(name): return [name] * Reader.size
        """,
        ("size = 3", "size = 4"),
    ),
    "a metaclass": (
        """
        class Meta(type):
            @property
            def size(cls): return 3
        class Reader(metaclass=Meta): pass
        def load(name): return [name] * Reader.size
        """,
        ("return 3", "return 4"),
    ),
    "how much is tried": (
        """
        def one(name): return name
        def two(name): return name
        def load(name):
            try:
                first = one(name)
                second = two(name)
            except KeyError:
                return []
            return [first, second]
        """,
        (
            "        second = two(name)\n    except KeyError:\n        return []\n",
            "    except KeyError:\n        return []\n    second = two(name)\n",
        ),
    ),
    "in which order names are looked up": (
        """
        def one(name): return [1]
        def two(name): return [2]
        def load(name): return [one(name), two(name)]
        """,
        ("[one(name), two(name)]", "[two(name), one(name)]"),
    ),
    "which of two the same is meant": (
        """
        def one(name): return [len(name)]
        two = one
        def load(name): return [one(name), two(name)]
        """,
        ("two = one", "def two(name): return [2]"),
    ),
    "what else a name means": (
        """
        def helper(name): return [name]
        def load(name): return helper(name)
        """,
        ("def helper(name): return [name]", "helper = list"),
    ),
    "a metaclass that has nothing of its own": (
        """
        class Meta(type): pass
        class Reader(metaclass=Meta): size = 3
        def load(name): return [name] * Reader.size
        """,
        ("size = 3", "size = 4"),
    ),
    "annotations": (
        """
        class Config: pass
        def helper(name: Config, size: int = 3) -> Config: return [name] * size
        def load(name: str) -> list: return helper(name)
        """,
        ("int = 3", "int = 4"),
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_what_would_be_built_the_same_is_handed_over_and_an_edit_is_built(versions, name):
    text, (old, new) = PARTS[name]
    text = textwrap.dedent(text)
    assert 1 == text.count(old)
    expected = [BUILT, HANDED_OVER, BUILT, HANDED_OVER]
    edited = text.replace(old, new)
    assert expected == versions(text, text, edited, edited)


def test_other_definitions_and_other_lines_make_no_difference(versions):
    text = PARTS["a class"][0]
    others = "\n\ndef unrelated(x): return x + 1\nNUMBER = 3\n"
    edited = "\n# Longer.\n\ndef unrelated(x):\n    return x + 2\n\nNUMBER = 4\n"
    text = textwrap.dedent(text)
    assert [BUILT, HANDED_OVER, HANDED_OVER, HANDED_OVER] == versions(
        text, text + others, edited + text, text + edited
    )


def test_a_global_with_the_name_of_an_attribute_makes_no_difference(versions):
    text = """
        class Reader: size = 3
        size = {}
        def load(name): return [name] * Reader.size
    """
    assert [BUILT, HANDED_OVER] == versions(text.format(3), text.format(4))


def test_a_global_that_is_bound_while_building_is_bound_again(versions):
    text = """
        last = ""
        def load(name):
            global last
            last = name
            return [name]
    """
    assert [BUILT, BUILT] == versions(text, text)


def test_what_cannot_be_compared_is_built(versions):
    text = """
        numbers = (number for number in range(100))
        def load(name):
            return [next(numbers)]
    """
    assert [BUILT, BUILT] == versions(text, text)


# What a state is made of

OWN = """
import collections, functools, types
import numpy

class Thing:
    kind = "thing"
    def __init__(self, value=None): self.value = value
    def method(self): return 1

class Word(str):
    __slots__ = ()

class Bare:
    __slots__ = ()

Pair = collections.namedtuple("Pair", "a b")

class OddError(Exception):
    pass

def function(x=None): return x

def generated():
    yield 1

def closing_over(thing):
    return lambda: thing

def load(name): return {state}
"""


@pytest.mark.parametrize(
    "state",
    [
        "Thing()",
        "[Thing()]",
        "{'a': Thing()}",
        "{Thing(): 1}",
        "(1, (2, Thing()))",
        "{Thing()}",
        "types.SimpleNamespace(thing=Thing())",
        "Thing",
        "{'kind': Thing}",
        "function",
        "functools.partial(function, 1)",
        "functools.partial(int, Thing())",
        "Thing().method",
        "closing_over(1)",
        "lambda: 1",
        "[generated()]",
        "Pair(1, 2)",
        "OddError('a')",
        "collections.deque([Thing()])",
        "collections.defaultdict(Thing)",
        "functools.lru_cache(function)",
        "types.MappingProxyType({'a': Thing()})",
        "numpy.array([Thing()], dtype=object)",
        "Word('a')",
        "[Word('a')]",
        "(Word('a'),)",
        "{'a': Word('a')}",
        "{'a': (Bare(),)}",
    ],
)
def test_a_state_that_is_made_of_the_modules_own_is_built_anew(versions, state):
    text = OWN.format(state=state)
    assert [BUILT, BUILT] == versions(text, text)


@pytest.mark.parametrize("state", ["Thing()", "function", "Pair(1, 2)", "Word('a')", "[Bare()]"])
def test_a_state_that_was_only_made_by_the_modules_own_is_handed_over(versions, state):
    text = OWN.format(state=f"[str({state}) * 0]")
    assert [BUILT, HANDED_OVER] == versions(text, text)


LIBRARY = """
import collections, datetime, functools, io, json, logging, operator, random, re, sqlite3
import threading, types
from decimal import Decimal
from pathlib import Path
import numpy

class Unused:
    pass

def load(name): return {state}
"""


@pytest.mark.parametrize(
    "state",
    [
        "None",
        "name",
        "numpy.arange(1000)",
        "numpy.array(['a', None], dtype=object)",
        "Path('/data') / name",
        "{'a': [1, 2], 'b': [{'c': (3,)}]}",
        "re.compile('a')",
        "Decimal('1.5')",
        "datetime.datetime(2020, 1, 1)",
        "collections.Counter('aab')",
        "collections.defaultdict(list)",
        "functools.partial(int, base=2)",
        "functools.lru_cache(json.loads)",
        "types.SimpleNamespace(read=json.loads, lock=threading.Lock(), numpy=numpy)",
        "operator.itemgetter(1)",
        "random.Random(1)",
        "sqlite3.connect(':memory:', check_same_thread=False)",
        "io.BytesIO(b'a')",
        "logging.getLogger('state')",
        "threading.Event()",
        "range(3)",
        "list",
    ],
)
def test_a_state_that_is_made_of_library_objects_is_handed_over(versions, state):
    text = LIBRARY.format(state=state)
    assert [BUILT, HANDED_OVER] == versions(text, text)


# What becomes of it

NOTING = """
import gc_warm
from gc_warm import self_contained, warm

def note(text):
    with open({log!r}, "a") as log:
        print(text, file=log)

@warm
def model(name):
    note("build {build}")
    yield [name, {build}]
    note("free {build}")

@self_contained
def work():
    seen = [(each["misses"], each["handed_over"]) for each in gc_warm.stats()["states"].values()]
    state, info = model("a"), model.info()
    after = [
        (each["misses"], each["handed_over"])
        for each in gc_warm.stats()["states"].values()
        if each["currsize"]
    ]
    return {task}, state[1], (info.misses, info.handed_over), after
"""


@pytest.fixture
def log(tmp_path):
    file = tmp_path / "log"
    file.touch()
    return lambda: file.read_text().splitlines()


@pytest.fixture
def noting(project, tmp_path):
    """Return a function that makes a version of a module; gives its function."""

    def make(task, build=1, name="noting"):
        text = NOTING.format(log=str(tmp_path / "log"), task=task, build=build)
        return project({f"{name}.py": text}).work

    return make


def test_ten_edits_of_a_task_cause_one_build_and_an_edit_of_the_initialiser_one_more(
    noting, log, one_worker
):
    for task in range(10):
        count = HANDED_OVER if task else BUILT
        assert (task, 1, count, [count]) == one_worker.submit(noting(task)).result()
    assert ["build 1"] == log()
    assert (10, 2, BUILT, [BUILT]) == one_worker.submit(noting(10, build=2)).result()
    assert ["build 1", "free 1", "build 2"] == log()
    assert (11, 2, HANDED_OVER, [HANDED_OVER]) == one_worker.submit(noting(11, build=2)).result()
    assert ["build 1", "free 1", "build 2"] == log()


def test_a_state_that_was_handed_over_is_torn_down_once_at_the_end(noting, log, endpoint_python):
    with LocalExecutor(workers=1, worker_python=endpoint_python) as executor:
        for task in range(VERSIONS + 2):
            executor.submit(noting(task)).result()
        assert ["build 1"] == log()
    assert ["build 1", "free 1"] == log()


def test_versions_in_turn_hand_it_to_each_other(noting, log, one_worker):
    made = [one_worker.register_function(noting(task)) for task in range(2)]
    for turn in range(6):
        task, build, (misses, _), _ = one_worker.submit_to_registered_function(
            made[turn % 2]
        ).result()
        assert (turn % 2, 1, int(turn % 2 == 0)) == (task, build, misses)
    assert ["build 1"] == log()


def test_every_state_is_handed_over_by_its_arguments(project, one_worker):
    text = """
        from gc_warm import self_contained, warm
        @warm(maxsize=2)
        def model(name):
            return [name]
        @self_contained
        def work(name):
            return NUMBER, model(name), model.info()[:2], model.info().handed_over
    """
    one, two = (text.replace("NUMBER", each) for each in "12")
    work = project({"by_arguments.py": one}).work
    assert [["a"], ["b"]] == [one_worker.submit(work, name).result()[1] for name in "ab"]
    work = project({"by_arguments.py": two}).work
    counts = [one_worker.submit(work, name).result()[2:] for name in "abc"]
    assert [((1, 0), 1), ((2, 0), 2), ((2, 1), 2)] == counts


@pytest.mark.parametrize("options", ["(maxsize=2)", '(group="gpu")', "(idle_timeout=60)"])
def test_other_options_are_no_other_initialiser(project, one_worker, options):
    text = """
        from gc_warm import self_contained, warm
        @warmOPTIONS
        def model(name):
            return [name]
        @self_contained
        def work():
            model("a")
            return NUMBER, model.info().misses, model.info().handed_over
    """
    for number, count in enumerate([BUILT, HANDED_OVER]):
        edited = text.replace("OPTIONS", options).replace("NUMBER", str(number))
        work = project({"with_options.py": edited}).work
        assert (number, *count) == one_worker.submit(work).result()


def test_a_class_that_is_kept_warm_is_built_anew(project, one_worker):
    text = """
        from gc_warm import self_contained, warm
        @warm
        class Connection:
            def close(self):
                pass
        @self_contained
        def work():
            Connection()
            return NUMBER, Connection.info().misses, Connection.info().handed_over
    """
    for number in range(2):
        work = project({"connecting.py": text.replace("NUMBER", str(number))}).work
        assert (number, *BUILT) == one_worker.submit(work).result()


NESTED = """
from gc_warm import self_contained, warm

@warm
def vocabulary():
    return {{"words": {words}}}

@warm
def model(name):
    return [name, vocabulary()]

@self_contained
def work():
    state = model("a")
    return {task}, state[1]["words"], *(f.info()[1] for f in (model, vocabulary))
"""


def test_a_state_that_uses_another_is_handed_over_unless_that_is_edited(project, one_worker):
    done = []
    for task, words in enumerate([1, 1, 1, 2, 2]):
        text = NESTED.format(task=task, words=words)
        done.append(one_worker.submit(project({"nested.py": text}).work).result())
    assert [(0, 1, 1, 1), (1, 1, 0, 0), (2, 1, 0, 0), (3, 2, 1, 1), (4, 2, 0, 0)] == done


FOLDER = """
from gc_warm import node_folder, self_contained, warm

@node_folder
def weights(name, folder):
    (folder / "weights").write_text(name * TIMES)

@warm
def model(name):
    return (weights(name) / "weights").read_text()

@self_contained
def work():
    return TASK, model("a"), model.info()[1], model.info().handed_over
"""


@pytest.mark.parametrize(
    ("option", "edits"),
    [
        ("", [(1, 1, BUILT), (2, 1, HANDED_OVER), (3, 2, BUILT), (4, 2, HANDED_OVER)]),
        ("(version='1', wait=9)", [(1, 1, BUILT), (2, 2, HANDED_OVER)]),
    ],
)
def test_a_state_that_uses_a_node_folder_is_handed_over_unless_that_is_edited(
    project, tmp_path, endpoint_python, option, edits
):
    there = {"GC_WARM_NODE_DIR": str(tmp_path / "node")}
    with LocalExecutor(workers=1, worker_python=endpoint_python, worker_env=there) as executor:
        for task, times, counts in edits:
            text = FOLDER.replace("TIMES", str(times)).replace("TASK", str(task))
            text = text.replace("@node_folder", f"@node_folder{option}")
            done = executor.submit(project({"with_folder.py": text}).work).result()
            assert (task, "a" * (1 if option else times), *counts) == done


def test_an_initialiser_of_another_module_is_looked_into(project, one_worker):
    words = "from gc_warm import warm\n@warm\ndef vocabulary(): return [SIZE]\nSIZE = {size}\n"
    text = """
        from gc_warm import self_contained, warm
        import words_of
        @warm
        def model():
            return words_of.vocabulary() * 2
        @self_contained
        def work():
            return NUMBER, model(), model.info().misses
    """
    done = []
    for number, size in enumerate([1, 1, 2, 2]):
        edited = text.replace("NUMBER", str(number))
        files = {"words_of.py": words.format(size=size), "looking.py": edited}
        done.append(one_worker.submit(project(files).work).result())
    assert [(0, [1, 1], 1), (1, [1, 1], 0), (2, [2, 2], 1), (3, [2, 2], 0)] == done


IMPORTS = [
    ("import reading.files", "reading.files.read"),
    ("import reading.files as files", "files.read"),
    ("from reading import files", "files.read"),
    ("from reading.files import read", "read"),
    ("import alone", "alone.read"),
    ("from alone import read", "read"),
]


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
@pytest.mark.parametrize(("line", "read"), IMPORTS)
def test_a_helper_in_another_module_is_looked_into(project, one_worker, line, read, inside):
    helper = "def read(name): return [name] * {size}\n"
    text = f"""
        from gc_warm import self_contained, warm
        {"" if inside else line}
        @warm
        def model():
            {line if inside else ""}
            return {read}("a")
        @self_contained
        def work():
            {line if inside else ""}
            return NUMBER, len({read}("a")), len(model())
    """
    done = []
    for number, size in enumerate([1, 1, 2, 2, 1]):
        files = {
            "reading/__init__.py": "",
            "reading/files.py": helper.format(size=size),
            "alone.py": helper.format(size=size),
            "asking_it.py": text.replace("NUMBER", str(number)),
        }
        done.append(one_worker.submit(project(files).work).result())
    assert [(0, 1, 1), (1, 1, 1), (2, 2, 2), (3, 2, 2), (4, 1, 1)] == done


def test_an_initialiser_that_uses_an_unchanged_module_is_handed_over(project, one_worker):
    text = """
        from gc_warm import self_contained, warm
        from reading import files
        @warm
        def model():
            return files.read("a")
        @self_contained
        def work():
            model()
            return NUMBER, model.info().misses, model.info().handed_over
    """
    helper = {"reading/__init__.py": "", "reading/files.py": "def read(name): return [name]\n"}
    for number, count in enumerate([BUILT, HANDED_OVER, HANDED_OVER]):
        files = {**helper, "asking_it.py": text.replace("NUMBER", str(number))}
        assert (number, *count) == one_worker.submit(project(files).work).result()


def test_an_instance_of_another_modules_class_is_kept_as_long_as_that_is(project, one_worker):
    kinds = "class Kind:\n    size = {size}\ndef make(): return [Kind()]\n"
    text = """
        from gc_warm import self_contained, warm
        import kinds_of
        @warm
        def model():
            return kinds_of.make()
        @self_contained
        def work():
            return NUMBER, isinstance(model()[0], kinds_of.Kind), model.info().misses
    """
    done = []
    for number, size in enumerate([1, 1, 2, 2]):
        files = {
            "kinds_of.py": kinds.format(size=size),
            "making.py": text.replace("NUMBER", str(number)),
        }
        done.append(one_worker.submit(project(files).work).result())
    assert [(0, True, 1), (1, True, 0), (2, True, 1), (3, True, 0)] == done


# Scripts and notebooks

SCRIPT = """
import json
from pathlib import Path
from gc_warm import self_contained, warm

FOLDER = Path("/data")

class Config:
    size = {size}

def unrelated(x):
    return x + {task}

def load(name):
    return [str(FOLDER / name)] * Config().size

@warm
def model(name):
    print("build {size}", flush=True)
    yield load(name)
    print("free {size}", flush=True)

@self_contained
def work():
    return {task}, len(model("a")), model.info()[1], model.info().handed_over

if __name__ == "__main__":
    from globus_compute_sdk.serialize import ComputeSerializer
    print(json.dumps(ComputeSerializer().serialize(work)))
"""
# Runs functions in the order given, as a worker does.
RUN = """
import json, sys
from globus_compute_sdk.serialize import ComputeSerializer

for code in json.load(sys.stdin):
    print(*ComputeSerializer().deserialize(code)(), flush=True)
"""
EDITS = [(0, 3), (1, 3), (2, 3), (3, 4), (4, 4)]
EXPECTED = [
    *("build 3", "0 3 1 0", "1 3 0 1", "2 3 0 1"),
    *("free 3", "build 4", "3 4 1 0", "4 4 0 1"),
]


@pytest.mark.slow("starts a script for each edit; those of a module are quick")
def test_an_edited_script_gets_the_state(run_script, endpoint_python, tmp_path):
    codes = [json.loads(run_script(SCRIPT.format(task=task, size=size))) for task, size in EDITS]
    ended = subprocess.run(
        [endpoint_python, "-c", RUN],
        input=json.dumps(codes),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert EXPECTED == ended.stdout.splitlines()


@pytest.mark.slow  # a kernel takes seconds
def test_an_edited_cell_gets_the_state(endpoint_python, tmp_path):
    start = "from gc_warm import LocalExecutor\n"
    start += f"executor = LocalExecutor(workers=1, worker_python={str(endpoint_python)!r})"
    text = SCRIPT.partition("if __name__")[0].replace("print(", "note(")
    first, rest = text.split("def unrelated")
    cells = [start]
    for task, size in EDITS:
        cells += [
            NOTE.format(log=str(tmp_path / "log")),
            *(text.format(task=task, size=size) for text in (first, f"def unrelated{rest}")),
            "note(*executor.submit(work).result())",
        ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in [*cells, "executor.shutdown()"]],
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )
    resources = {"metadata": {"path": tmp_path}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    assert [*EXPECTED, "free 4"] == (tmp_path / "log").read_text().splitlines()


NOTE = """
def note(*texts, flush=True):
    with open({log!r}, "a") as log:
        print(*texts, file=log)
"""
