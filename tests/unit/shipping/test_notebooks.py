"""Functions that are written in a notebook, in a real Jupyter kernel and in IPython."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import nbclient
import nbformat
import pytest

SETUP = """
from gc_warm import LocalExecutor, self_contained, warm
executor = LocalExecutor(workers=1, worker_python={python!r})
"""
MODEL = """
from dataclasses import dataclass
built = 0

@dataclass
class Answer:
    text: str
    built: int

@warm
def model(name):
    global built
    built += 1
    return name.upper()
"""
WORK = """
@self_contained
def work(name: str) -> Answer:
    return Answer(model(name) + "!", built)
"""


@pytest.fixture
def run_notebook(endpoint_python, tmp_path):
    """Return a function that runs cells in a kernel; gives what each printed, or its error."""

    def run(*cells):
        first = SETUP.format(python=str(endpoint_python))
        last = "executor.shutdown()"
        texts = [first, *map(textwrap.dedent, cells), last]
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(text) for text in texts],
            metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
        )
        client = nbclient.NotebookClient(
            notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": tmp_path}}
        )
        client.execute()
        return ["".join(map(_text, cell.outputs)) for cell in notebook.cells[1:-1]]

    return run


def _text(output):
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def test_a_notebook_stays_warm_and_its_classes_are_one(run_notebook):
    outputs = run_notebook(
        MODEL,
        WORK,
        """
        answers = [executor.submit(work, "a").result() for _ in range(3)]
        print(answers == [Answer("A!", 1)] * 3, isinstance(answers[0], Answer))
        """,
    )
    assert "True True\n" == outputs[-1]


@pytest.mark.slow  # a kernel takes seconds
def test_a_further_function_finds_the_state_of_the_first(run_notebook):
    outputs = run_notebook(
        MODEL,
        WORK,
        'print(executor.submit(work, "a").result().built)',
        """
        EXTRA = 10
        @self_contained
        def more(name):
            return model(name), built + EXTRA
        """,
        'print(executor.submit(more, "a").result())',
        'print(executor.submit(work, "a").result().built)',
    )
    assert ["1\n", "('A', 11)\n", "1\n"] == [outputs[2], outputs[4], outputs[5]]


@pytest.mark.slow("starts a kernel; one that stays warm is quick")
def test_an_edited_cell_is_a_new_version(run_notebook):
    outputs = run_notebook(
        MODEL,
        WORK,
        'print(executor.submit(work, "a").result())',
        WORK.replace('"!"', '"?"'),
        'print(executor.submit(work, "a").result())',
    )
    assert ["Answer(text='A!', built=1)\n", "Answer(text='A?', built=1)\n"] == outputs[2::2]


@pytest.mark.slow  # a kernel takes seconds
def test_a_traceback_shows_the_line_of_the_cell(run_notebook):
    outputs = run_notebook(
        """
        def inner():
            raise KeyError("lost")  # just here

        @self_contained
        def work():
            return inner()
        """,
        "executor.submit(work).result()",
    )
    assert 'raise KeyError("lost")  # just here' in outputs[-1]


@pytest.mark.slow("starts a kernel; one that stays warm is quick")
def test_magics_around_do_no_harm_and_magics_within_are_refused(run_notebook):
    outputs = run_notebook(
        """
        %matplotlib --list
        !true
        listing = !echo hello
        @self_contained
        def fine():
            return "fine"
        @self_contained
        def bad():
            return get_ipython().getoutput("echo hello")
        """,
        "print(executor.submit(fine).result())",
        "bad.source()",
    )
    assert "fine\n" == outputs[1]
    assert "'bad' uses 'get_ipython', which only IPython has" in outputs[2]


@pytest.mark.slow  # a kernel takes seconds
def test_ipython_without_a_notebook(endpoint_python, tmp_path):
    text = SETUP.format(python=str(endpoint_python)) + MODEL + WORK
    text += '\nprint(executor.submit(work, "a").result())\nexecutor.shutdown()\n'
    cells = "\n\n".join(text.strip().split("\n\n"))
    program = textwrap.dedent(
        """
        import sys
        from IPython.testing.globalipapp import start_ipython
        from IPython.terminal.interactiveshell import TerminalInteractiveShell
        import __main__
        shell = TerminalInteractiveShell.instance(user_module=__main__)
        result = shell.run_cell(sys.stdin.read(), store_history=True)
        result.raise_error()
        """
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        input=cells,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        timeout=120,
        check=False,
    )
    assert "Answer(text='A!', built=1)" in ended.stdout, ended.stdout + ended.stderr


@pytest.mark.slow  # a kernel takes seconds
def test_what_a_name_means_now_decides(run_notebook):
    outputs = run_notebook(
        "names = ['a']\nn = len(names)\nfactor = 2\ndef helper(x): return x * factor",
        """
        @self_contained
        def f(x):
            return helper(x), list(names), n
        """,
        "names.append('b'); print(executor.submit(f, 1).result() == f(1), end='')",
        "names = ['a']\nn = len(names)",
        "print(executor.submit(f, 1).result() == f(1), end='')",
        "def helper(x): return -x",
        "print(executor.submit(f, 1).result(), f(1), end='')",
        "factor = 5\ndef helper(x): return x * factor",
        "print(executor.submit(f, 1).result(), end='')",
        "del helper\n1 / 0",
        "def helper(x): return 'new'",
        "print(executor.submit(f, 1).result(), end='')",
    )
    assert "True" == outputs[2]
    assert "True" == outputs[4]
    assert "(-1, ['a'], 1) (-1, ['a'], 1)" == outputs[6]
    assert "(5, ['a'], 1)" == outputs[8]
    assert "('new', ['a'], 1)" == outputs[11]


@pytest.mark.slow  # a kernel takes seconds
def test_a_warm_state_that_is_defined_anew(run_notebook):
    outputs = run_notebook(
        MODEL,
        WORK,
        'print(executor.submit(work, "a").result().text, end="")',
        MODEL.replace("name.upper()", "name.title() + name"),
        'print(executor.submit(work, "a").result().text, end="")',
    )
    assert ["A!", "Aa!"] == outputs[2::2]


@pytest.mark.slow  # a kernel takes seconds
def test_magics_above_a_cell(run_notebook):
    outputs = run_notebook(
        """
        %%time
        def timed(x):
            return x + 1
        """,
        """
        %%capture
        def captured(x):
            return x + 2
        """,
        """
        @self_contained
        def f(x):
            return timed(x) + captured(x)
        """,
        "print(executor.submit(f, 1).result())",
    )
    assert "5\n" == outputs[-1]


@pytest.mark.slow  # a kernel takes seconds
def test_a_script_that_a_notebook_runs(run_notebook, tmp_path):
    (tmp_path / "lab.py").write_text(
        "from gc_warm import self_contained\n"
        "count = 0\n"
        "def helper(x): return x * 2\n"
        "@self_contained\n"
        "def work(x):\n"
        "    global count\n"
        "    count += 1\n"
        "    return helper(x), count\n"
    )
    outputs = run_notebook(
        "%run lab.py",
        "print([executor.submit(work, 4).result() for _ in range(2)], end='')",
        "more = self_contained(lambda x: helper(x) + 1)\n"
        "print(executor.submit(more, 4).result(), end='')",
    )
    assert ["[(8, 1), (8, 2)]", "9"] == outputs[1:]


@pytest.mark.slow  # a kernel takes seconds
def test_a_value_that_cannot_be_sent_is_named(run_notebook):
    outputs = run_notebook(
        "source = (x for x in range(3))\ndef helper(): return list(source)",
        "self_contained(helper).source()",
    )
    assert "'source', which 'helper' uses, cannot be sent: a generator" in outputs[-1]
