"""What commands are given: functions by name, and values."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gc_warm.commands.shared.arguments import find_callable, parse_value, require_names
from gc_warm.errors import UsageError
from gc_warm.units import MAX_SUBMISSION_BYTES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
PYTHON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers(), inner),
    max_leaves=10,
)


@given(JSON)
def test_json_is_what_it_says(value):
    assert value == parse_value("--args", json.dumps(value))


@given(PYTHON)
def test_a_python_literal_is_what_it_says(value):
    """Negative complex numbers, whose repr is a sum, included."""
    assert [value] == parse_value("--args", repr([value]), list)


def test_a_tuple_is_a_list_of_arguments():
    assert [1, b"x", {2}] == parse_value("--args", "(1, b'x', {2})", list)


@pytest.mark.parametrize(
    ("option", "text", "kind", "message"),
    [
        ("--args", "{", list, r"--args is neither JSON \(.*\) nor a Python literal: {"),
        ("--args", "open('x')", list, "neither JSON"),
        ("--args", "[" * 100_000, list, r"neither JSON .*\.\.\."),
        ("--args", "9" * 100_000, list, "--args"),
        ("--args", "{}", list, "--args must be a list, not dict: {}"),
        ("--kwargs", "[]", dict, r"--kwargs must be an object \(a dict\), not list"),
        ("--args", "@no/such/file", list, "--args cannot be read from no/such/file"),
        ("--args", "@/tmp", list, "cannot be read from /tmp"),
        ("--args", "@" + "x" * 5000, list, "cannot be read"),
        ("--args", "@\0", list, "cannot be read"),
        ("--args", "@/dev/zero", list, f"larger than {MAX_SUBMISSION_BYTES:,} bytes"),
        ("--args", "@/bin/sh", list, "--args"),
    ],
)
def test_what_is_no_value_is_refused(option, text, kind, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse_value(option, text, kind)
    assert len(str(caught.value)) < 6000


def test_names_of_arguments_are_text():
    with pytest.raises(UsageError, match="--kwargs must have names as text, not 1"):
        require_names({1: 2})


@pytest.mark.parametrize("name", ["self", "fn"])
def test_names_that_executors_take_are_refused(name):
    with pytest.raises(UsageError, match=f"--kwargs cannot have '{name}': give it with --args"):
        require_names({name: 1})


@pytest.mark.parametrize("text", ['[1, "é"]', "(1, 'é')", ' [1,\n "é"]\n'])
def test_a_file_holds_the_same(tmp_path, text):
    (tmp_path / "args").write_text(text, encoding="utf-8")
    assert [1, "é"] == parse_value("--args", f"@{tmp_path / 'args'}", list)


def test_standard_input_may_be_the_file(gc_warm_process, lab):
    lab("from gc_warm import self_contained\n@self_contained\ndef same(x):\n    return x\n")
    done = gc_warm_process("run", "lab:same", "--args", "@-", "--json", stdin='["é"]')
    assert ["é"] == [each["result"] for each in json.loads(done.out)]


def test_a_pipe_may_be_the_file(tmp_path):
    read, write = os.pipe()
    os.write(write, b"[1]")
    os.close(write)
    assert [1] == parse_value("--args", f"@/dev/fd/{read}", list)
    os.close(read)


# Functions by name


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    return write


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("broken_name", "import os\n\nx = missing\n", r"NameError: .*broken_name\.py, line 3\)"),
        ("broken_syntax", "x = 1\ndef f(:\n", r"SyntaxError: .*broken_syntax\.py, line 2\)"),
        ("broken_attribute", "import os\nos.nothing\n", r"AttributeError: .*, line 2\)"),
        ("broken_exit", "import sys\nsys.exit(0)\n", r"SystemExit: 0 .*broken_exit\.py, line 2\)"),
        ("broken_import", "import no_such_thing\n", r"No module named 'no_such_thing' .*line 1\)"),
        ("broken_deep", "import json\njson.loads('{')\n", r"JSONDecodeError: .*, line 2\)"),
    ],
)
def test_a_failing_import_says_in_which_file_and_line(module, name, text, message):
    module(name, text)
    with pytest.raises(UsageError, match=rf"Cannot import '{name}': .*{message}"):
        find_callable(f"{name}:f")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "'' is not MODULE:FUNCTION"),
        ("nothing", "is not MODULE:FUNCTION"),
        (":f", "is not MODULE:FUNCTION"),
        ("json:", "is not MODULE:FUNCTION"),
        ("json:nothing", "Cannot find 'nothing': module 'json' has no attribute 'nothing'"),
        ("json:__name__", "is not a function, but 'json'"),
        ("no.such:f", "Cannot import 'no.such': ModuleNotFoundError: No module named 'no'"),
        ("..json:f", "Cannot import"),
        ("\0:f", "Cannot import"),
        ("x" * 5000 + ":f", "Cannot import"),
    ],
)
def test_what_names_no_function_is_refused(target, message):
    with pytest.raises(UsageError, match=message):
        find_callable(target)
