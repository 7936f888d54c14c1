"""Each example of the gallery, submitted to one worker that all of them share."""

import doctest
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from gc_warm import LocalExecutor

HERE = Path(__file__).parent
PAGES = HERE.parents[2] / "docs" / "gallery"
PROGRAMS = {"use_algebra": "bc", "use_kernels": "cc"}


@pytest.fixture(scope="module")
def executor():
    sys.path.insert(0, str(HERE))
    try:
        with LocalExecutor(workers=1) as executor:
            yield executor
    finally:
        sys.path.remove(str(HERE))


@pytest.mark.parametrize("path", sorted(HERE.glob("use_*.py")), ids=lambda path: path.stem)
def test_the_example_prints_what_its_page_shows(path, executor, capsys, tmp_path, monkeypatch):
    program = PROGRAMS.get(path.stem)
    if program and not shutil.which(program):
        pytest.skip(f"there is no {program}")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), init_globals={"executor": executor})
    printed = capsys.readouterr().out
    expected = path.with_suffix(".out").read_text()
    assert doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS), printed
    assert any(f"```text\n{expected}```" in page.read_text() for page in PAGES.glob("*.md"))
