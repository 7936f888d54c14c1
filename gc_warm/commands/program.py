"""``gc-warm program``: talk to a program that is kept running."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gc_warm.commands.shared.arguments import SECONDS, parse_value, require_stdin
from gc_warm.commands.shared.command import Command, Exit
from gc_warm.errors import GcWarmError
from gc_warm.units import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm.worker.program.framing import Framing

QUIET_SECONDS = 3.0
"""After this time without an answer, a command says what it waits for."""


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True},
    examples=[
        "echo '2 ^ 10' | gc-warm program -- bc",
        "gc-warm program --framing r -- /opt/R/bin/Rterm",
        """gc-warm program --end 'disp("{token}")' --stderr -- octave-cli --quiet""",
    ],
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--framing",
    metavar="NAME",
    help="One that is known: json, bc, gnuplot, octave, r, sqlite3 or uci, with the options that "
    "the program needs for it.  [default: by the program's name, or json]",
)
@click.option("--end", metavar="TEXT", help="A command that prints {token} and a newline.")
@click.option("--prompt", metavar="REGEX", help="The prompt, or the last line of an answer.")
@click.option("--start", default="", show_default=False, metavar="TEXT", help="What to send first.")
@click.option("--error", "error_pattern", metavar="REGEX", help="What an error looks like.")
@click.option("--stderr", "with_stderr", is_flag=True, help="Standard error is part of answers.")
@click.option("--echo", is_flag=True, help="The program repeats what it reads.")
@click.option("--pty", is_flag=True, help="Give it a terminal.")
@click.option(
    "--timeout",
    default=60.0,
    type=SECONDS,
    help="Seconds that the start, and each answer, may take.",
)
def program(command: tuple[str, ...], timeout: float, *, pty: bool, **options: Any) -> int:
    """Keep a program running, and send it lines of input.

    Each line of standard input is a request. Each answer is shown with the time that it took.
    """
    return _converse(command, _framing(command, **options), timeout, pty=pty)


def _framing(
    command: tuple[str, ...],
    *,
    framing: str | None,
    end: str | None,
    prompt: str | None,
    echo: bool,
    **common: Any,
) -> Framing | str:
    """Return how to speak with the program: a framing, or the name of one."""
    from gc_warm.functions.program import PROGRAMS
    from gc_warm.worker.program.console import Prompt, Sentinel

    if end is not None:
        return Sentinel(end, prompt=prompt, echo=echo, **common)
    if prompt is not None:
        return Prompt(prompt, keep=prompt.endswith("\\n"), echo=echo, **common)
    return framing or PROGRAMS.get(Path(command[0]).name, "json")


def _converse(
    command: tuple[str, ...], framing: Framing | str, timeout: float, *, pty: bool
) -> int:
    """Send each line of standard input to a program; fail if one was not answered."""
    from gc_warm.worker.program.process import WarmProcess

    require_stdin("Requests")
    failures = 0
    options: Any = {"timeout": timeout, "start_timeout": timeout, "pty": pty}
    with WarmProcess(command, framing=framing, **options) as process:
        known = process.framing
        begin = time.perf_counter()
        with _hint_if_silent(f"{process.command} to become ready", known.hint, timeout):
            process.start()
        click.echo(f"started {process.command} in {duration(time.perf_counter() - begin)}")
        for line in click.get_binary_stream("stdin"):
            text = line.decode(errors="surrogateescape").rstrip("\n")
            begin = time.perf_counter()
            try:
                request = parse_value("a request", text) if known.numbered else text
                with _hint_if_silent(f"an answer of {process.command}", known.late, timeout):
                    answer = process.call(request)
            except GcWarmError as error:
                answer = f"{type(error).__name__}: {error}"
                failures += 1
            took = duration(time.perf_counter() - begin)
            shown = answer.rstrip("\n") if isinstance(answer, str) else json.dumps(answer)
            told = f"> {text}\n{shown}\n  [{took}]"
            click.echo(told.encode(errors="backslashreplace"))
    return Exit.FAILED if failures else Exit.OK


@contextmanager
def _hint_if_silent(what: str, why: str, timeout: float) -> Iterator[None]:
    """Say what is waited for, and what may be the reason, if it takes long."""
    hint = f"waiting up to {timeout:g} s for {what}" + (f": {why}" if why else "")
    timer = threading.Timer(QUIET_SECONDS, click.echo, [hint], {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
