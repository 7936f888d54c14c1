"""``gc-warm node``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gc_warm.cli import commands
from gc_warm.errors import UsageError

MODULE = """
import sys
from pathlib import Path
from gc_warm import node_folder, self_contained

@node_folder
def weights(name: str, folder: Path):
    (folder / "weights").write_bytes(bytes(2_000_000))
    if name == "slow":
        print("filling", flush=True)
        sys.stdin.readline()

@self_contained
def use(name: str):
    return str(weights(name))

if __name__ == "__main__":
    print(weights(sys.argv[1]), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setenv("GC_WARM_NODE_DIR", str(tmp_path / "node"))
    (tmp_path / "uses_folders.py").write_text(MODULE)
    return tmp_path / "node"


@pytest.fixture
def node(capsys):
    def run(*arguments):
        code = commands.main(["node", *arguments], standalone_mode=False)
        return code or 0, capsys.readouterr().out

    return run


@pytest.fixture
def user(base):
    """Start a process that uses a folder."""
    started = []

    def start(name):
        command = [sys.executable, str(base.parent / "uses_folders.py"), name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, **pipes))
        return started[-1], started[-1].stdout.readline().strip()

    yield start
    for each in started:
        each.stdin.close()
        each.wait(30)


def end(process):
    process.stdin.write("\n\n")
    process.stdin.flush()
    assert 0 == process.wait(30)


def test_with_nothing_there_nothing_is_made(base, node):
    code, path = node("path")
    assert (0, str(base)) == (code, str(Path(path.strip()).parents[1]))
    assert (0, f"Nothing in {path.strip()}.\n") == node("list")
    assert (0, "Removed 0.\n") == node("clear")
    with pytest.raises(UsageError, match=r"No folder here is of 'typo'\. There are: none\."):
        node("clear", "typo")
    assert not base.exists()


def test_lists_folders_and_clears_those_that_nobody_uses(user, node):
    process, path = user("small")
    code, listed = node("list")
    assert (0, f"__main__.weights(name='small'): 2 MB, in use\n    {path}\n") == (code, listed)
    assert (1, "Removed 0. In use: 1.\n") == node("clear")
    end(process)
    assert "2 MB, used " in node("list")[1]
    (found,) = json.loads(node("list", "--json")[1])["folders"]
    assert (path, 2_000_000, 1, False) == tuple(
        found[name] for name in ("path", "bytes", "files", "in_use")
    )
    with pytest.raises(UsageError, match=r"of '__main__.other'. There are: __main__.weights\.$"):
        node("clear", "__main__.other")
    assert (0, "Removed 1.\n") == node("clear", "__main__.weights")
    assert not Path(path).exists()


def test_lists_what_is_being_filled(user, node):
    process, line = user("slow")
    assert "filling" == line
    what = "__main__.weights(name='slow')"
    code, listed = node("list")
    assert (0, f"{what}: being filled by process {process.pid} for ") == (
        code,
        listed[: listed.rindex("for ") + 4],
    )
    assert (0, "Removed 0.\n") == node("clear")
    end(process)


def test_shows_what_a_terminal_would_obey_by_its_code(base, user, node):
    process, _ = user("\x1b[31m")
    end(process)
    about = next(base.rglob("about.json"))
    about.write_text(json.dumps({"initialiser": "\x1b[2Jevil", "arguments": "\n"}))
    assert r"\x1b[2Jevil(\n)" in node("list")[1]


def test_says_who_may_not_use_the_place(base, node):
    base.mkdir()
    (base / f"gc-warm-{os.geteuid()}").symlink_to("/etc")
    assert 0 == node("list")[0]
