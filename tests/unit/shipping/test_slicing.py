"""Which statements of a script a function needs."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gc_warm.errors import ShippingError
from gc_warm.shipping.slicing import is_main_guard, needed, split


def slice_of(text, *names, modules=(), public=None):
    statements = split(textwrap.dedent(text), "script.py")
    indices = needed(
        statements,
        names,
        is_module=lambda name: name in modules,
        public_names=lambda module: (public or {}).get(module, set()),
    )
    return [statements[index].text.splitlines()[0].strip() for index in indices]


def test_only_what_is_needed_is_taken():
    script = """
        import json
        import sys
        LIMIT = 3
        OTHER = 4
        print("working")
        def helper(x): return x < LIMIT
        def unused(x): return OTHER
        def work(x): return json.dumps(helper(x))
        work(3)
    """
    assert slice_of(script, "work") == [
        "import json",
        "LIMIT = 3",
        "def helper(x): return x < LIMIT",
        "def work(x): return json.dumps(helper(x))",
    ]


def test_bases_decorators_defaults_and_annotations_are_followed():
    script = """
        import functools
        from dataclasses import dataclass
        SIZE = 3
        class Base: pass
        @dataclass
        class Point(Base):
            x: int = SIZE
        def decorate(f): return functools.wraps(f)(f)
        @decorate
        def work(p: Point) -> "Result": ...
        class Result: pass
    """
    assert slice_of(script, "work") == [
        "import functools",
        "from dataclasses import dataclass",
        "SIZE = 3",
        "class Base: pass",
        "@dataclass",
        "def decorate(f): return functools.wraps(f)(f)",
        "@decorate",
        "class Result: pass",
    ]


def test_a_name_is_taken_as_it_was_when_it_was_used():
    script = """
        x = 1
        y = x + 1
        x = 10
        def work(): return y
    """
    assert slice_of(script, "work") == ["x = 1", "y = x + 1", "def work(): return y"]


def test_a_function_called_at_the_top_brings_what_it_needed_then_and_needs_now():
    script = """
        k = 1
        def helper(): return k
        y = helper()
        k = 2
        def work(): return y
    """
    assert slice_of(script, "work") == [
        "k = 1",
        "def helper(): return k",
        "y = helper()",
        "k = 2",
        "def work(): return y",
    ]


def test_what_changes_a_value_is_taken_too():
    script = """
        table = {}
        table["a"] = 1
        table.update(b=2)
        other.append(table)
        for key in "cd":
            table[key] = 3
        total = len(table)
        def work(): return table
    """
    taken = slice_of(script, "work")
    assert ["table = {}", 'table["a"] = 1', "table.update(b=2)", 'for key in "cd":'] == taken[:4]
    assert "other.append(table)" not in taken
    assert "total = len(table)" not in taken


def test_what_is_done_to_modules_is_not_unless_assigned():
    script = """
        import sys, numpy
        sys.exit(3)
        sys.flag = 3
        def work(): return sys
    """
    assert slice_of(script, "work", modules={"sys"}) == [
        "import sys",
        "sys.flag = 3",
        "def work(): return sys",
    ]


def test_the_last_definition_counts():
    script = """
        def helper(): return 1
        def work(): return helper()
        def helper(): return 2
    """
    assert slice_of(script, "work") == ["def work(): return helper()", "def helper(): return 2"]


def test_imports_in_try_and_for_type_checkers():
    script = """
        from typing import TYPE_CHECKING
        try:
            import fast as impl
        except ImportError:
            impl = None
        if TYPE_CHECKING:
            from numpy import ndarray
        def work(x: "ndarray"): return impl
    """
    assert slice_of(script, "work") == [
        "from typing import TYPE_CHECKING",
        "try:",
        "if TYPE_CHECKING:",
        'def work(x: "ndarray"): return impl',
    ]


def test_globals_that_functions_write_need_no_statement():
    script = """
        def start():
            global engine
            engine = 1
        def work():
            start()
            return engine
    """
    assert slice_of(script, "work") == ["def start():", "def work():"]


def test_star_imports_bring_what_the_module_makes_public():
    script = """
        from math import *
        def work(x): return sqrt(x)
    """
    public = {"math": {"sqrt"}}
    assert slice_of(script, "work", public=public)[0] == "from math import *"


@pytest.mark.parametrize(
    "guard",
    ['if __name__ == "__main__":', "if '__main__' == __name__:", 'if (__name__=="__main__"):'],
)
def test_the_main_guard_never_travels(guard):
    script = f"limit = 1\n{guard}\n    limit = 2\ndef work(): return limit\n"
    assert slice_of(script, "work") == ["limit = 1", "def work(): return limit"]
    assert is_main_guard(split(f"{guard}\n    pass\n", "f")[0])


def test_a_name_that_nothing_binds_is_refused_with_its_place():
    with pytest.raises(ShippingError, match=r"'missing', used in line 2 of script.py"):
        slice_of("x = 1\ndef work(): return missing\n", "work")


def test_a_name_bound_in_the_main_guard_is_refused_with_the_reason():
    script = 'if __name__ == "__main__":\n    size = 1\ndef work(): return size\n'
    with pytest.raises(ShippingError, match="bound only under `if __name__"):
        slice_of(script, "work")


def test_features_of_the_future_hold_for_what_follows():
    statements = split("from __future__ import annotations\nx: Nothing = 1\n", "f.py")
    assert [("x: Nothing = 1\n", ("annotations",), 2)] == [
        (each.text, each.future, each.line) for each in statements
    ]


# The slice of a random program gives its names the values that the whole program gives them.

NAMES = st.sampled_from("abcdef")
VALUES = st.one_of(st.integers(0, 9).map(str), NAMES, st.tuples(NAMES, NAMES).map(" + ".join))


@st.composite
def programs(draw):
    lines = [f"{name} = {index}" for index, name in enumerate("abcdef")]
    lines += [f"def {name}{name}(): return 1" for name in "abc"]
    for _ in range(draw(st.integers(1, 12))):
        name, value = draw(NAMES), draw(VALUES)
        function = draw(st.sampled_from(["aa", "bb", "cc"]))
        lines.append(
            draw(
                st.sampled_from(
                    [
                        f"{name} = {value}",
                        f"{name} += {value}",
                        f"if {value}:\n    {name} = {draw(VALUES)}",
                        f"for _ in range(2):\n    {name} = {name} + {value}",
                        f"def {function}(): return {value}",
                        f"{name} = {function}()",
                        f"try:\n    {name} = {value}\nexcept Exception:\n    pass",
                        f"{name}, {draw(NAMES)} = {value}, 7",
                        f"with open('/dev/null') as _f:\n    {name} = {value}",
                    ]
                )
            )
        )
    return "\n".join(lines) + "\n"


@settings(max_examples=300, deadline=None)
@given(programs(), st.sampled_from([*"abcdef", "aa", "bb", "cc"]))
def test_a_slice_does_what_the_whole_program_does(program, name):
    statements = split(program, "program.py")
    whole, part = {}, {}
    exec(program, whole)
    for index in needed(statements, [name]):
        exec(statements[index].text, part)
    expected, actual = whole[name], part[name]
    if callable(expected):
        expected, actual = expected(), actual()
    assert expected == actual


def test_of_an_import_only_the_names_that_are_needed_travel():
    script = (
        "from os import (\n  path,\n  sep,\n)\nimport json, sys as s\ndef work(): return sep, s\n"
    )
    assert slice_of(script, "work") == [
        "from os import sep",
        "import sys as s",
        "def work(): return sep, s",
    ]


def test_statements_that_share_a_line_travel_together():
    script = "a = 1; b = [\n 2]; c = 3\ndef work(): return c\n"
    statements = split(script, "f.py")
    assert [("a = 1; b = [\n 2]; c = 3\n", 1), ("def work(): return c\n", 3)] == [
        (each.text, each.line) for each in statements
    ]
