"""Programs whose answers once were others on a worker, each under the name of what was wrong.

The table of issue 11 comes first, then what the generators found.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from .programs import Program


class Case(NamedTuple):
    """One or two programs.

    Attributes:
        programs: What is run.
        turns: Which of two goes on for a statement or a cell, time and again.
        may_be_refused: Whether refusing to send is as good as the right answer.
    """

    programs: tuple[Program, ...]
    turns: tuple[int, ...] = ()
    may_be_refused: bool = False


def script(*texts: str, as_main: bool = False, encoding: str = "utf-8") -> Program:
    """Return a script; a second text is what is in the same file the next time that it is run."""
    return Program(tuple(map(_text, texts)), as_main=as_main, encoding=encoding)


def notebook(*cells: str, as_main: bool = False) -> Program:
    """Return a notebook, by its cells in the order in which they are run."""
    return Program(tuple(map(_text, cells)), notebook=True, as_main=as_main)


def _text(text: str) -> str:
    return textwrap.dedent(text).removeprefix("\n")


CASES: dict[str, Case] = {}


def _case(
    name: str, *programs: Program, turns: tuple[int, ...] = (), may_be_refused: bool = False
) -> None:
    assert name not in CASES
    CASES[name] = Case(programs, turns, may_be_refused)


# Two programs in one worker share nothing

_case(
    "a builtin that another script hides",
    script("def sum(x): return 'mine', x\ndef f(x): return sum(x)\n__submit__(f, [1])\n" * 2),
    script("def f(x): return sum(x)\n__submit__(f, [1])\n__submit_again__(f, [1])\n" * 2),
    turns=(0, 1) * 8,
)
_case(
    "a builtin that another notebook hides",
    notebook("max = 5\ndef f(x): return x + max", "__submit__(f, 1)", "__submit__(f, 1)"),
    notebook("def f(x): return max(x, 2)", "__submit__(f, 1)", "__submit__(f, 1)"),
    turns=(0, 1) * 4,
)
_case(
    "a list of the same name in another notebook",
    *[
        notebook(
            "seen = []\ndef look(x): return seen, x",
            f"seen.append({number})",
            "__submit__(look, 1)",
            "__submit__(look, 1)",
        )
        for number in (1, 2)
    ],
    turns=(0, 1) * 4,
)
_case(
    "a list of the same name and value, which one script's function changes",
    script("seen = []\ndef note_U(x): seen.append(x); return seen\n__submit_once__(note_U, 1)"),
    script("seen = []\ndef look(x): return seen\n__submit__(look, 1)"),
)
_case(
    "a function that is unpickled before another of the same names, and called after it",
    *[
        notebook(
            f"def helper(x): return {number}, x\ndef f(x): return helper(x)",
            "__submit_later__(f, 1)",
            "__submit__(f, 1)",
        )
        for number in (1, 2)
    ],
    turns=(0, 1) * 3,
)

# Values are what they are when the function is sent

_case(
    "a number that was computed of a list before it grew",
    script("""
        names = ["a"]
        n = len(names)
        names.append("b")
        def f(x): return names, x
        def g(x): return n, x
        __submit__(f, 1)
        __submit__(g, 1)
        __submit__(f, 1)
    """),
)
_RESET = 'names = ["a"]'
_case(
    "a cell that is run again to reset a list",
    notebook(
        _RESET,
        "def f(x): return names, x",
        "__submit__(f, 1)",
        'names.append("b")',
        "__submit__(f, 1)",
        _RESET,
        "__submit__(f, 1)",
        "__submit_again__(f, 1)",
    ),
)
for _name, _before, _after in (
    ("a helper", "def scale(x): return x * 2", "def scale(x): return x * 3"),
    ("a constant", "scale = lambda x: x * FACTOR\nFACTOR = 2", "FACTOR = 3"),
    (
        "a warm state",
        "from gc_warm import warm\n@warm\ndef scale(x): return [x, 'old']",
        "@warm\ndef scale(x): return [x, 'new']",
    ),
    (
        "a class",
        "class Scale:\n    by = 2\ndef scale(x): return x * Scale.by",
        "class Scale:\n    by = 3",
    ),
):
    _case(
        f"{_name} that is defined anew, while the function's own cell is not run again",
        notebook(
            _before,
            "from gc_warm import self_contained\n@self_contained\ndef f(x): return scale(x)",
            "__submit__(f, 1)",
            _after,
            "__submit__(f, 1)",
            _before,
            "__submit__(f, 1)",
        ),
    )
_case(
    "a random number, and the time",
    script("""
        import random, time
        rnd = random.random()
        t = time.time()
        def f(x): return rnd, t, x
        __submit__(f, 1)
        __submit__(f, 1)
    """),
)
_case(
    "a value of a file that is no more",
    notebook(
        """
        import os, tempfile
        handle, path = tempfile.mkstemp()
        os.write(handle, b"text")
        os.close(handle)
        text = open(path).read() if os.path.exists(path) else None
        with open(path) as stream:
            lines = stream.readlines()
        os.remove(path)
        """,
        "def f(x): return text, lines, x\ndef g(x): return x",
        "__submit__(f, 1)\n__submit__(g, 1)",
    ),
)
_case(
    "a function of a notebook in which another needs what cannot be made again",
    notebook(
        "def missing():\n    return open('/no/such/file').read()\ndef g(x): return x",
        "try:\n    text = missing()\nexcept OSError:\n    text = 'none'\ndef f(x): return text, x",
        "__submit__(f, 1)\n__submit__(g, 1)",
    ),
)
_case(
    "one list by two names, which changes through one of them",
    script("""
        values = [1]
        items = values
        def f(x): return items is values, items, values
        __submit__(f, 1)
        values.append(2)
        __submit__(f, 1)
        def g(x): return items, x
        __submit__(g, 1)
        items = []
        __submit__(f, 1)
    """),
)
_case(
    "one list in a dictionary, a default, a closure and a class",
    script("""
        values = [1]
        table = {"a": values, "b": [values]}
        def make(v):
            def inner(x): return v is values, v
            return inner
        inner = make(values)
        class Box:
            held = values
        def f(x, k=values):
            return k is values, table["a"] is values, table["b"][0] is k, Box.held is k, inner(x)
        values.append(2)
        __submit__(f, 1)
    """),
)
for _name, _text_ in (
    ("a function that sets a global", "def bump():\n    global c\n    c += 100\nbump()"),
    (
        "a property that sets a global",
        "class Setter:\n    go = property(lambda self: globals().update(c=7))\nSetter().go",
    ),
    ("a loop", "for c in range(3):\n    pass"),
    ("an assertion", "assert (c := 5)"),
    (
        "a decorator",
        "def deco(function):\n    global c\n    c += 9\n    return function\n@deco\ndef g(): ...",
    ),
    ("a comprehension", "_ = [(c := i) for i in range(4)]"),
    ("a with statement", "import io\nwith io.StringIO('text') as stream:\n    c = stream.read()"),
    (
        "an exception that is caught",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    c = repr(e)",
    ),
    ("a match statement", "match [1, 2]:\n    case [_, c]:\n        pass"),
    ("a nested assignment", "cfg = {}\ncfg.setdefault('x', {})['k'] = 1\nc = cfg"),
):
    _case(
        f"a global as it is after {_name}",
        script(f"c = 1\ndef f(x): return c, x\n__submit__(f, 1)\n{_text_}\n__submit__(f, 1)\n"),
    )
_case(
    "a name that is deleted, and bound again",
    notebook(
        "n = 1\nm = 2\ndef f(x): return n, m, x",
        "__submit__(f, 1)",
        "del n",
        "n = 3",
        "__submit__(f, 1)",
        "del m\nm = n\ndel n\nn = [m]",
        "__submit__(f, 1)",
    ),
)
_case(
    "a builtin's name that is bound and deleted",
    notebook(
        "def f(x): return max(x, 2)",
        "__submit__(f, 1)",
        "max = min",
        "__submit__(f, 1)",
        "del max",
        "__submit__(f, 1)",
    ),
)
_case(
    "a cell that failed half-way",
    notebook(
        "def f(x): return n, helper(x)",
        "n = 1\ndef helper(x): return 'old', x\n1 / 0\nn = 2",
        "__submit__(f, 1)",
        "def helper(x): return 'new', x\nno_such_name\ndef helper(x): return 'never', x",
        "__submit__(f, 1)",
    ),
)

# Functions that are made by functions

_case(
    "defaults of a nested function",
    script("""
        n = 1
        def make():
            def f(x, k=n, *, j=[n]): return x, k, j
            return f
        f = make()
        n = 2
        __submit__(f, 1)
    """),
)
_case(
    "a default that is a local variable",
    script("""
        def make(n):
            def f(x, k=n): return x, k
            return f
        f = make(1)
        n = 2
        __submit__(f, 1)
    """),
)
_case(
    "defaults of lambdas in a loop",
    script("""
        made = []
        for i in range(3):
            made.append(lambda x, i=i: (x, i))
        first, second, third = made
        __submit__(first, 1)
        __submit__(second, 1)
        __submit__(third, 1)
        other = [lambda x, i=i: x * i for i in range(3)]
        __submit__(other[0], 5)
        __submit__(other[2], 5)
    """),
)
_case(
    "two lambdas on a line",
    script("f, g = lambda x: x + 1, lambda x: x + 2\n__submit__(f, 1)\n__submit__(g, 1)\n"),
)
_case(
    "a nested function with a text of several lines, an f-string and a continuation",
    notebook(
        """
        def make(k):
            def inner(x):
                text = '''one
          two
        three'''
                return text + f'''{x}
            {k}''' + \\
        'tail'
            return inner
        f = make("k")
        """,
        "__submit__(f, 1)",
    ),
)
_case(
    "closures that share a variable",
    script("""
        def make(n):
            def up():
                nonlocal n
                n += 1
            def read(x): return n, x
            return up, read
        up, read = make(1)
        __submit__(read, 1)
        up()
        __submit__(read, 1)
    """),
)
_case(
    "a nested function that calls itself",
    script("""
        def make():
            def factorial(x): return 1 if x < 2 else x * factorial(x - 1)
            return factorial
        f = make()
        __submit__(f, 5)
    """),
)
_case(
    "a self-contained partial that is bound again by a function",
    script("""
        from functools import partial
        from gc_warm import self_contained
        def scale(x, by): return x * by
        current = self_contained(partial(scale, by=1))
        def configure(by):
            global current
            current = self_contained(partial(scale, by=by))
        configure(5)
        __submit__(current, 10)
        def f(x): return current(x)
        __submit__(f, 10)
    """),
)

# Definitions that change when or after they are made

_case(
    "registrations of a singledispatch function",
    notebook(
        """
        from functools import singledispatch
        @singledispatch
        def show(x): return "any"
        @show.register
        def _(x: int): return "int", x
        """,
        "def f(x): return show(x), show('a'), show([])",
        "__submit__(f, 1)",
        "@show.register(str)\ndef _(x): return 'text'\nshow.register(list, lambda x: 'list')",
        "__submit__(f, 1)\n__submit__(show, 'a')",
    ),
)
_case(
    "a table that a decorator fills",
    notebook(
        """
        table = {}
        def register(function):
            table[function.__name__] = function
            return function
        @register
        def one(x): return 1, x
        """,
        "def f(x): return {name: each(x) for name, each in table.items()}",
        "__submit__(f, 1)",
        "@register\ndef two(x): return 2, x",
        "__submit__(f, 1)\n__submit__(two, 1)",
    ),
)
_case(
    "a table that __init_subclass__ fills",
    script("""
        class Base:
            kinds = {}
            def __init_subclass__(cls, **options):
                super().__init_subclass__(**options)
                Base.kinds[cls.__name__] = cls
        class One(Base):
            size = 1
        class Two(Base):
            size = 2
        def f(x): return {name: each.size for name, each in Base.kinds.items()}
        __submit__(f, 1)
    """),
)
_case(
    "a dictionary that is filled by setdefault",
    script("""
        cfg = {}
        cfg.setdefault("x", {})["k"] = 1
        def f(x): return cfg
        __submit__(f, 1)
    """),
)
_case(
    "a class whose attributes are changed",
    notebook(
        "class Point:\n    scale = 1\n    def get(self): return self.scale",
        "def f(x): return Point().get()",
        "__submit__(f, 1)",
        "Point.scale = 2",
        "__submit__(f, 1)",
        "Point.get = lambda self: 'patched'",
        "__submit__(f, 1)",
    ),
    may_be_refused=True,
)
_case(
    "a function that is given attributes and defaults",
    notebook(
        "def helper(x, k=1): return x, k\nhelper.tag = 1\ndef f(x): return helper(x), helper.tag",
        "__submit__(f, 1)",
        "helper.tag = 2\nhelper.__defaults__ = (3,)",
        "__submit__(f, 1)",
    ),
    may_be_refused=True,
)
_case(
    "a function that is wrapped afterwards",
    notebook(
        "def helper(x): return x\ndef f(x): return helper(x)",
        "__submit__(f, 1)",
        "def wrapper(x, inner=helper): return 'wrapped', inner(x)\nhelper = wrapper",
        "__submit__(f, 1)",
    ),
)
_case(
    "an instance of a class that was defined anew since",
    notebook(
        "class Point:\n    def get(self): return 'old'\np = Point()",
        "def f(x): return p.get(), isinstance(p, Point), Point().get()",
        "__submit__(f, 1)",
        "class Point:\n    def get(self): return 'new'",
        "__submit__(f, 1)",
        "p = Point()",
        "__submit__(f, 1)",
    ),
    may_be_refused=True,
)
_case(
    "a frozen dataclass as the key of a cache, where the function does not name it",
    script(
        """
        import functools, sys
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class Key:
            name: str
        @functools.lru_cache(maxsize=None)
        def build(key):
            sys.built_U = getattr(sys, "built_U", 0) + 1
            return sys.built_U
        def f(key): return build(key), isinstance(key, int)
        __submit__(f, Key("a"))
        __submit__(f, Key("a"))
        __submit_again__(f, Key("b"))
        __submit_again__(f, Key("a"))
        """,
        as_main=True,
    ),
)
_case(
    "attributes of a class that were computed when it was defined",
    script("""
        n = 1
        class Point:
            size = n
            def get(self, k=n): return self.size, k, n
        n = 2
        def f(x): return Point().get(), Point.size
        __submit__(f, 1)
    """),
)
_case(
    "a base class that was defined anew since",
    notebook(
        "class Base:\n    def get(self): return 'old'\nclass Child(Base): pass",
        "class Base:\n    def get(self): return 'new'",
        "def f(x): return Child().get(), Base().get(), issubclass(Child, Base)",
        "__submit__(f, 1)",
    ),
    may_be_refused=True,
)

# How a file is written

for _name, _separator in (
    ("a form feed", "\x0c\n"),
    ("a \\x1c", "# \x1c\n"),
    ("a \\u2028", "# \u2028\n"),
):
    _case(
        f"{_name} between statements, and in a text",
        script(
            f"def first(): return 10\n{_separator}"
            f"def f(x):\n    return '{_separator[:-1]}', x * 2\n"
            f"{_separator}def last(): return 30\n__submit__(f, 1)\n__submit__(last)\n"
        ),
    )
    _case(
        f"{_name} between lambdas",
        script(
            f"'''{_separator}'''\nf = lambda x: (x, 10)\n{_separator}g = lambda x: (x, 20)\n"
            "__submit__(f, 1)\n__submit__(g, 1)\n"
        ),
    )
_ENCODED = "def f(x): return 'é', x\nn = 'ü'\ndef g(x): return f(x), n\n__submit__(g, 1)\n"
_case("a byte order mark", script(_ENCODED, encoding="utf-8-sig"))
_case("a coding cookie", script("# coding: latin-1\n" + _ENCODED, encoding="latin-1"))
_case(
    "a partial that is made under the guard",
    script("""
        from functools import partial
        def scale(x, by): return x * by
        if __name__ == "__main__":
            double = partial(scale, by=2)
            __submit__(double, 4)
            def inner(x): return double(x)
            __submit__(inner, 4)
    """),
)
_case(
    "a script that is edited, and run again",
    script(
        "n = 1\ndef helper(x): return n, x\ndef f(x): return helper(x)\n__submit__(f, 1)\n",
        "n = 1\ndef helper(x): return x, n\ndef f(x): return helper(x)\n__submit__(f, 1)\n",
    ),
)

# What the generators found

_case(
    "an object that is a default, too",
    script("MISSING = object()\ndef f(x=MISSING): return x is MISSING\n__submit__(f)\n"),
)
_case(
    "an instance that is a default, too",
    script("class P: pass\np = P()\ndef f(x, k=p): return k is p\n__submit__(f, 1)\n"),
)
_case(
    "a number of more than 64 bits",
    script("n = 10**20\ndef f(x, k=-(10**30)): return n, k, x\n__submit__(f, 1)\n"),
)
_case(
    "a deque that a closure has, too",
    script("""
        from collections import deque
        n = deque([1])
        def make(k): return lambda x: (k, n, k is n)
        f = make(n)
        __submit__(f, 1)
    """),
)
_case(
    "a counter that is an attribute of a class, too",
    script("""
        from collections import Counter
        n = Counter("aab")
        class Box:
            held = n
            def get(self): return self.held is n
        __submit__(Box().get)
    """),
)
_case(
    "an instance that the wrappers of two decorators share",
    script("""
        import functools
        class Point: pass
        def times(k, found=Point()):
            def decorate(function):
                @functools.wraps(function)
                def wrapper(x): return k, found, function(x)
                return wrapper
            return decorate
        @times(1)
        @times(2)
        def f(x): return x
        __submit__(f, 1)
    """),
)
_case(
    "a method whose function has another name",
    script("""
        def outside(self): return "outside"
        class Point:
            one = lambda self: "short"
            two = outside
        __submit__(Point().one)
        __submit__(Point().two)
    """),
)
_case(
    "a method of an enumeration made by a call",
    script("""
        import enum
        Color = enum.Enum("Color", "RED BLUE")
        Color.show = lambda self: self.name
        __submit__(Color.RED.show)
    """),
)
_case(
    "a dataclass with a field for __init__ only",
    script("""
        from dataclasses import KW_ONLY, InitVar, dataclass
        @dataclass(slots=True)
        class Point:
            value: int
            _: KW_ONLY
            scale: int = 1
            given: InitVar[int] = 3
            def __post_init__(self, given): self.scale += given
        def f(x): return Point(x), Point(x, scale=2, given=1)
        __submit__(f, 1)
    """),
)
_case(
    "a table of subclasses in the class of a method's instance",
    script("""
        class Base:
            kinds = {}
            def __init_subclass__(cls):
                cls.kinds[cls.__name__] = cls
            def show(self): return sorted(self.kinds)
        class One(Base): pass
        __submit__(One().show)
        def f(x): return One().show(), x
        __submit__(f, 1)
    """),
)
_case(
    "a class in a class",
    script("""
        class Point:
            class Part:
                size = 1
            def show(self): return self.Part, self.Part.__qualname__, Point.Part.size
        __submit__(Point().show)
        __submit__(Point().show)
    """),
)
_case(
    "a class that is registered as a subclass",
    script("""
        from abc import ABC
        class Base(ABC): pass
        @Base.register
        class Point:
            def show(self): return isinstance(self, Base)
        __submit__(Point().show)
    """),
)
_case(
    "a protocol that can be checked",
    script("""
        from typing import Protocol, runtime_checkable
        @runtime_checkable
        class Total(Protocol):
            def total(self): ...
        class Point:
            def total(self): return 1
        def f(x): return isinstance(Point(), Total), isinstance(x, Total)
        __submit__(f, 1)
        __submit__(f, 1)
    """),
    may_be_refused=True,
)
_case(
    "a named tuple's class, with annotations that are texts",
    script("""
        from __future__ import annotations
        from typing import NamedTuple
        class Point(NamedTuple):
            value: int
            scale: int = 1
        def f(x): return Point(x), Point(x, 2).scale
        __submit__(f, 1)
    """),
)
_case(
    "a named tuple's class, one of whose fields is hidden",
    script("""
        from typing import NamedTuple
        class Point(NamedTuple):
            value: int
            scale: int = 1
        Point.scale = 2
        def f(x): return Point(x).scale
        __submit__(f, 1)
    """),
    may_be_refused=True,
)
_case(
    "an instance that cannot be made without arguments",
    script("""
        class Point:
            def __new__(cls, value): return super().__new__(cls)
            def __init__(self, value): self.value = value
        p = Point(1)
        def f(x): return p.value, x
        __submit__(f, 1)
    """),
    may_be_refused=True,
)
_case(
    "a warm state, after a function that has none",
    script("def f(x): return x\n__submit__(f, 1)\n"),
    script("""
        from gc_warm import warm
        @warm
        def model(k): return [k]
        def f(x): return model(x)
        __submit__(f, 1)
    """),
)
for _name, _first in (
    ("a form feed", "\x0c"),
    ("a \\x1c", "# \x1c\n"),
    ("a \\u2028", "# \u2028\n"),
):
    _case(
        f"{_name} right before a function, and in it",
        script(f"{_first}def f(x):\n    return '\x0c\x1c\u2028\x85', x\n__submit__(f, 1)\n"),
        may_be_refused=True,
    )
_case(
    "a method that looks at its class, where no name is bound to that",
    notebook(
        """
        class Box:
            def show(self): return __class__ is type(self), isinstance(self, __class__)
        class Child(Box):
            def show(self): return "child", super().show()
        p = Child()
        """,
        "class Box: pass\nclass Child: pass\ndef f(x): return p.show()",
        "__submit__(f, 1)",
        "__submit__(p.show)",
    ),
)
_case(
    "a class that is derived from the one that had its name",
    notebook(
        "class Box:\n    def show(self): return __class__, __class__.__subclasses__() == [Box]",
        "class Box(Box): pass",
        "__submit__(Box().show)",
        "def f(x): return Box().show()",
        "__submit__(f, 1)",
    ),
)
_case(
    "a script whose file is edited while it runs",
    script("""
        def f(x): return x, "as it was"
        text = open(__file__).read()
        with open(__file__, "w") as stream:
            length = stream.write("# new\\ndef g(x): return 'new'\\n" + text.replace("was", "is"))
        __submit__(f, 1)
    """),
    may_be_refused=True,
)
_case(
    "a slot of the class that had the name before",
    script("""
        class Point:
            __slots__ = ("scale",)
        class Point:
            scale = Point.scale
            def total(self): return self.scale
        __submit__(Point().total)
    """),
)
_case(
    "exceptions whose classes take other arguments than they pass on, and their causes",
    script("""
        class Coded(Exception):
            def __init__(self, code, *, hint=None):
                super().__init__(f"code {code}")
                self.code, self.hint = code, hint
        class Numbered(OSError):
            def __init__(self, number):
                super().__init__(number, f"text {number}")
        class Twice(StopIteration):
            def __init__(self, value): super().__init__(value * 2)
        class Silent(ValueError):
            def __init__(self): pass
        p, q, r, s = Coded(3, hint="h"), Numbered(5), Twice(4), Silent()
        try:
            raise p from q
        except Coded:
            pass
        def f(x):
            return repr(p), p.hint, repr(p.__cause__), q.errno, str(q), r.value, r.args, s.args
        __submit__(f, 1)
    """),
)
_case(
    "a context variable that was set",
    script("""
        import contextvars
        p = contextvars.ContextVar("p", default=3)
        def f(x): return p.get()
        __submit__(f, 1)
        token = p.set(9)
        __submit__(f, 1)
        p.reset(token)
        __submit__(f, 1)
    """),
    may_be_refused=True,
)
_case(
    "functions within a lambda that stands in a line",
    script("""
        def fix(g): return (lambda x: x(x))(lambda x: g(lambda *a: x(x)(*a)))
        p = fix(lambda again: lambda n: 1 if n < 2 else n * again(n - 1))
        q = [lambda xs: [x * 2 for x in xs], lambda xs: sum(x for x in xs)]
        def f(x): return p(5), [each([1, 2]) for each in q]
        __submit__(f, 1)
    """),
)
_case(
    "containers that change what is put into them",
    script("""
        class Numbers(list):
            def append(self, x): super().append(x * 10)
        class Table(dict):
            def __setitem__(self, name, x): super().__setitem__(name, (x,))
        p, q = Numbers([1]), Table(a=1)
        p.append(2)
        q["b"] = 2
        def f(x): return p, q
        __submit__(f, 1)
    """),
)
_case(
    "the order of what is in a class",
    script("""
        class Point:
            z = 1
            def total(self): return self.z
            a = 2
        def f(x): return [name for name in vars(Point) if name[0] != "_"]
        __submit__(f, 1)
    """),
)
_case(
    "a class that has lost what makes it no abstract one",
    script("""
        from abc import ABC, abstractmethod
        class Point(ABC):
            @abstractmethod
            def total(self): ...
        class Base(Point):
            def total(self): return 1
        del Base.total
        __submit__(Base().total)
    """),
)
_case(
    "a class that looks up the names that it binds, before and in case it does not",
    script("""
        p, q = [1], [2]
        def f(x):
            class Found:
                p = p
                if x:
                    q = x
                r = q
                s = r
            return Found.p, Found.q if x else q, Found.r, Found.s
        __submit__(f, 0)
        p.append(3)
        __submit__(f, 5)
    """),
)
