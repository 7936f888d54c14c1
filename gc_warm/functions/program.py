r"""Ask an external program that every worker starts once and keeps running.

The worker needs the program on its PATH, or its absolute path.

    ask(["octave-cli"], "inv([2 0; 0 4])")           # "ans = ..."
    ask(["bc"], "2^100")                             # "1267650600228229401496703205376\n"
    ask(["/opt/lab/solver"], {"mesh": "a.msh"})      # one that speaks JSON lines

How to speak with the programs in `PROGRAMS` is known by their names, and they are started with the
options that this needs. What a program remembers, such as its variables, it remembers from one task
to the next.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gc_warm import JsonLines, Prompt, Sentinel, WarmProcess, self_contained, warm

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

# How to speak with some programs.
FRAMINGS: dict[str, JsonLines | Sentinel | Prompt] = {
    "json": JsonLines(),
    "bc": Sentinel(
        'print "{token}\\n"',
        error_pattern=r"^\(standard_in\).*error|^Runtime (error|warning)",
        with_stderr=True,
    ),
    "gnuplot": Sentinel('print "{token}"', error_pattern=r"^\s*(\^$|line \d+: )", with_stderr=True),
    "octave": Sentinel(
        'disp("{token}")',
        start='PS1(""); PS2(""); PS4(""); page_screen_output(false);',
        error_pattern=r"^(parse )?error:",
        with_stderr=True,
    ),
    "r": Sentinel(
        'cat("{token}\\n")',
        start="options(error = expression(NULL))",
        error_pattern=r"^Error\b",
        with_stderr=True,
    ),
    "sqlite3": Sentinel(
        ".print {token}",
        error_pattern=r"^(Error|Parse error|Runtime error|SQL error)\b",
        with_stderr=True,
    ),
    "uci": Prompt(r"^(bestmove .*|readyok)\n", keep=True, start="uci", ready=r"^uciok\n"),
}
# The options that programs must be started with for it.
OPTIONS: dict[str, tuple[str, ...]] = {
    "bc": ("-q",),
    "octave": ("--quiet", "--no-history", "--no-init-file", "--no-line-editing", "--interactive"),
    "r": ("--no-echo", "--no-save", "--no-restore"),
}
# Which framing each program speaks.
PROGRAMS = {name: name for name in ("bc", "gnuplot", "octave", "sqlite3")} | {
    "octave-cli": "octave",
    "R": "r",
    "stockfish": "uci",
}


def prepare(
    command: Sequence[str], framing: str | None = None
) -> tuple[tuple[str, ...], JsonLines | Sentinel | Prompt]:
    """Return a command with the options that its framing needs, and that framing.

    Args:
        command: The program and its arguments.
        framing: The name of one of `FRAMINGS`; by default that of the program, or ``"json"``.

    Raises:
        ValueError: There is no framing of that name.
    """
    name = framing or PROGRAMS.get(os.path.basename(command[0]), "json")  # noqa: PTH119
    if name not in FRAMINGS:
        raise ValueError(f"There is no framing {name!r}, but {', '.join(map(repr, FRAMINGS))}.")
    program, *arguments = command
    missing = [each for each in OPTIONS.get(name, ()) if each not in arguments]
    return (program, *missing, *arguments), FRAMINGS[name]


@warm(maxsize=8)
def program(
    command: tuple[str, ...], framing: JsonLines | Sentinel | Prompt
) -> Generator[WarmProcess, None, None]:
    """Keep a program running; a worker keeps the eight it used last.

    Args:
        command: The program and its arguments.
        framing: How to speak with it.
    """
    with WarmProcess(command, framing=framing) as process:
        yield process


@self_contained
def ask(
    command: Sequence[str],
    request: Any,
    *,
    framing: str | JsonLines | Sentinel | Prompt | None = None,
    timeout: float | None = 600.0,
) -> Any:
    """Send a request to a program, which the worker starts unless it is running.

    Args:
        command: The program and its arguments. For a framing of `FRAMINGS`, the options that it
            needs are added.
        request: Text in the program's language; for ``"json"`` anything that JSON can express.
        framing: How to speak with it: a framing, or the name of one in `FRAMINGS`; by default the
            one that `PROGRAMS` has for the program, or else ``"json"``.
        timeout: How long the answer may take, in seconds; None for any time.

    Returns:
        Its answer: text, or for ``"json"`` the result.

    Raises:
        RequestFailedError: The program answered with an error of its own.
        ProgramError: There is no such program, or it died, or did not answer in time.
        TypeError: ``command`` is one string instead of a list of them.
        ValueError: There is no framing of that name, or ``command`` is empty.
    """
    if isinstance(command, str):
        raise TypeError(f"command must be a list, such as {command.split()!r}, not a string.")
    if not command:
        raise ValueError("command must be a list of the program and its arguments; it is empty.")
    if framing is None or isinstance(framing, str):
        started, chosen = prepare(command, framing)
    else:
        started, chosen = tuple(command), framing
    return program(started, chosen).call(request, timeout=timeout)
