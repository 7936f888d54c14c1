"""What a reviewer found by writing programs as scientists do: they ran differently, or not."""

from __future__ import annotations

import sys
import textwrap
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from gc_warm import LocalExecutor, self_contained
from gc_warm.errors import ShippingError
from gc_warm.shipping.definitions.script import is_in_script, space_of

START = "LocalExecutor(workers=1, worker_python=WORKER)"
PROGRAMS = {
    "abstract classes": (
        """
        import abc, inspect
        class Shape(abc.ABC):
            @abc.abstractmethod
            def area(self): ...
        def f(x):
            try:
                Shape()
            except TypeError:
                return inspect.isabstract(Shape), sorted(Shape.__abstractmethods__)
        """,
        "1",
    ),
    "what is made again keeps what made it": (
        """
        import contextvars, logging
        log = logging.getLogger("k2")
        var = contextvars.ContextVar("var", default=4)
        bare = contextvars.ContextVar("bare")
        def f(x): return var.get(), bare.get(None), log.name
        """,
        "1",
    ),
    "a number that counts itself up": (
        """
        class MyInt(int):
            def __new__(cls, v): return super().__new__(cls, v + 1)
        n = MyInt(4)
        def f(x): return int(n), type(n).__name__
        """,
        "1",
    ),
    "an instance whose class no name shows": (
        """
        import math
        from dataclasses import dataclass
        def sqr(x): return math.sqrt(x * x) * x
        class Q:
            def __init__(self, x): self.x = x
            def go(self): return sqr(self.x)
        @dataclass
        class R:
            x: int
            def go(self): return Q(self.x).go()
        def f(q): return q.go()
        """,
        "Q(3), R(4), Q(5)",
    ),
    "a constant of its own class": (
        """
        class Unit: pass
        Unit.M = Unit()
        M = Unit.M
        def f(x): return M is Unit.M, type(M) is Unit
        """,
        "1",
    ),
    "constants that a function does not use": (
        """
        import typing
        from dataclasses import dataclass
        @dataclass(frozen=True)
        class Fr:
            v: int
        Fr.ZERO = Fr(0)
        ZERO = Fr.ZERO
        class P(typing.NamedTuple):
            x: int
        P.ORIGIN = P(0)
        def f(x): return x
        """,
        "3, 3",
    ),
    "a class that cannot be made there, and is not used": (
        """
        import sys, types
        sys.modules["only_here"] = types.ModuleType("only_here")
        only_here = sys.modules["only_here"]
        only_here.__spec__ = types.SimpleNamespace(
            name="only_here", origin=types.__file__, loader=None, has_location=True,
            submodule_search_locations=None, parent="")
        only_here.Base = type("Base", (), {"__module__": "only_here", "__qualname__": "Base"})
        class Plot(only_here.Base):
            def show(self): return only_here.Base
        class Fine:
            def show(self): return "fine"
        def f(x): return x.show()
        """,
        "Fine()",
    ),
    "attributes of what is made again": (
        """
        import functools
        @functools.lru_cache
        def cached(x): return x
        cached.note = [1]
        @functools.singledispatch
        def show(x): return "any"
        @show.register
        def _(x: int): return "int"
        show.note = [2]
        def f(x): return cached.note, show.note, show(1), cached(2), cached.cache_info().hits
        """,
        "1",
    ),
    "an annotation that cannot be sent, beside shared lists": (
        """
        from typing import Annotated
        many = tuple((n, "x") for n in range(20))
        a = [[n] for n in range(20)]
        b = list(a)
        def f(x: Annotated[int, many, (n for n in ())]): return [c is d for c, d in zip(a, b)]
        """,
        "1",
    ),
    "a signature": (
        """
        import inspect
        def plain(a, b=2): return a
        sc = self_contained(plain)
        def f(x): return str(inspect.signature(sc)), sc(3), sc.__name__
        """,
        "1",
    ),
    "type hints that are texts": (
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from typing import ClassVar, get_type_hints
        @dataclass
        class P:
            k: ClassVar[int] = 3
            x: int = 1
        def f(x): return sorted(get_type_hints(P)), P().x
        """,
        "1",
    ),
    "a class in a function": (
        """
        from dataclasses import dataclass
        class Area:
            def area(self):
                class Inner:
                    x = 1
                    def both(self): return self.x, __class__.__name__
                return Inner().both()
        def f(x):
            class MyErr(Exception): pass
            class Child(MyErr):
                def __init__(self, text): super().__init__(text + "!")
            @dataclass
            class Local:
                x: int
            try:
                raise Child("a")
            except MyErr as e:
                return str(e), Local(1).x, Area().area(), MyErr.__module__
        """,
        "1",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_there_as_here(one_worker, tmp_path, monkeypatch, name):
    text, arguments = PROGRAMS[name]
    file = tmp_path / "analysis.py"
    file.write_text(textwrap.dedent(text))
    script = types.ModuleType("__main__")
    vars(script).update(__file__=str(file), self_contained=self_contained)
    monkeypatch.setitem(sys.modules, "__main__", script)
    exec(compile(file.read_text(), file, "exec", dont_inherit=True), vars(script))
    sent = self_contained(script.f)
    for argument in eval(f"({arguments},)", vars(script)):
        here, there = script.f(argument), one_worker.submit(sent, argument).result()
        assert (here, type(here)) == (there, type(there))


class Script:
    """The names of a script that has run."""

    def __init__(self, folder, text):
        file = folder / "script.py"
        file.write_text(text)
        self.names = {"__name__": "__main__", "__file__": str(file)}
        exec(compile(text, file, "exec"), self.names)


def test_many_threads_submit_while_a_value_changes(tmp_path, workers):
    script = Script(tmp_path, "N = 0\ndef num(): return N\n")
    num = self_contained(script.names["num"])
    errors = []
    with LocalExecutor(workers=workers) as executor:

        def sweep(start):
            for value in range(start, 120, 3):
                script.names["N"] = value
                try:
                    executor.submit(num).result(timeout=60)
                except Exception as error:
                    errors.append(error)

        threads = [threading.Thread(target=sweep, args=(start,)) for start in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [] == errors
        assert 119 == executor.submit(num).result() or script.names["N"] != 119


def test_scripts_become_known_while_a_thread_looks_through_those_that_are():
    known = threading.Event()

    def look():
        while not known.is_set():
            assert not is_in_script("of nobody")

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        for number in range(2000):
            space_of({"__name__": "__main__", "__file__": f"{number}.py"})
        known.set()
        looking.result()


def test_threads_that_ask_at_once_get_the_same_script():
    barrier = threading.Barrier(8)

    def ask(names):
        barrier.wait()
        return space_of(names)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            names = {"__name__": "__main__", "__file__": "shared.py"}
            assert 1 == len({*pool.map(ask, [names] * 8)})


def test_a_refusal_says_why_and_leaves_the_executor_alive(tmp_path, workers):
    script = Script(tmp_path, "g = (x for x in 'ab')\ndef bad(): return g\ndef good(): return 1\n")
    with LocalExecutor(workers=workers) as executor:
        assert 1 == executor.submit(self_contained(script.names["good"])).result()
        pids = executor.worker_pids
        with pytest.raises(ShippingError, match="'g', which 'bad' uses, cannot be sent: a gener"):
            executor.submit(self_contained(script.names["bad"]))
        assert 1 == executor.submit(self_contained(script.names["good"])).result()
        assert pids == executor.worker_pids


def test_an_edited_class_that_a_function_does_not_name_leaves_it_warm(run_here):
    text = f"""
    import linecache
    from gc_warm import LocalExecutor, self_contained

    count = 0

    def f(point):
        global count
        count += 1
        return point.show(), count

    sent = self_contained(f)
    CLASS = "class Point:\\n    def show(self): return NUMBER\\n"

    def define(number):
        file, text = f"<cell {{number}}>", CLASS.replace("NUMBER", str(number))
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec"), globals())

    if __name__ == "__main__":
        with {START} as executor:
            for number in range(3):
                define(number)
                print(executor.submit(sent, Point()).result(), end=" ")
    """
    assert "(0, 1) (1, 2) (2, 3) " == run_here(text)


def test_a_module_that_is_loaded_again_is_a_new_version(run_here):
    text = f"""
    import importlib, pathlib, sys
    sys.dont_write_bytecode = True
    from gc_warm import LocalExecutor, self_contained

    FILE = pathlib.Path(__file__).with_name("labx.py")
    FILE.write_text("K = 1\\ndef helper(): return K\\n")
    sys.path.insert(0, str(FILE.parent))
    import labx
    from labx import helper

    @self_contained
    def g():
        return labx.K, helper()

    if __name__ == "__main__":
        with {START} as executor:
            print(executor.submit(g).result() == g(), end=" ")
            FILE.write_text("K = 222\\ndef helper(): return K\\n")
            importlib.reload(labx)
            from labx import helper
            print(executor.submit(g).result() == g() == (222, 222))
    """
    assert "True True\n" == run_here(text)


def test_members_of_enumerations_do_not_split_the_state_of_a_script(run_here):
    text = f"""
    import enum, typing
    from gc_warm import LocalExecutor, self_contained, warm

    class Kind(enum.Enum):
        A = 1

    class Pair(typing.NamedTuple):
        kind: Kind = Kind.A

    class Config:
        def __init__(self, kind=Kind.A, pair=Pair()):
            self.kind, self.pair = kind, pair

    @warm
    def model():
        return object()

    @self_contained
    def use(config=Config()):
        model()
        return config.kind is Kind.A and config.pair == Pair(Kind.A)

    @self_contained
    def third():
        model()

    if __name__ == "__main__":
        with {START} as executor:
            print(executor.submit(use).result(), end=" ")
            print([executor.submit(f.receipted).result().receipt.cold_starts for f in (use, third)])
    """
    assert "True [0, 0]\n" == run_here(text)


def test_what_dataclasses_write_does_not_change_from_run_to_run(run_script):
    text = """
    import hashlib, pickle
    from dataclasses import dataclass
    from gc_warm import self_contained

    def helper(x): return x

    @dataclass
    class Config:
        key: object = helper
        names: frozenset = frozenset({"x", "y", "zz"})

    @self_contained
    def use(): return Config()

    if __name__ == "__main__":
        print(hashlib.md5(pickle.dumps(use)).hexdigest())
    """
    assert run_script(text) == run_script(text)


def test_files_beside_a_script_are_not_there_offline_either(run_here):
    text = f"""
    from pathlib import Path
    from gc_warm import LocalExecutor, self_contained

    @self_contained
    def table():
        return Path(__file__).read_text()

    if __name__ == "__main__":
        with {START} as executor:
            print(executor.submit(table).exception())
    """
    assert "FileNotFoundError" in (output := run_here(text))
    assert "/carried-by-gc-warm/" in output


def test_a_method_of_a_builtin_class(one_worker):
    assert "A" == one_worker.submit(self_contained(str.upper), "a").result()
