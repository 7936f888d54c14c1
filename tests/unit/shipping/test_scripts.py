"""Functions that are written in a script."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAD = """
    from __future__ import annotations
    import sys, textwrap
    from dataclasses import dataclass
    from enum import Enum
    from gc_warm import LocalExecutor, self_contained, warm
"""
START = "LocalExecutor(workers=1, worker_python=WORKER)"


def test_a_script_stays_warm(run_script):
    text = (
        HEAD
        + f"""
    calls = 0
    built = []

    @warm
    def model(name):
        built.append(name)
        return name.upper()

    def helper(text):
        return textwrap.dedent(text)

    @self_contained
    def work(text):
        global calls
        calls += 1
        return helper(model(text)), calls, len(built), __name__

    if __name__ == "__main__":
        with {START} as executor:
            print([executor.submit(work, "  a").result() for _ in range(3)])
    """
    )
    expected = [("A", 1, 1, "__main__"), ("A", 2, 1, "__main__")]
    assert str(expected)[1:-1] in run_script(text)


@pytest.mark.slow("starts a script of another kind")
def test_a_script_without_a_guard_runs_only_here(run_script):
    text = (
        HEAD
        + f"""
    @self_contained
    def work(x):
        return x + 1

    executor = {START}
    print(executor.submit(work, 1).result())
    executor.shutdown()
    """
    )
    assert "2\n" == run_script(text)


def test_classes_of_a_script_work_as_arguments_and_results(run_here):
    text = (
        HEAD
        + f"""
    class Colour(Enum):
        RED = 1

    @dataclass
    class Point:
        x: int
        colour: Colour = Colour.RED

    class OddError(Exception):
        pass

    @self_contained
    def move(point: Point) -> Point:
        if point.x > 10:
            raise OddError(f"{{point.x}} is odd")
        assert isinstance(point, Point) and point.colour is Colour.RED
        return Point(point.x + 1)

    with {START} as executor:
        moved = executor.submit(move, Point(3)).result()
        assert isinstance(moved, Point), moved
        assert moved == Point(4)
        assert moved.colour is Colour.RED
        try:
            executor.submit(move, Point(11)).result()
        except Exception as error:
            print(error)
    """
    )
    output = run_here(text)
    assert "OddError: 11 is odd" in output
    assert 'raise OddError(f"{point.x} is odd")' in output
    assert "analysis.py" in output


def test_functions_of_a_script_share_their_state(run_here):
    text = (
        HEAD
        + f"""
    loads = []

    @warm
    def model():
        loads.append(1)
        return len(loads)

    @self_contained
    def first():
        return model()

    @self_contained
    def second():
        return model() * 10

    with {START} as executor:
        print([executor.submit(f).result() for f in (first, second, first, second.receipted)])
    """
    )
    assert "[1, 10, 1, Receipted(value=10" in run_here(text)


def test_modules_beside_a_script_travel(run_here, tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "beside.py").write_text("def f(x): return x * 2\n")
    text = (
        HEAD
        + f"""
    try:
        import nothing_like_this
    except ImportError:
        import beside as nothing_like_this

    @self_contained
    def work(x):
        return nothing_like_this.f(x)

    with {START} as executor:
        print(executor.submit(work, 4).result())
    """
    )
    assert "8\n" == run_here(text)


@pytest.mark.slow("starts a script of another kind")
def test_a_module_run_by_its_name_may_import_relatively(run_script, tmp_path):
    package = tmp_path / "scripts" / "pack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "near.py").write_text("def f(x): return x * 3\n")
    text = (
        HEAD
        + f"""
    from .near import f

    @self_contained
    def work(x):
        return f(x)

    with {START} as executor:
        print(executor.submit(work, 4).result())
    """
    )
    output = run_script(text, "pack/run.py", ["-m", "pack.run"], tmp_path / "scripts")
    assert "12\n" == output


def test_source_typed_into_an_interpreter_is_refused():
    code = "from gc_warm import self_contained\nf = self_contained(lambda: 1)\nf.source()"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    if sys.version_info >= (3, 13):  # it keeps the text
        assert (0, "") == (ended.returncode, ended.stderr)
    else:
        assert "The source of '<lambda>'" in ended.stderr
        assert "ShippingError" in ended.stderr


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("return nowhere", "The name 'nowhere', which 'work' uses, cannot be found"),
        ("return guarded", "'guarded', which 'work' uses, cannot be sent: a generator"),
    ],
)
def test_what_cannot_be_found_is_refused_before_submission(run_here, line, reason):
    text = (
        HEAD
        + f"""
    if __name__ == "__main__":
        guarded = (x for x in [])

    @self_contained
    def work():
        {line}

    try:
        work.source()
    except ValueError as error:
        print(error)
    """
    )
    assert reason in run_here(text)


@pytest.mark.slow("starts pytest, for a script of another kind")
def test_functions_in_doctests(tmp_path, endpoint_python):
    (tmp_path / "lab.py").write_text(
        '"""A module.\n\n'
        ">>> from gc_warm import LocalExecutor, self_contained\n"
        ">>> factor = 3\n"
        ">>> def scale(x):\n"
        "...     return double(x) * factor\n"
        f">>> with LocalExecutor(workers=1, worker_python={str(endpoint_python)!r}) as executor:\n"
        "...     executor.submit(self_contained(scale), 2).result()\n"
        '12\n"""\n\ndef double(x):\n    return 2 * x\n'
    )
    command = [sys.executable, "-m", "doctest", "lab.py"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (0, "") == (ended.returncode, ended.stdout), ended.stdout + ended.stderr


@pytest.mark.slow("starts pytest, for a script of another kind")
def test_functions_in_tests(tmp_path, endpoint_python):
    (tmp_path / "test_lab.py").write_text(
        "from gc_warm import LocalExecutor, self_contained\n"
        "def double(x):\n"
        "    return 2 * x\n"
        "def test_nested():\n"
        "    factor = 3\n"
        "    def scale(x):\n"
        "        assert x == 2, x\n"
        "        return double(x) * factor\n"
        f"    with LocalExecutor(workers=1, worker_python={str(endpoint_python)!r}) as executor:\n"
        "        assert executor.submit(self_contained(scale), 2).result() == 12\n"
        "        assert executor.submit(self_contained(lambda: factor)).result() == 3\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_lab.py"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stdout
