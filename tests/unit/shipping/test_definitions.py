"""Definitions travel as source, data as values: what the fuzzer cannot express.

See `test_differential.py` for generated programs, and those that were found wrong once.
"""

from __future__ import annotations

import pickle
import sys

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm import self_contained
from gc_warm.errors import ShippingError

START = "LocalExecutor(workers=1, worker_python=WORKER)"
HEAD = """
    from gc_warm import LocalExecutor, self_contained, warm
"""


def test_no_statement_of_a_script_runs_on_a_worker(run_here, tmp_path):
    text = f"""{HEAD}
    with open({str(tmp_path / "ran")!r}, "a") as file:
        file.write("ran\\n")
    for i in range(3):
        print("line", i)

    with {START} as executor:
        triple = self_contained(lambda x: x * 3 + i)
        print(executor.submit(triple, 1).result())
    """
    assert "line 0\nline 1\nline 2\n5\n" == run_here(text)
    assert "ran\n" == (tmp_path / "ran").read_text()


def test_what_is_made_under_the_main_guard_travels(run_here):
    text = f"""{HEAD}
    from functools import partial

    def scale(x, by):
        return x * by

    if __name__ == "__main__":
        by = 7
        again = self_contained(partial(scale, by=by))
        with {START} as executor:
            print(executor.submit(again, 3).result())
            print(executor.submit(self_contained(lambda x: x + by), 3).result())
    """
    assert "21\n10\n" == run_here(text)


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "start",
    ["\ufeff", "# -*- coding: latin-1 -*-\nNAME = '\xe4'\n"],
    ids=["byte order mark", "coding cookie"],
)
def test_encodings_of_a_script(tmp_path, endpoint_python, run_script, start):
    text = f"""{start}
from gc_warm import LocalExecutor, self_contained
NAME = "\xe4"
def helper(x): return "\xe4" + x
f = self_contained(lambda x: helper(x) + NAME)
if __name__ == "__main__":
    with LocalExecutor(workers=1, worker_python={str(endpoint_python)!r}) as executor:
        print(ascii(executor.submit(f, "b").result()))
"""
    file = tmp_path / "encoded.py"
    file.write_bytes(text.encode("latin-1" if "latin" in start else "utf-8"))
    assert "'\\xe4b\\xe4'\n" == run_script("", arguments=[str(file)])


def test_a_file_that_is_edited_while_its_script_runs_is_noticed(run_here):
    text = f"""{HEAD}
    def f(x):
        return x + 1

    text = open(__file__).read()
    open(__file__, "w").write(text.replace("x + 1", "x + 2"))
    try:
        print(self_contained(f).source())
    except ValueError as error:
        print(error)
    """
    assert "'f' (line 4 of" in (output := run_here(text))
    assert "Run the file or the cell again" in output


@pytest.mark.slow("starts a script three times")
def test_one_function_that_cannot_be_made_spoils_no_other(run_script):
    text = f"""{HEAD}
    import sys, types
    sys.modules["only_here"] = types.ModuleType("only_here")
    sys.modules["only_here"].__spec__ = sys.__spec__
    import statistics

    class Odd:
        def __reduce__(self):
            return int, ("no number",)

    odd = Odd()

    def fails(x):
        return odd

    def works(x):
        return statistics.mean([x, 3])

    with {START} as executor:
        for f in (fails, works, fails, works):
            try:
                print(executor.submit(self_contained(f), 1).result())
            except Exception as error:
                print(type(error).__name__, "no number" in str(error))
    """
    failed = "TaskExecutionFailed True\n"
    assert f"{failed}2\n{failed}2\n" == run_script(text)


def test_a_large_value_is_refused_with_advice(run_here):
    text = f"""{HEAD}
    table = list(range(300_000))

    def f(x):
        return table[x]

    try:
        self_contained(f).source()
    except ValueError as error:
        print(error)
    """
    output = run_here(text)
    assert "'table', which 'f' uses, cannot be sent: it is larger than 1 MB" in output
    assert "Put it under @warm, pass it as an argument, or move it to a module." in output


@pytest.mark.slow("starts a script six times")
def test_an_unchanged_script_that_is_started_again_finds_its_state(run_script, tmp_path):
    text = f"""{HEAD}
    import sys

    built = []

    @warm
    def model():
        built.append(1)
        return len(built)

    @self_contained
    def f():
        return model(), len(built)

    if __name__ == "__main__":
        import pickle
        sys.stdout.write(pickle.dumps(f).hex())
    """
    payloads = [run_script(text) for _ in range(2)]
    payloads.append(run_script(text.replace("import pickle", "import time, pickle")))
    payloads.append(run_script("\n\n" + text))
    payloads.append(run_script(text, name="other.py"))
    program = f"""
    import pickle
    for text in {payloads!r}:
        function = pickle.loads(bytes.fromhex(text))
        print(len(function.function.__globals__["built"]), function())
    """
    output = run_script(program, name="load.py").splitlines()
    assert ["0 (1, 1)", *["1 (1, 1)"] * 3, "0 (1, 1)"] == output


def test_an_argument_that_brings_modules_of_the_same_name(project, one_worker):
    first = project({"utils.py": "who = 1\n", "lab.py": UTILS})
    argument = Sent(pickle.dumps(first.g))
    second = project({"utils.py": "who = 2\n", "lab.py": UTILS})
    assert (2, 1, 2) == one_worker.submit(second.f, argument).result()


UTILS = """
    from gc_warm import self_contained

    @self_contained
    def f(other):
        import utils
        before = utils.who
        inner = other()
        import utils
        return before, inner, utils.who

    @self_contained
    def g():
        import utils
        return utils.who
"""


class Sent:
    """Is another function where it arrives."""

    def __init__(self, pickled):
        self._pickled = pickled

    def __reduce__(self):
        return pickle.loads, (self._pickled,)


def test_a_method_travels_with_its_instance(project, one_worker):
    lab = project(
        {
            "lab.py": """
            from dataclasses import dataclass
            from gc_warm import self_contained

            @dataclass
            class Model:
                size: int

                @self_contained
                def predict(self, x):
                    return self.size * x

                @staticmethod
                @self_contained
                def double(x):
                    return 2 * x
            """
        }
    )
    model = lab.Model(10)
    assert 30 == model.predict(3)
    assert 30 == one_worker.submit(model.predict, 3).result()
    assert 6 == one_worker.submit(lab.Model.double, 3).result()


def test_recursive_nested_functions_and_nonlocal(project, one_worker):
    lab = project(
        {
            "lab.py": """
            def make(start):
                total = start

                def add(n):
                    nonlocal total
                    total += n
                    return total if n == 0 else add(n - 1)

                return add
            """
        }
    )
    add = self_contained(lab.make(1))
    assert [7, 13] == [one_worker.submit(add, 3).result() for _ in range(2)]


def test_nested_functions_may_name_themselves_and_each_other(project, one_worker):
    lab = project(
        {
            "lab.py": """
            from gc_warm import self_contained, warm

            def make():
                @self_contained
                def factorial(n):
                    return 1 if n < 2 else n * factorial(n - 1)

                @warm(maxsize=None)
                def even(n):
                    return n == 0 or odd(n - 1)

                @self_contained
                def odd(n):
                    return n != 0 and even(n - 1)

                return factorial, odd

            def circle():
                values = []
                pair = (lambda: pair, iter(values))
                values.append(pair)
                return pair[0]
            """
        }
    )
    factorial, odd = lab.make()
    assert (24, True) == (factorial(4), odd(5))
    assert [24, 120] == [one_worker.submit(factorial, n).result() for n in (4, 5)]
    assert [True, False] == [one_worker.submit(odd, n).result() for n in (5, 6)]
    with pytest.raises(ShippingError, match="a tuple holds itself"):
        self_contained(lab.circle()).payload_size()


def test_files_beside_a_module_are_not_there_offline_either(project, one_worker):
    lab = project(
        {
            "table.csv": "1\n",
            "lab.py": """
            from pathlib import Path
            from gc_warm import self_contained

            @self_contained
            def read():
                return (Path(__file__).parent / "table.csv").read_text()
            """,
        }
    )
    assert "1\n" == lab.read()
    with pytest.raises(TaskExecutionFailed, match=r"FileNotFoundError.*/carried-by-gc-warm/"):
        one_worker.submit(lab.read).result()


def test_a_worker_never_unpickles_what_a_source_strategy_brought(project, run_script):
    text = f"""{HEAD}
    from decimal import Decimal
    from pathlib import PurePosixPath

    rate, place = Decimal("1.5"), PurePosixPath("/a")

    def f(x):
        return str(rate * x), str(place)

    print(self_contained(f).source())
    """
    source = run_script(text)
    names = {}
    unpickled = []

    class Refuses:
        def __init__(self, *_):
            unpickled.append(1)

    original = pickle.loads, pickle.Unpickler
    try:
        pickle.loads = pickle.Unpickler = Refuses
        exec(source, names)
        assert ("3.0", "/a") == names["f"](2)
    finally:
        pickle.loads, pickle.Unpickler = original
    assert [] == unpickled
    for name in [name for name, module in sys.modules.items() if _is_carried(module)]:
        del sys.modules[name]


def _is_carried(module):
    return type(getattr(module, "__loader__", None)).__name__ == "CarriedLoader"


def test_a_generated_class_is_refused_with_the_reason(run_here):
    text = f"""{HEAD}
    from pydantic import BaseModel

    class Point(BaseModel):
        x: int

    def f(x):
        return Point(x=x).x

    try:
        self_contained(f).source()
    except ValueError as error:
        print(error)
    """
    output = run_here(text)
    assert "'Point', which 'f' uses, cannot be sent" in output
    assert "move it to a module" in output


def test_what_a_string_annotation_names_is_carried(run_here):
    text = f"""
    from __future__ import annotations
    {HEAD.strip()}

    class Point:
        def __init__(self, x):
            self.x = x

    @self_contained
    def f(point: Point) -> int:
        return type(point).__module__, point.x

    with {START} as executor:
        print(executor.submit(f, Point(3)).result())
    """
    assert "('analysis__main__', 3)\n" == run_here(text)


def test_a_refusal_names_the_function(project):
    lab = project({"lab.py": "def make(x):\n    def f():\n        return x\n    return f\n"})
    with pytest.raises(ShippingError, match=r"lab:make.<locals>.f cannot be .* a generator cannot"):
        self_contained(lab.make(x for x in "ab")).source()
