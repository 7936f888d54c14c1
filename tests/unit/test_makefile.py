"""What make says before anything is installed."""

import os
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"

# Stand-ins for Pythons that cannot be used: they fail at what they are asked.
TOO_OLD = '#!/bin/sh\ncase "$2" in *version_info*) exit 1;; esac\n'
WITHOUT_VENV = '#!/bin/sh\ncase "$2" in *venv*) exit 1;; esac\n'
BROKEN = "#!/bin/sh\nexit 127\n"


@pytest.fixture
def make(tmp_path):
    """Run make in a folder that has nothing but the Makefile."""
    (tmp_path / "Makefile").write_bytes(MAKEFILE.read_bytes())
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()

    def run(*arguments):
        return subprocess.run(
            ["make", *arguments],
            cwd=tmp_path,
            # Make may have started this session: what it was told is not for this one.
            env={key: value for key, value in os.environ.items() if "MAKE" not in key},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def python(tmp_path):
    def write(text):
        path = tmp_path / "python-stub"
        path.write_text(text)
        path.chmod(0o755)
        return path

    return write


def test_alone_it_lists_what_can_be_made(make):
    listed = [line.split()[1] for line in make().stdout.splitlines()]
    assert {"demo", "test", "test-slow", "bench", "lint", "coverage", "clean"} <= {*listed}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TOO_OLD, "Python 3.10 or newer is needed"),
        (WITHOUT_VENV, "has no venv module"),
        (BROKEN, "does not run"),
    ],
    ids=["too old", "without venv", "broken"],
)
def test_a_python_that_will_not_do_is_refused_in_one_line(make, python, tmp_path, text, reason):
    ended = make("demo", f"PYTHON={python(text)}")
    (said,) = [line for line in ended.stderr.splitlines() if not line.startswith("make: ***")]
    assert reason in said
    assert ended.returncode == 2
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("folder", ["/a folder", "/it's", '/a "b"', "/a$b", "~/$(c)", "-x;y"])
def test_any_folder_reaches_the_demo_as_it_is(make, tmp_path, folder):
    for name, text in {"gc-warm": '#!/bin/sh\nprintf "%s|" "$@"\n', "python": ""}.items():
        path = tmp_path / "venv" / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "venv" / ".has-demo").touch()
    assert f"demo|{folder}|" == make("demo", "VENV=venv", f"DIR={folder}").stdout
    assert "demo|" == make("demo", "VENV=venv").stdout
