"""What `--help` shows, on a terminal of the usual width."""

import pytest

from gc_warm.cli import commands
from gc_warm.commands.shared.command import Command, Exit

NAMES = sorted(commands.commands)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch, gc_warm):
    monkeypatch.setenv("COLUMNS", "80")


def test_each_command_has_one_line_of_which_nothing_is_cut(gc_warm):
    listed = gc_warm("--help").out.partition("Commands:\n")[2].splitlines()
    assert NAMES == [line.split()[0] for line in listed]
    assert [] == [line for line in listed if not line.endswith(".") or line.endswith("...")]


@pytest.mark.parametrize("name", NAMES)
def test_no_markup_is_shown(gc_warm, name):
    done = gc_warm(name, "--help")
    assert (0, "") == (done.code, done.err)
    assert "\\b" not in done.out
    assert "\b" not in done.out


@pytest.mark.parametrize("name", [n for n in NAMES if isinstance(commands.commands[n], Command)])
def test_examples_keep_their_lines_and_are_understood(gc_warm, name):
    import shlex

    command = commands.commands[name]
    shown = gc_warm(name, "--help").out
    for line in command.examples:
        assert f"  {line}\n" in shown
        words = shlex.split(line, comments=True)
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
    del found["--output"]  # where results go; of `run`, where what workers print does
    assert [] == [each for each, uses in found.items() if each[0] == "-" and len(uses) > 1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], Exit.OK),
        (["functions", "list"], Exit.USAGE),
        (["run", "json:loads"], Exit.USAGE),
        (["no-such-command"], Exit.USAGE),
        (["check"], Exit.USAGE),
        (["program", "--", "no-such-program"], Exit.FAILED),
    ],
)
def test_exit_codes(gc_warm, arguments, code):
    assert code == gc_warm(*arguments).code
