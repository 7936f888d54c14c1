"""What `--help` shows, on a terminal of the usual width."""

import platform
import re
from importlib import metadata
from pathlib import Path

import pytest

from gc_warm import __version__ as gc_warm_version
from gc_warm.cli import commands
from gc_warm.commands.shared.command import Command, Exit

NAMES = sorted(commands.commands)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch, gc_warm):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("group", [[], ["functions"], ["node"]])
def test_each_command_has_one_line_of_which_nothing_is_cut(gc_warm, group):
    shown = gc_warm(*group, "--help").out
    listed = shown.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    expected = commands.commands[group[0]].commands if group else commands.commands
    assert sorted(expected) == [line.split()[0] for line in listed]
    assert [] == [line for line in listed if not line.endswith(".") or line.endswith("...")]
    assert [] == [line for line in shown.splitlines() if len(line) > 80]


def test_map_says_where_it_runs_by_default(gc_warm):
    shown = " ".join(gc_warm("map", "--help").out.split())
    assert "processes of this machine, unless --endpoint or --service is given." in shown
    assert "Run it in N processes here; by default in 2." in shown


@pytest.mark.parametrize("name", NAMES)
def test_no_markup_is_shown(gc_warm, name):
    done = gc_warm(name, "--help")
    assert (0, "") == (done.code, done.err)
    assert "\\b" not in done.out
    assert "\b" not in done.out


@pytest.mark.parametrize("name", [n for n in NAMES if isinstance(commands.commands[n], Command)])
def test_examples_keep_their_lines_and_are_understood(gc_warm, name):
    import shlex

    Path("arguments.json").write_text("[]")  # which an example reads
    command = commands.commands[name]
    shown = gc_warm(name, "--help").out
    for line in command.examples:
        assert f"  {line}\n" in shown
        words = shlex.split(line.partition("|")[0], comments=True)
        if words[:2] == ["gc-warm", name]:
            given = [word.replace("ID", "4b116d3c-1703-4f8f-9f6f-39921e5864df") for word in words]
            command.make_context(name, given[2:])  # raises where it does not parse


def test_one_thing_has_one_name_in_all_commands():
    """Options of the same name mean the same: they have one help text, or a name for each use."""
    found = {}
    for name in NAMES:
        for option in commands.commands[name].params:
            for spelling in option.opts:
                found.setdefault(spelling, set()).add((option.name, type(option.type).__name__))
    assert [] == [each for each, uses in found.items() if each[0] == "-" and len(uses) > 1]


# Of each command: what is wrong usage of it.
WRONG = {
    "check": ["nothing.yaml"],
    "completion": ["tcsh"],
    "demo": ["nothing"],
    "doctor": ["--endpoint", "nothing"],
    "functions": ["list"],
    "map": ["lab:f"],
    "node": ["nothing"],
    "program": [],
    "register": ["nothing"],
    "report": ["nothing.jsonl"],
    "run": ["json:loads"],
    "serve": ["--port", "70000"],
    "submit": ["json:loads"],
}


@pytest.mark.parametrize("name", NAMES)
def test_wrong_usage_of_each_command(gc_warm, name):
    assert (Exit.USAGE, "") == gc_warm(name, *WRONG[name])[:2]
    if name != "program":  # which takes it for the program's
        assert Exit.USAGE == gc_warm(name, *WRONG[name], "--no-such-option").code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], Exit.OK),
        ([], Exit.USAGE),
        (["no-such-command"], Exit.USAGE),
        (["program", "--", "no-such-program"], Exit.FAILED),
    ],
)
def test_exit_codes(gc_warm, arguments, code):
    assert code == gc_warm(*arguments).code


def test_the_page_has_the_same_exit_codes():
    page = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()
    assert [*map(str, map(int, Exit))] == re.findall(r"^\| (\d+) \|", page, re.MULTILINE)


def test_the_page_has_each_command():
    page = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()
    assert set() == {*NAMES} ^ {*re.findall(r"^\| `gc-warm (\w+)", page, re.MULTILINE)}


def test_versions(gc_warm):
    done = gc_warm("--version")
    assert [
        f"gc-warm {gc_warm_version}",
        f"Python {platform.python_version()}",
        f"globus-compute-sdk {metadata.version('globus-compute-sdk')}",
        f"globus-compute-endpoint {metadata.version('globus-compute-endpoint')}",
    ] == done.out.splitlines()
