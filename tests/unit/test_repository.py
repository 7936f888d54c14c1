"""What is committed runs anywhere: it names no registry's host and no path of one machine."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|pypi\.python\.org|anaconda\.(?:org|com)|npmjs\.(?:org|com)"
    r"|deb\.debian\.org|archive\.ubuntu\.com|proxy\.golang\.org|crates\.io"
)
# A folder of the machine that something was written on, at the start of a path.
MACHINE_PATHS = re.compile(r"(?<![\w.~*-])/(?:root|work|Users/\w+|opt/wheels|opt/pypi)/")


def files() -> list[Path]:
    # What will be committed next counts already.
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    paths = [REPOSITORY / name for name in sorted({*listed.stdout.split("\0")}) if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def finds(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in files():
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(REPOSITORY)}:{number}: {match.group()}")
    return found


@pytest.fixture(autouse=True)
def _in_a_checkout():
    if not (REPOSITORY / ".git").exists():
        pytest.skip("only a checkout knows what is committed")


def test_no_registry_is_named():
    assert [] == finds(HOSTS)


def test_no_path_of_one_machine_is_named():
    assert [] == finds(MACHINE_PATHS)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (HOSTS, "--index-url https://" + "pypi." + "org/simple", True),
        (HOSTS, "an extra on PyPI", False),
        (MACHINE_PATHS, "python = /" + "work/main/.venv", True),
        (MACHINE_PATHS, "gc_warm/" + "worker/state.py, some/" + "work/folder", False),
    ],
)
def test_the_patterns_find_what_they_should(pattern, text, found):
    assert found is bool(pattern.search(text))
