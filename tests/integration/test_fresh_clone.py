"""What a fresh clone gives: the demo's table with one command, and a package that installs."""

import os
import shutil
import subprocess
import sys
import venv
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


def run(*command, folder, status=0):
    ended = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert status == ended.returncode, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_wheel_and_sdist_are_the_same_package_and_run_in_a_bare_environment(clone, tmp_path):
    run(sys.executable, "-m", "hatchling", "build", "-d", tmp_path / "dist", folder=clone)
    (wheel,) = (tmp_path / "dist").glob("gc_warm-*.whl")
    (sdist,) = (tmp_path / "dist").glob("gc_warm-*.tar.gz")

    venv.create(tmp_path / "bare", with_pip=True)
    binaries = tmp_path / "bare" / "bin"
    pip = (binaries / "python", "-m", "pip", "--disable-pip-version-check", "--no-input")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(*pip, "wheel", "--no-deps", "--wheel-dir", elsewhere, sdist, folder=elsewhere)
    assert wheel.read_bytes() == (elsewhere / wheel.name).read_bytes()

    pinned = ("--constraint", clone / "constraints.txt")
    run(*pip, "install", "--no-compile", *pinned, wheel, folder=elsewhere)
    version = wheel.name.split("-")[1]
    assert f"gc-warm {version}" in run(binaries / "gc-warm", "--version", folder=elsewhere)
    counting = ("gc-warm", "run", "gc_warm.functions.counter:increase_count", "--json")
    said = run(binaries / counting[0], *counting[1:], folder=elsewhere, status=1)
    assert "pip install 'gc-warm[endpoint]'" in said

    run(*pip, "install", "--no-compile", *pinned, f"{wheel}[endpoint]", folder=elsewhere)
    assert '"count": 1' in run(binaries / counting[0], *counting[1:], folder=elsewhere)
