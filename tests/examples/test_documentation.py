"""Documentation is executed: what it shows is what runs here.

A Python block stands under ``<!-- example: NAME.py -->`` and equals tests/examples/NAME.py, or the
part of it between ``# --8<-- start`` and ``# --8<-- end``. Each of these files runs; where NAME.out
stands beside one, that is what it prints, with ``...`` for what differs from run to run.

A console block runs, one ``$ command`` after the other, and the lines after a command are what it
prints; under ``<!-- console: exit 2 -->`` its last command ends so, under
``<!-- console: in FOLDER -->`` it runs in a copy of that folder, and under
``<!-- console: skip REASON -->`` it does not run.
"""

import difflib
import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import gc_warm
import gc_warm.errors

EXAMPLES = Path(__file__).parent
REPOSITORY = EXAMPLES.parents[1]
DOCUMENTS = [
    *(path for name in ("README.md", "CONTRIBUTING.md") if (path := REPOSITORY / name).exists()),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "endpoint_configs").rglob("*.md")),
]
SNIPPETS = sorted(path for path in EXAMPLES.glob("*.py") if path.name != Path(__file__).name)
# They need the port that agents know.
WITH_AGENT = [path for path in SNIPPETS if "start_endpoint" in path.read_text(encoding="utf-8")]
# They take seconds. What the README shows is tried each time.
WITH_WORKERS = [
    path
    for path in SNIPPETS
    if re.search(r"(Executor|LocalService)\(", path.read_text(encoding="utf-8"))
]
SLOW = pytest.mark.slow("what the README shows is quick")
SECONDS = 240

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})\s*(?P<language>[\w+-]*)")
COMMENT = re.compile(r"^ *<!-- (?P<kind>example|console): (?P<text>.+) -->$")
PART = re.compile(r"^ *# --8<-- start\n(.*?)^ *# --8<-- end$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    place: str  # file and line
    language: str
    text: str
    kind: str = ""  # of the comment above it
    note: str = ""  # what that comment says


def blocks(path: Path) -> Iterator[Block]:
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
    comment = ("", "")
    for number, line in lines:
        if found := COMMENT.match(line):
            comment = found["kind"], found["text"]
        elif opened := FENCE.match(line):
            inside = []
            for _, text in lines:
                if text.strip().startswith(opened["fence"]) and not text.strip(" `~"):
                    break
                inside.append(text.removeprefix(opened["indent"]) + "\n")
            place = f"{os.path.relpath(path, REPOSITORY)}:{number}"
            yield Block(place, opened["language"].lower(), "".join(inside), *comment)
        if line.strip() and not found:
            comment = ("", "")


def snippet(name: str) -> str:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    part = PART.search(text)
    return part[1] if part else text


def shown(language: str) -> list[Block]:
    found = [block for path in DOCUMENTS for block in blocks(path)]
    return [block for block in found if block.language == language]


def run(
    command: list[str | Path], folder: Path, *, stderr: int = subprocess.STDOUT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def check_output(command: str, expected: str, printed: str) -> None:
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS
    if not checker.check_output(expected, printed, flags):
        example = doctest.Example(command, expected)
        pytest.fail(checker.output_difference(example, printed, flags), pytrace=False)


@pytest.mark.parametrize("block", shown("python"), ids=lambda block: block.place)
def test_python_is_that_of_its_example(block):
    assert block.kind == "example", f"{block.place}: <!-- example: NAME.py --> is missing above it"
    assert (EXAMPLES / block.note).is_file(), f"{block.place}: no tests/examples/{block.note}"
    difference = difflib.unified_diff(
        snippet(block.note).splitlines(keepends=True),
        block.text.splitlines(keepends=True),
        f"tests/examples/{block.note}",
        block.place,
    )
    assert not (text := "".join(difference)), f"{block.place} differs:\n{text}"


def examples() -> Iterator[object]:
    quick = {block.note for block in blocks(REPOSITORY / "README.md")}
    for path in SNIPPETS:
        if path not in WITH_AGENT:
            slow = path in WITH_WORKERS and path.name not in quick
            yield pytest.param(path, id=path.name, marks=SLOW if slow else ())


@pytest.mark.parametrize("path", [*examples()])
def test_example_runs(path, tmp_path):
    check_example(path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_AGENT, ids=lambda path: path.name)
def test_example_with_an_agent_runs(path, tmp_path, port_5000_lock):
    with port_5000_lock:
        check_example(path, tmp_path)


def check_example(path: Path, folder: Path) -> None:
    ended = run([sys.executable, path], folder, stderr=subprocess.PIPE)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    if (expected := path.with_suffix(".out")).exists():
        check_output(path.name, expected.read_text(encoding="utf-8"), ended.stdout)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Give each command of a console block, and what it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *rest = re.split(r"(?<!\\)\n", part, maxsplit=1)
        yield command, "".join(rest)


def sessions() -> Iterator[object]:
    for block in shown("console"):
        reason = block.note.removeprefix("skip ")
        marks = [pytest.mark.skip(reason=reason), pytest.mark.may_skip(reason)]
        if not block.note.startswith("skip "):
            marks = [] if block.place.startswith("README.md") else [SLOW]
        yield pytest.param(block, marks=marks)


@pytest.mark.parametrize("block", [*sessions()], ids=lambda block: block.place)
def test_console_prints_what_it_shows(block, tmp_path):
    *_, last = found = list(commands(block.text))
    folder, exits = REPOSITORY, block.note.removeprefix("exit ")
    if block.note.startswith("in "):
        ignore = shutil.ignore_patterns("__pycache__")
        source = REPOSITORY / block.note.removeprefix("in ")
        folder, exits = shutil.copytree(source, tmp_path / "copy", ignore=ignore), ""
    for each in found:
        ended = run(["bash", "-c", each[0]], folder)
        status = int(exits or 0) if each is last else 0
        assert status == ended.returncode, f"{block.place}: {each[0]}\n{ended.stdout}"
        if each[1].strip():
            check_output(each[0], each[1], ended.stdout)


@pytest.mark.parametrize(
    "language", ["py", "python3", "pycon", "bash", "sh", "shell", "shell-session"]
)
def test_no_block_escapes_by_its_name(language):
    wrong = [block.place for block in shown(language)]
    assert [] == wrong, "write ```python or ```console, which are tested"


def test_the_reference_has_every_public_name():
    pages = (REPOSITORY / "docs" / "reference").glob("*.md")
    listed = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    listed = [line.removeprefix("::: ") for line in listed if line.startswith("::: ")]
    parts = [importlib.import_module(f"gc_warm.errors.{part}") for part in gc_warm.errors.PARTS]
    errors = {
        f"gc_warm.errors.{name}"
        for module in (gc_warm.errors, *parts)
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }
    public = {f"gc_warm.{name}" for name in gc_warm.__all__} - {"gc_warm.__version__"}
    elsewhere = {"gc_warm.GcWarmError", "gc_warm.RequirementError"}  # as gc_warm.errors.…
    assert set() == (errors | public - elsewhere) - {*listed}
    assert len(listed) == len({*listed})


def test_modules_that_pages_name_are_there():
    named = {
        name.removeprefix("gc_warm/")
        for path in DOCUMENTS
        for name in re.findall(r"`([\w/]+/\w+\.py)`", path.read_text(encoding="utf-8"))
    }
    places = (REPOSITORY / "gc_warm", REPOSITORY)
    missing = {name for name in named if not any((place / name).exists() for place in places)}
    assert set() == missing


PAGE = """\
<!-- example: one.py -->
```python
print(1)
```
```python
print(2)
```

<!-- console: exit 2 -->

  ```console
  $ false \\
    twice
  one
  $ true
  ```
````markdown
```python
not to be run
```
````
"""


def test_blocks_are_read_with_the_comments_above_them(tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    one, two, console, markdown = blocks(tmp_path / "page.md")
    assert ("python", "print(1)\n", "example", "one.py") == one[1:]
    assert ("python", "print(2)\n", "", "") == two[1:]
    assert ("console", "exit 2") == (console.language, console.note)
    assert [("false \\\n  twice", "one\n"), ("true", "")] == list(commands(console.text))
    assert "markdown" == markdown.language
