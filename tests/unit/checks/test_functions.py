"""What the checker says of functions, against what real workers do."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gc_warm import LocalExecutor
from gc_warm.checks.functions import STRATEGIES, check_function
from gc_warm.checks.measuring import observe
from gc_warm.cli import commands

FUNCTIONS = """
import functools
import json
from gc_warm import node_folder, self_contained, warm
import project_helper

calls = 0
cache = {}

def body_import(x=1):
    import json
    return json.dumps(x)

def stateless(x=1):
    return x + 1

def uses_global(x=1):
    return len(cache) + x

@functools.lru_cache
def helper(x):
    return x

def uses_helper(x=1):
    return helper(x)

@functools.lru_cache
def cached(x=1):
    return x

@warm
def state(x=1):
    return x

@node_folder
def place(folder):
    pass

def decorate(f):
    @functools.wraps(f)
    def wrapper(*args):
        return f(*args)
    return wrapper

@decorate
def decorated(x=1):
    return x

def mutable(x=[]):
    x.append(1)
    return len(x)

def make(n):
    def closure(x=1):
        return x + n
    return closure

def make_importing(n):
    def importing(x=1):
        import math
        return math.sqrt(x)
    return importing

closure = make(3)
nested = make_importing(3)
anonymous = lambda x=1: x

def writes_global(x=1):
    global written
    written = x
    return written

def counts(x=1):
    global calls
    calls += x
    return calls

def annotated(x: "int" = 1) -> json.JSONEncoder:
    import json
    return json.dumps(x)

async def coroutine(x=1):
    return x

def generator(x=1):
    yield x

class Model:
    def predict(self, x=1):
        return x

method = Model().predict
static = Model.predict
installed = importlib_thing = json.dumps

@self_contained
def ours(x=1):
    global calls
    calls += 1
    return project_helper.value + calls

@decorate
@self_contained
def ours_below(x=1):
    return x

@self_contained
@decorate
def ours_above(x=1):
    return x

ours_closure = self_contained(make(4))
ours_broken = [self_contained(make(x for x in "ab"))]  # not a name of the module
ours_lambda = self_contained(lambda x=1: x)
"""
NAMES = [
    *("body_import", "stateless", "uses_global", "uses_helper", "cached", "decorated", "mutable"),
    *("closure", "nested", "anonymous", "writes_global", "counts", "annotated", "installed"),
    *("coroutine", "generator"),
    *("method", "ours_below"),  # before ours, with which the module arrives
    *("ours", "ours_above", "ours_closure", "ours_broken", "ours_lambda"),
]
COMPARE = """

if __name__ == "__main__":
    import sys
    from gc_warm import LocalExecutor
    from gc_warm.checks.functions import check_function
    from gc_warm.checks.measuring import observe

    found = {}
    with LocalExecutor(workers=1, worker_python=WORKER) as executor:
        for name in json.loads(sys.argv[1]):
            function = globals()[name]
            function = function[0] if isinstance(function, list) else function
            args = ("x",) if name == "installed" else ()
            expected = {f.strategy: [f.verdict, f.reason] for f in check_function(function)}
            seen = observe(function, executor.submit, *args)
            found[name] = [[s, *expected[s], *seen[s]] for s in expected]
    print(json.dumps(found))
"""


def compare(found):
    return [
        f"{name} under {strategy}: predicted {verdict} ({reason}), was {seen} ({why})"
        for name, rows in found.items()
        for strategy, verdict, reason, seen, why in rows
        if verdict != seen
    ]


def test_functions_of_a_script(tmp_path, endpoint_python):
    (tmp_path / "project_helper.py").write_text("value = 1\n")
    text = FUNCTIONS + COMPARE.replace("WORKER", repr(str(endpoint_python)))
    (tmp_path / "script.py").write_text(text)
    command = [sys.executable, "script.py", json.dumps(NAMES)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert "" == "\n".join(compare(found))
    assert set(NAMES) == set(found)


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "project_helper.py").write_text("value = 1\n")
    (tmp_path / "checked.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("checked")
    for name in ("checked", "project_helper"):
        sys.modules.pop(name, None)


@pytest.mark.slow("starts workers and asks them of each function; those of a script are quick")
def test_functions_of_a_module(module, endpoint_python):
    found = {}
    with LocalExecutor(workers=1, worker_python=endpoint_python) as executor:
        for name in NAMES:
            function = getattr(module, name)
            function = function[0] if isinstance(function, list) else function
            args = ("x",) if name == "installed" else ()
            seen = observe(function, executor.submit, *args)
            found[name] = [
                [each.strategy, each.verdict, each.reason, *seen[each.strategy]]
                for each in check_function(function)
            ]
    assert "" == "\n".join(compare(found))


@pytest.mark.parametrize(
    ("name", "verdict", "reason"),
    [
        ("ours", "WARM", "carries all that it needs"),
        ("ours_broken", "BROKEN", "cannot be pickled"),
        ("uses_global", "BROKEN", "ModuleNotFoundError"),
    ],
)
def test_the_reason_is_given(module, name, verdict, reason):
    function = getattr(module, name)
    first = check_function(function[0] if isinstance(function, list) else function)[0]
    assert (STRATEGIES[0], verdict) == (first.strategy, first.verdict)
    assert reason in first.reason
    assert (verdict == "WARM") == (not first.fix)


@pytest.mark.parametrize("name", ["state", "place"])
def test_a_state_is_to_be_called_by_a_self_contained_function(module, name):
    for found in check_function(getattr(module, name)):
        assert ("BROKEN", "Submit a @self_contained function that calls it.") == (
            found.verdict,
            found.fix,
        )
        assert found.reason.startswith(("ModuleNotFoundError: ", "its text alone lacks gc-warm"))


def test_what_returns_a_generator_is_told_to_return_data(module):
    assert "Return plain data" in check_function(module.generator)[0].fix


def test_a_decorator_above_ours_is_pointed_at(module):
    assert "Move @self_contained above" in check_function(module.ours_below)[0].fix


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", None),
        ("FILE = __file__\n", "files_helper.py:1,"),
        ("def size():\n    return Path(__file__).with_name('big.csv')\n", "files_helper.py:2,"),
    ],
)
def test_a_note_says_that_files_beside_carried_code_are_not_there(
    tmp_path, monkeypatch, text, places
):
    (tmp_path / "files_helper.py").write_text(text)
    (tmp_path / "files_user.py").write_text(
        "import files_helper\nfrom gc_warm import self_contained\n"
        "@self_contained\ndef use(): return files_helper\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    ended = CliRunner().invoke(commands, ["check", "files_user:use"], standalone_mode=False)
    for name in ("files_helper", "files_user"):
        sys.modules.pop(name, None)
    assert 0 == ended.return_value
    notes = [line for line in ended.output.splitlines() if line.startswith("Note: ")]
    assert (places is not None) == bool(notes)
    assert all(f"__file__ is used in {places} but files beside" in note for note in notes)


def test_the_command_line(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = CliRunner().invoke(commands, ["check", "checked:ours", "--json"], standalone_mode=False)
    assert 0 == good.return_value
    assert {"WARM"} == {row["verdict"] for row in json.loads(good.output)}
    bad = CliRunner().invoke(commands, ["check", "checked:stateless"], standalone_mode=False)
    assert 1 == bad.return_value
    assert "To keep it warm: Put @self_contained above it" in bad.output


@pytest.mark.slow("starts workers")
def test_the_command_line_proves_it(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["check", "checked:ours", "--run", "--args", "[1]", "--json"]
    ended = CliRunner().invoke(commands, arguments, standalone_mode=False)
    assert [] == [row for row in json.loads(ended.output) if row["measured"] != "WARM"]
