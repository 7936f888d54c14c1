"""A new user gets from a clone to the demo's table with one command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path):
    """Copy what is, or will be, committed into a folder with a space in its name."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    folder = tmp_path / "a clone"
    for name in listed.stdout.split("\0"):
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_make_demo_is_all_it_takes(clone, tmp_path):
    files = tmp_path / "some files"
    files.mkdir()
    (files / "program.py").write_text("import sys\n\n\ndef main():\n    print(sys.argv)\n" * 9)
    (files / "table.csv").write_text("name,count\n" + "row,17\n" * 99)

    def make_demo():
        return subprocess.run(
            ["make", "demo", f"DIR={files}", f"PYTHON={sys.executable}"],
            cwd=clone,
            env={key: value for key, value in os.environ.items() if "MAKE" not in key},
            capture_output=True,
            text=True,
            check=False,
        )

    first, second = make_demo(), make_demo()
    assert 0 == first.returncode, first.stdout + first.stderr
    assert "Installing" in first.stderr
    assert "csv" in first.stdout.lower()
    assert 0 == second.returncode, second.stdout + second.stderr
    assert "Installing" not in second.stderr
