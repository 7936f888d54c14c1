"""Run many generated programs, and print each kind of failure once, with a minimal program.

In ``tests/unit/shipping``: ``python -m differential --programs 2000 --seed 1``. What it prints can
be put into `found.py` as it is.
"""

# ruff: noqa: T201  (a program: it prints)

from __future__ import annotations

import argparse
import collections
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .programs import SEEDS, Options, Step, build, number_of_choices
from .sessions import Lab, Session, Submission, Worker, failures, run_all
from .twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TRIES = 6  # how many failures of a kind are looked at
Drawn = tuple[list[Step], Options]


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m differential")
    parser.add_argument("--programs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ordinary", action="store_true", help="only what most programs do")
    parser.add_argument("--pairs", action="store_true", help="two programs, in turns")
    parser.add_argument("--refused", action="store_true", help="print what is refused, too")
    parser.add_argument("--ignore", default="^$", help="kinds that are known: an expression")
    parser.add_argument("--twin", action="store_true", help="try the harness, with a right worker")
    parser.add_argument("--show", type=int, metavar="N", help="print a program, and run nothing")
    arguments = parser.parse_args()
    random_ = random.Random(arguments.seed)
    if arguments.show is not None:
        for _ in range(arguments.show):
            steps, options = _draw(random_, ordinary=arguments.ordinary)
            print(build(steps, options, ordinary=arguments.ordinary), end="\n\n")
        return 0
    worker = Twin() if arguments.twin else Worker()
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _Search(Lab(worker, Path(folder)), random_, arguments).run()
        finally:
            if isinstance(worker, Worker):
                worker.close()


def _draw(random_: random.Random, *, ordinary: bool) -> Drawn:
    steps = [
        Step(
            random_.randrange(number_of_choices(ordinary=ordinary)),
            random_.randrange(SEEDS),
            random_.randrange(SEEDS),
        )
        for _ in range(random_.randint(4, 16))
    ]
    options = Options(
        notebook=random_.random() < 0.5,
        as_main=random_.random() < 0.3,
        future=random_.random() < 0.1,
        encoding=random_.choice((0, 0, 0, 0, 1, 2)),
    )
    return steps, options


class _Search:
    def __init__(self, lab: Lab, random_: random.Random, arguments: argparse.Namespace) -> None:
        self._lab = lab
        self._random = random_
        self._arguments = arguments
        self._found: set[str] = set()
        self._times: collections.Counter[str] = collections.Counter()
        self._ends: collections.Counter[str] = collections.Counter()
        self._reasons: collections.Counter[str] = collections.Counter()
        self._errors: collections.Counter[str] = collections.Counter()

    def run(self) -> int:
        start = time.perf_counter()
        for _ in range(self._arguments.programs):
            self._one()
        seconds = time.perf_counter() - start
        print(f"{self._arguments.programs} programs in {seconds:.1f} s: {dict(self._ends)}")
        print("failed:", *(f"  {n} {kind}" for kind, n in self._times.items()), sep="\n")
        print(
            "refused:",
            *(f"  {n} {reason}" for reason, n in self._reasons.most_common(25)),
            sep="\n",
        )
        print("errors:", *(f"  {n} {text}" for text, n in self._errors.most_common(12)), sep="\n")
        return len(self._found)

    def _one(self) -> None:
        count = 2 if self._arguments.pairs else 1
        drawn = [_draw(self._random, ordinary=self._arguments.ordinary) for _ in range(count)]
        turns = [self._random.randrange(2) for _ in range(60)] if count == 2 else []
        sessions = self._run(drawn, turns)
        for session in sessions:
            self._ends.update(each.how for each in session.submissions)
            self._errors.update(reason_of(text) for text in session.errors)
            self._ends["ended early"] += bool(session.errors) and not session.program.notebook
            self._ends["without submission"] += not session.submissions
            self._reasons.update(
                reason_of(each.here) for each in session.submissions if each.how == "refused"
            )
        for kind in {_kind_of(failure) for failure in self._failures(sessions)}:
            self._times[kind] += 1
            known = re.search(self._arguments.ignore, kind)
            if self._times[kind] <= TRIES and not known:
                self._note(kind, drawn, turns)

    def _note(self, kind: str, drawn: list[Drawn], turns: Sequence[int]) -> None:
        """Find a minimal program, and keep it unless there is one of the same statements."""
        drawn = _shrink(drawn, lambda some: self._fails(some, turns, kind))
        sessions = self._run(drawn, turns)
        same = [each for each in self._failures(sessions) if _kind_of(each) == kind]
        first = number_of_choices(ordinary=self._arguments.ordinary, snippets=False)
        snippets = sorted({step.what for steps, _ in drawn for step in steps} - {*range(first)})
        key = f"{kind} {snippets if same else '(not again)'}"
        if key not in self._found:
            self._found.add(key)
            print(
                f"== {key}", *same[:1], *(each.program for each in sessions), sep="\n", end="\n\n"
            )

    def _run(self, drawn: Sequence[Drawn], turns: Sequence[int]) -> list[Session]:
        programs = [build(*each, ordinary=self._arguments.ordinary) for each in drawn]
        return run_all(programs, self._lab, turns=turns)

    def _fails(self, drawn: Sequence[Drawn], turns: Sequence[int], kind: str) -> bool:
        sessions = self._run(drawn, turns)
        return any(_kind_of(each) == kind for each in self._failures(sessions))

    def _failures(self, sessions: Sequence[Session]) -> list[Submission]:
        refused = [each for one in sessions for each in one.submissions if each.how == "refused"]
        return failures(sessions) + (refused if self._arguments.refused else [])


def reason_of(text: str) -> str:
    """Return a message without what is different in each program."""
    text = text.partition("cannot be self-contained. ")[2] or text
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "…", text)
    return re.sub(r"\d+|/\S+|<cell.*?>|<ipy.*?>", "…", text)[:160]


def _kind_of(failure: Submission) -> str:
    """Return a name for failures that probably have one cause."""
    if failure.how == "refused":
        return f"refused {reason_of(failure.here)}"
    if failure.how == "differs":
        ends = [re.match(r"\w+(?:: \w+(?=\())?", text) for text in (failure.here, failure.there)]
        return " ".join(["differs", *(found[0] for found in ends if found)])
    if failure.how == "cold":
        return "cold"
    lines = failure.there.strip().splitlines() or failure.here.splitlines()
    lines = [line for line in lines if "fresh worker" not in line]
    fresh = " only after others" if "fresh worker" in failure.there else ""
    return f"failed {reason_of(lines[-1])}{fresh}"


def _shrink(drawn: list[Drawn], fails: Callable[[list[Drawn]], bool]) -> list[Drawn]:
    """Leave out and simplify steps, as long as it fails."""
    for which in range(len(drawn)):
        index = len(drawn[which][0]) - 1
        while index >= 0:
            steps, options = drawn[which]
            old = steps[index]
            tries = [steps[:index] + steps[index + 1 :]]
            simpler = old._replace(names=0, body=0), old._replace(names=0), old._replace(body=0)
            tries += [[*steps[:index], new, *steps[index + 1 :]] for new in simpler]
            for smaller in tries:
                candidate = [*drawn[:which], (smaller, options), *drawn[which + 1 :]]
                if smaller != steps and fails(candidate):
                    drawn = candidate
                    break
            index -= 1
    return drawn


if __name__ == "__main__":
    sys.exit(main())
