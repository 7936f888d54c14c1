"""``gc-warm check``: what it prints, and how it exits."""

import json
from pathlib import Path

import pytest

from gc_warm.client.manifest import Entry, Manifest, Version

CONFIGS = Path(__file__).parents[3] / "endpoint_configs"
TEMPLATE = CONFIGS / "slurm-cpu" / "user_config_template.yaml.j2"
COLD = "engine:\n  type: ThreadPoolEngine\n  max_workers: 2\n"
ID = "3f0d7a54-9c1e-4d34-8f5b-0c6a2f6f1a11"


def test_a_warm_folder(gc_warm):
    assert (0, "Nothing found: its workers stay warm.\n", "") == gc_warm(
        "check", CONFIGS / "laptop"
    )


@pytest.mark.slow("starts workers")
def test_a_cold_file(gc_warm, tmp_path):
    (tmp_path / "t.yaml").write_text(COLD)
    done = gc_warm("check", "t.yaml")
    assert 1 == done.code
    assert done.out.startswith("t.yaml:2: warning GW202: ")
    assert done.out.endswith("1 finding.\n")


@pytest.mark.slow("loads a config again, for another form of the same")
def test_a_cold_file_as_json(gc_warm, tmp_path):
    (tmp_path / "t.yaml").write_text(COLD)
    [found] = json.loads(gc_warm("check", "t.yaml", "--json").out)
    assert ("GW202", "t.yaml", 2, "warning") == tuple(
        found[name] for name in ("code", "file", "line", "severity")
    )


@pytest.mark.slow("starts workers")
def test_options_and_needs(gc_warm):
    done = gc_warm("check", TEMPLATE, "--state-gb", 14, "--build-seconds", 9000)
    assert 1 == done.code
    assert "GW207" in done.out
    assert "GW121" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([CONFIGS, "--options", "{"], "--options is neither JSON"),
        ([CONFIGS, "--options", "7"], "--options must be an object"),
        ([CONFIGS, "--strategy", "DillCode"], "--strategy does not go with"),
        (["json:loads", "--pause", "1"], "--pause does not go with json:loads"),
        (["json:loads", "--strategy", "Dill"], "'Dill' is not one of 'DillCode', 'PureSource"),
    ],
)
def test_options_that_do_not_fit(gc_warm, arguments, message):
    done = gc_warm("check", *arguments)
    assert (2, True) == (done.code, message in done.err), done.err


# What is neither a config nor a function


@pytest.mark.parametrize("target", ["", "primes", "primes.py", "no/such/folder", "x" * 5000])
def test_what_is_not_there_may_have_meant_a_function(gc_warm, target):
    done = gc_warm("check", target)
    assert 2 == done.code
    assert "There is no file or folder" in done.err
    assert "MODULE:FUNCTION" in done.err


def test_a_program_may_have_meant_a_function_in_it(gc_warm, lab):
    lab("x = 1\n", "primes")
    done = gc_warm("check", "primes.py")
    assert 2 == done.code
    assert "MODULE:FUNCTION, such as primes:classify" in done.err
    assert 2 == gc_warm("check", "x" * 5000 + ".py:classify").code
    for target in ("primes.py:classify", "./primes.py:classify"):
        done = gc_warm("check", target)
        assert 2 == done.code
        assert "primes.py is a file, not a module: did you mean primes:classify?" in done.err


# Functions


def verdicts(done):
    return {row["strategy"]: (row["verdict"], row["measured"]) for row in json.loads(done.out)}


def test_a_function_that_is_not_yours_cannot_be_decorated(gc_warm):
    done = gc_warm("check", "math:sqrt")
    assert 0 == done.code
    assert "call it in a function of yours, under @self_contained" in " ".join(done.out.split())
    assert "above it" not in done.out


def test_a_function_is_judged_by_the_strategy_that_was_asked_for(gc_warm):
    assert [0, 1] == [
        gc_warm("check", "math:sqrt", "--strategy", name).code
        for name in ("DillCode", "PureSourceTextInspect")
    ]


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("strategy", "code"), [("DillCode", 0), ("PureSourceTextInspect", 1), ("NewCode", 2)]
)
def test_a_function_is_judged_by_the_strategy_that_it_is_registered_with(
    gc_warm, tmp_path, strategy, code
):
    with Manifest(tmp_path / "functions.json").changing() as entries:
        entries["root"] = Entry("root", "math:sqrt", Version(ID, "h", "t", strategy))
        entries["other"] = Entry("other", "math:sin", Version(ID, "h", "t", "PureSourceDill"))
    done = gc_warm("check", "math:sqrt")
    assert code == done.code
    assert (code < 2) == (f"Registered as root, written by {strategy}." in done.out)


FAILING = """
import os, sys
from gc_warm import self_contained

@self_contained
def fail(how):
    if how == "raise":
        raise ValueError("it fell")
    if how == "exit":
        sys.exit(3)
    if how == "die":
        os._exit(4)
    return 1
"""


@pytest.mark.slow("starts workers")
@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("how", "reason"),
    [("raise", "ValueError: it fell"), ("exit", "SystemExit: 3"), ("die", "exited with status 4")],
)
def test_a_measurement_that_is_broken_says_why_and_fails(gc_warm, lab, how, reason):
    lab(FAILING)
    done = gc_warm("check", "lab:fail", "--run", "--args", f"['{how}']")
    assert 1 == done.code
    assert "BROKEN" in done.out
    told = " ".join(done.out.replace("│", " ").split())
    assert reason in told.partition("measured:")[2]


def test_a_measurement_that_is_warm_succeeds(gc_warm, lab):
    lab(FAILING)
    done = gc_warm("check", "lab:fail", "--run", "--args", "['return']", "--json")
    assert 0 == done.code
    assert {("WARM", "WARM")} == {*verdicts(done).values()}


@pytest.mark.slow("measures each strategy twice")
def test_a_measurement_overrules_the_prediction(gc_warm, lab):
    lab("def f(n):\n    import json\n    return 1 // n\n")
    good, bad = (gc_warm("check", "lab:f", "--run", "--args", f"[{n}]", "--json") for n in (1, 0))
    assert {"BROKEN"} == {measured for _, measured in verdicts(bad).values()}
    assert "WARM" in {measured for _, measured in verdicts(good).values()}
    assert 1 == bad.code
