"""Run programs as scripts and notebooks are run, and submit what they say to a worker.

A program reaches the worker by functions of its own namespace: ``__submit__(f, 1)`` sends `f` and
compares the answer with that of the call made here at the same moment. ``__submit_again__`` does
so with the self-contained function that was made of `f` before, ``__submit_later__`` has the worker
unpickle it now and call it at the end of the program, and ``__submit_once__`` is for functions
whose calls change what the next one returns: the worker keeps its own state, so only its first call
counts.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import contextlib
import hashlib
import itertools
import linecache
import pickle
import select
import subprocess
import sys
import types
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gc_warm import self_contained
from gc_warm.errors import ShippingError, UsageError
from gc_warm.worker.self_contained import SelfContained

from . import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .programs import Program

STEMS = ("analysis", "run")
_numbers = itertools.count(1)

Answer = tuple[str, str]


class Far(Protocol):
    """Where submitted functions are called."""

    def load(self, key: int, payload: bytes, function: Callable[..., Any]) -> Answer:
        """Unpickle a function, to be called later."""

    def call(self, key: int, arguments: bytes) -> Answer:
        """Call a function that was unpickled."""

    def run(self, payload: bytes, arguments: bytes, function: Callable[..., Any]) -> Answer:
        """Unpickle a function, and call it."""


class Worker:
    """A Python that has the standard library alone, and answers one call after the other.

    Args:
        seconds: How long an answer may take.
    """

    def __init__(self, seconds: float = 20) -> None:
        self.seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:  # noqa: PYI034  (typing.Self is not in Python 3.10)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, key: int, payload: bytes, function: Callable[..., Any]) -> Answer:
        return self._ask("load", key, payload, b"")

    def call(self, key: int, arguments: bytes) -> Answer:
        return self._ask("call", key, b"", arguments)

    def run(self, payload: bytes, arguments: bytes, function: Callable[..., Any]) -> Answer:
        return self._ask("run", 0, payload, arguments)

    def _ask(self, *request: object) -> Answer:
        if self._process is None:
            command = [sys.executable, "-I", "-S", answers.__file__]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0)
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            answers.write(process.stdin, request)
            if not select.select([process.stdout], [], [], self.seconds)[0]:
                self.close()
                return "failed", f"no answer in {self.seconds} seconds"
            header = _read(process.stdout, answers.HEADER.size)
            return pickle.loads(_read(process.stdout, *answers.HEADER.unpack(header)))
        except (OSError, EOFError):
            code = process.wait()
            self.close()
            return "failed", f"the worker ended with {code}"

    def close(self) -> None:
        """End the process; the next request starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _read(stream: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


@dataclass
class Submission:
    """What became of a submitted call.

    Attributes:
        call: What was called.
        how: ``same``, ``refused``, ``differs``, ``failed``; or ``cold``, if the same submission
            once more would find nothing of this one.
        here: What the call made here returned or raised, or why it was refused.
        there: What the worker answered.
    """

    call: str
    how: str
    here: str
    there: str = ""

    def __str__(self) -> str:
        return f"{self.call} {self.how}\n    here:  {self.here}\n    there: {self.there}"


@dataclass
class Lab:
    """What the programs of a test share.

    Attributes:
        worker: That to which all of them submit.
        folder: For their files.
        sent: The payloads that were sent of functions that change what they return.
    """

    worker: Far
    folder: Path
    sent: set[bytes] = field(default_factory=set)


class Session:
    """A program that runs, in this process."""

    def __init__(self, program: Program, lab: Lab) -> None:
        self.program = program
        self.submissions: list[Submission] = []
        self.errors: list[str] = []  # that ended the script, or a cell
        self._lab = lab
        self._number = next(_numbers)
        self._module = types.ModuleType("__main__")
        self._made: dict[int, tuple[Any, Any]] = {}
        self._later: list[Callable[[], None]] = []
        self._files: list[str] = []

    def steps(self, *, one_by_one: bool) -> Iterator[None]:
        """Run it up to the next point where another program may go on."""
        run = self._notebook() if self.program.notebook else self._script(one_by_one=one_by_one)
        while True:
            with self._as_main():
                try:
                    next(run)
                except StopIteration:
                    break
            yield
        for call in self._later:
            call()
        for file in self._files:
            linecache.cache.pop(file, None)
            Path(file).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _as_main(self) -> Iterator[None]:
        before = sys.modules["__main__"]
        if self.program.as_main:
            sys.modules["__main__"] = self._module
        try:
            yield
        finally:
            sys.modules["__main__"] = before

    # As a script

    def _script(self, *, one_by_one: bool) -> Iterator[None]:
        stem = STEMS[self._number % len(STEMS)]
        path = self._lab.folder / str(self._number) / f"{stem}.py"
        path.parent.mkdir()
        file = str(path)
        self._files.append(file)
        for text in self.program.texts:
            self._begin(__file__=file)
            path.write_bytes(self._marked(text).encode(self.program.encoding, "surrogatepass"))
            linecache.cache.pop(file, None)
            try:
                tree = ast.parse(path.read_bytes(), file)
                if one_by_one:
                    yield from self._statements(tree, file)
                else:
                    exec(compile(tree, file, "exec", dont_inherit=True), vars(self._module))
            except Exception as error:
                self.errors.append(repr(error))
            yield

    def _statements(self, tree: ast.Module, file: str) -> Iterator[None]:
        flags = 0
        for node in tree.body:
            flags |= _future(node)
            code = compile(ast.Module([node], []), file, "exec", flags, dont_inherit=True)
            exec(code, vars(self._module))
            yield

    # As a notebook

    def _notebook(self) -> Iterator[None]:
        self._begin()
        flags = 0
        for number, marked in enumerate(self.program.texts, 1):
            text = self._marked(marked)
            # As in IPython, where each cell is a file; or as in Jupyter, where each text is.
            file = f"<cell {self._number}-{number}>"
            if self._number % 2:
                digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
                file = f"/tmp/ipykernel_{self._number}/{digest}.py"
            lines = [f"{line}\n" for line in text.removesuffix("\n").split("\n")]
            linecache.cache[file] = (len(text), None, lines, file)
            self._files.append(file)
            try:
                tree = ast.parse(text, file)
                code = compile(tree, file, "exec", flags, dont_inherit=True)
                flags |= sum(map(_future, tree.body))
                exec(code, vars(self._module))
            except Exception as error:
                self.errors.append(repr(error))
            yield

    def _marked(self, text: str) -> str:
        """Give functions that keep state names of this run's own: no other shares that state."""
        return text.replace(
            "_U", f"_U{next(_numbers)}_" if not self.program.notebook else self._mark
        )

    @property
    def _mark(self) -> str:
        return f"_U{self._number}_"

    def _begin(self, **names: Any) -> None:
        self._module = types.ModuleType("__main__")
        if self.program.as_main:
            sys.modules["__main__"] = self._module
        vars(self._module).update(
            names,
            __builtins__=builtins,
            __annotations__={},
            __submit__=self._submit,
            __submit_again__=partial(self._submit, again=True),
            __submit_later__=partial(self._submit, later=True),
            __submit_once__=partial(self._submit, once=True),
        )

    # What it submits

    def _submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        again: bool = False,
        later: bool = False,
        once: bool = False,
    ) -> None:
        call = f"{getattr(function, '__qualname__', function)}{arguments}"
        try:
            carried = self._carried(function, again=again)
        except UsageError:
            return  # the name is bound to something else now
        try:
            payload = pickle.dumps(carried, protocol=4)
        except ShippingError as error:
            self.submissions.append(Submission(call, "refused", str(error)))
            return
        except Exception as error:
            self.submissions.append(Submission(call, "failed", f"when sent: {error!r}"))
            return
        given = pickle.dumps(arguments)
        add = partial(self._compare, call, payload, given)
        if later:
            key = next(_numbers)
            reply = self._lab.worker.load(key, payload, function)
            here = answers.answer(function, arguments)
            if reply[0] == "failed":
                add(here, reply)
            else:
                self._later.append(lambda: add(here, self._lab.worker.call(key, given)))
            return
        if once and payload in self._lab.sent:
            answers.answer(function, arguments)
            return
        if once:
            self._lab.sent.add(payload)
        there = self._lab.worker.run(payload, given, function)
        add(answers.answer(function, arguments), there)
        if not once and pickle.dumps(carried, protocol=4) != payload:
            why = "it is another version now, though nothing was changed"
            self.submissions.append(Submission(call, "cold", why))

    def _carried(self, function: Callable[..., Any], *, again: bool) -> Any:
        if isinstance(function, SelfContained):
            return function
        known = self._made.get(id(function))
        if again and known is not None:
            return known[1]
        made = self_contained(function)
        self._made[id(function)] = function, made
        return made

    def _compare(
        self, call: str, payload: bytes, given: bytes, here: Answer, there: Answer
    ) -> None:
        if here == there:
            how = "same"
        else:
            how = "failed" if there[0] == "failed" else "differs"
            there = (there[0], there[1] + self._alone(payload, given, here))
        self.submissions.append(Submission(call, how, ": ".join(here), ": ".join(there)))

    def _alone(self, payload: bytes, given: bytes, here: Answer) -> str:
        """Say whether a worker that did nothing else answers the same."""
        if not isinstance(self._lab.worker, Worker):
            return ""
        with Worker() as fresh:
            again = fresh.run(payload, given, lambda: None)
        return "" if again != here else "\n    (a fresh worker gives the right answer)"


def _future(node: ast.stmt) -> int:
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return sum(getattr(__future__, alias.name).compiler_flag for alias in node.names)
    return 0


def run_all(
    programs: Sequence[Program], lab: Lab, *, turns: Iterable[int] = (), one_by_one: bool = False
) -> list[Session]:
    """Run programs, in turns; return their sessions.

    Args:
        programs: What to run.
        lab: Where.
        turns: Which goes on for a step, time and again.
        one_by_one: Whether a script may be interrupted after each statement.
    """
    sessions = [Session(program, lab) for program in programs]
    runs = [each.steps(one_by_one=one_by_one or len(programs) > 1) for each in sessions]
    for turn in turns:
        next(runs[turn % len(runs)], None)
    for run in runs:
        for _ in run:
            pass
    return sessions


def failures(sessions: Iterable[Session]) -> list[Submission]:
    """Return the submissions that did not end as they should."""
    return [
        each
        for session in sessions
        for each in session.submissions
        if each.how not in ("same", "refused")
    ]
