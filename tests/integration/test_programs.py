"""Real programs, kept warm: their languages, their errors, their manners."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gc_warm import Prompt, Sentinel, WarmProcess
from gc_warm.errors import ProgramStartError, ProgramTimeoutError, RequestFailedError

EXAMPLES = Path(__file__).parents[1] / "examples"
# Each program with its arguments, and the Debian package that has it.
PROGRAMS = {
    "bc": (["bc"], "bc"),
    "gnuplot": (["gnuplot"], "gnuplot-nox"),
    "octave": (["octave-cli"], "octave"),
    "r": (["R"], "r-base-core"),
    "sqlite3": (["sqlite3"], "sqlite3"),
    "uci": (["stockfish"], "stockfish"),
}


def find(program, package):
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/games")
    if found is None:
        pytest.skip(f"there is no {program}: apt-get install {package}")
    return found


@pytest.fixture
def start():
    """Return a function that starts one of the programs, closed in the end."""
    started = []

    def make(name, framing=None, **options):
        (program, *arguments), package = PROGRAMS[name]
        command = [find(program, package), *arguments]
        options = {"timeout": 60, **options}
        started.append(WarmProcess(command, framing=framing or name, **options))
        return started[-1]

    yield make
    for process in started:
        process.close()


@pytest.mark.parametrize(
    ("name", "request_", "answer"),
    [
        ("bc", "2^100", "1267650600228229401496703205376\n"),
        ("bc", "define f(x) {\nreturn (x * x);\n}\nf(7)", "49\n"),
        ("gnuplot", "f(x) = x**2\nprint f(3)", "9\n"),
        ("octave", "1 + 1", "ans = 2\n"),
        ("octave", "x = [1 2;\n3 4];\nfor i = 1:2\n  disp(x(i, :))\nend", "   1   2\n   3   4\n"),
        ("octave", "printf('no newline')", "no newline"),
        ("r", "sum(1:10)", "[1] 55\n"),
        ("r", "f <- function(x) {\n  x^2\n}\nf(1:3)", "[1] 1 4 9\n"),
        ("r", "cat('no newline')", "no newline"),
        ("sqlite3", "select 1,\n2;", "1|2\n"),
        ("uci", "isready", "readyok\n"),
    ],
)
def test_it_answers_in_its_language(start, name, request_, answer):
    assert answer == start(name).call(request_)


@pytest.mark.parametrize(
    ("name", "wrong", "words", "right"),
    [
        ("bc", "1/0", "Divide by zero", "1"),
        ("bc", "1 +* 2", "syntax error", "1"),
        ("gnuplot", "print nothing", "undefined variable: nothing", "print 1"),
        ("gnuplot", "plot sin(", "line 0: invalid expression", "print 1"),
        ("octave", "error('lab:id', 'too cold: %d', 3)", "error: too cold: 3", "disp(1)"),
        ("octave", "x = = 1", "parse error", "disp(1)"),
        ("r", "stop('too cold')", "Error: too cold", "cat('1\\n')"),
        ("r", "x ==== 1", "unexpected '=='", "cat('1\\n')"),
        ("r", "f <- function() stop('deep')\nf()", "Error in f() : deep", "cat('1\\n')"),
        ("sqlite3", "select * from nowhere;", "no such table: nowhere", "select 1;"),
        ("sqlite3", "selec;", "syntax error", "select 1;"),
    ],
)
def test_its_errors_are_raised_in_its_words_and_it_goes_on(start, name, wrong, words, right):
    process = start(name)
    pid = None
    for _ in range(2):
        with pytest.raises(RequestFailedError) as caught:
            process.call(wrong)
        assert words in caught.value.text
        assert "1\n" == process.call(right)
        pid = pid or process.info().pid
        assert pid == process.info().pid


@pytest.mark.parametrize(
    ("name", "first", "second", "answer"),
    [
        ("bc", "x = 3", "x + 1", "4\n"),
        ("gnuplot", "x = 3", "print x + 1", "4\n"),
        ("octave", "x = 3;", "disp(x + 1)", "4\n"),
        ("r", "x <- 3", "cat(x + 1, '\\n')", "4 \n"),
        ("sqlite3", "create table t as select 3 as x;", "select x + 1 from t;", "4\n"),
    ],
)
def test_it_remembers_until_it_is_ended(start, name, first, second, answer):
    process = start(name)
    process.call(first)
    assert answer == process.call(second)
    process.stop()
    with contextlib.suppress(RequestFailedError):
        assert answer != process.call(second)


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("octave", "for i = 1:2"),
        ("octave", "x = 'open"),
        ("bc", "while (1) { }"),
        ("r", "f <- function() {"),
        ("sqlite3", "select 'open"),
    ],
)
def test_a_request_without_end_is_too_late_and_the_next_gets_a_fresh_program(start, name, request_):
    process = start(name)
    process.start()
    if name == "octave" and "open" in request_:
        with pytest.raises(RequestFailedError):
            process.call(request_)
        return
    with pytest.raises(ProgramTimeoutError):
        process.call(request_, timeout=0.5)
    right = {"octave": "disp(1)", "r": "cat('1\\n')", "sqlite3": "select 1;", "bc": "1"}[name]
    assert "1\n" == process.call(right)


@pytest.mark.parametrize(
    ("name", "on", "off", "request_"),
    [
        ("sqlite3", ".echo on", ".echo off", "select 6 * 7;"),
        ("r", "options(echo = TRUE)", "options(echo = FALSE)", "cat('42\\n')"),
        ("octave", "echo on", "echo off", "disp(42)"),
    ],
)
def test_one_that_shows_its_commands_stays_in_step(start, name, on, off, request_):
    process = start(name)
    process.call(on)
    for _ in range(3):
        assert ["42"] == [line for line in process.call(request_).splitlines() if line == "42"]
    process.call(off)
    assert ["42\n"] * 2 == [process.call(request_) for _ in range(2)]


def test_a_prompt_inside_the_data_is_data(start):
    assert "sqlite> \n> \n" == start("sqlite3").call("select 'sqlite> ' || char(10) || '> ';")


def test_large_answers_arrive_whole(start):
    text = start("octave").call("printf('%d\\n', 1:200000)")
    assert [str(n) for n in range(1, 200_001)] == text.split()


def test_a_chess_engine_finds_a_mate(start):
    answer = start("uci").call("position fen 6k1/5ppp/8/8/8/8/8/R5K1 w - - 0 1\ngo depth 6")
    assert "bestmove a1a8" in answer.splitlines()[-1]
    assert "score mate 1" in answer


def test_octave_on_a_terminal_with_a_prompt_of_our_own(start):
    framing = Prompt(
        "{token}> ",
        start="PS1('{token}> '); PS2('{token}+ ');",
        each_line=True,
        continuation=r"{token}\+ ",
        with_stderr=True,
        error_pattern="^error: ",
    )
    process = start("octave", framing, pty=True)
    assert "ans = 2\n" == process.call("1 + 1")
    assert "1\n2\n" == process.call("for i = 1:2\ndisp(i)\nend")
    with pytest.raises(RequestFailedError, match="error: no"):
        process.call("error('no')")


def test_gnuplot_on_a_terminal_with_its_own_prompt(start):
    framing = Sentinel('print "{token}"', prompt="gnuplot> ", with_stderr=True)
    process = start("gnuplot", framing, pty=True)
    assert ["2\n", "3\n"] == [process.call("print 1 + 1"), process.call("print 1 + 2")]


def test_python_echoes_on_a_terminal_and_is_understood():
    framing = Sentinel(
        "print('{token}')",
        start="import sys; sys.ps1 = '{token}'; sys.ps2 = '{token}'",
        prompt="{token}",
        with_stderr=True,
        error_pattern="^Traceback",
    )
    with WarmProcess([sys.executable, "-i", "-q"], framing=framing, pty=True) as process:
        assert "2\n" == process.call("1 + 1")
        assert "0\n1\n" == process.call("for i in range(2):\n  print(i)\n\n")
        with pytest.raises(RequestFailedError, match="ZeroDivisionError"):
            process.call("1/0")


def test_a_wrong_option_tells_the_programs_own_words(start):
    octave = start("octave")._setup.command[0]
    with (
        WarmProcess([octave, "--no-such-option"], framing="octave") as wrong,
        pytest.raises(ProgramStartError, match="unrecognized option"),
    ):
        wrong.call("1")


# In other languages


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Return a function that compiles an example."""
    folder = tmp_path_factory.mktemp("compiled")

    def build(source, compiler, package):
        target = folder / Path(source).stem
        command = [find(compiler, package), "-O2", "-Wall", "-Werror", "-o", target]
        subprocess.run([*command, EXAMPLES / source], check=True)
        return str(target)

    return build


def test_a_program_in_c_speaks_json_lines(compiled):
    with WarmProcess([compiled("mean.c", "cc", "gcc")]) as process:
        assert 2.5 == process.call([1, 2, 3, 4])
        with pytest.raises(RequestFailedError, match="the mean of no numbers"):
            process.call([])
        assert [0.0] * 1000 == [process.call([-n, n]) for n in range(1000)]
        assert 0 == process.info().restarts


# Parallel programs

MPI = ["--oversubscribe", "-n", "4"]
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@pytest.fixture
def ranks(compiled, tmp_path):
    # What its ranks share in memory outlives them if they are killed, unless it is told where.
    shared = {"OMPI_MCA_btl_vader_backing_directory": str(tmp_path)}
    mpiexec = find("mpiexec", "openmpi-bin")
    program = compiled("ranks.c", "mpicc", "libopenmpi-dev")
    with WarmProcess([mpiexec, *MPI, program], env=AS_ROOT | shared) as process:
        yield process


def test_rank_0_speaks_for_all(ranks):
    for terms in (10, 1000, 100_000):
        answer = ranks.call(terms)
        assert 4 == answer["ranks"]
        assert abs(answer["pi"] - 3.14159265) < 2 / terms
    assert 0 == ranks.info().restarts


def test_all_ranks_end_with_it(ranks):
    import psutil

    ranks.call(10)
    processes = psutil.Process(ranks.info().pid).children(recursive=True)
    assert 4 <= len(processes)
    ranks.cancel()  # without a chance to end by itself
    assert not psutil.wait_procs(processes, timeout=10)[1]


# Large data


@pytest.mark.slow
def test_an_array_of_1_gb_passes_without_being_copied_through_the_pipe(tmp_path):
    import numpy as np

    from gc_warm import serve_command

    (tmp_path / "adder.py").write_text(
        "import numpy as np\n"
        "def add(path):\n"
        "    array = np.load(path, mmap_mode='r+')\n"
        "    array += 1\n"
        "    array.flush()\n"
        "    return [len(array), int(array[0]), int(array[-1])]\n"
    )
    size = 2**30
    command = serve_command("adder:add", path=str(tmp_path))
    with WarmProcess(command) as process, process.shared(size) as folder:
        path = folder / "array.npy"
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.int64, shape=(size // 8,))
        array[:] = 41
        process.start()
        before = _read_by(process)
        assert [size // 8, 42, 42] == process.call(str(path))
        assert 42 == array[-1]
        assert _read_by(process) - before < 100_000
        del array
    assert not folder.exists()


def _read_by(process):
    """Return how many bytes a program has read with system calls, as from a pipe."""
    lines = Path(f"/proc/{process.info().pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])
