"""Programs that are known by name: how to speak with them, and how they must be started for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gc_warm.errors import UsageError
from gc_warm.worker.program.console import Prompt, Sentinel
from gc_warm.worker.program.framing import JsonLines

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from gc_warm.worker.program.framing import Framing

# How to speak with some programs.
FRAMINGS: dict[str, Framing] = {
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


def named(
    name: str, command: Sequence[str | os.PathLike[str]]
) -> tuple[Framing, list[str | os.PathLike[str]]]:
    """Return a framing, and a command with the options that it needs.

    Raises:
        UsageError: There is no framing of that name.
    """
    if name not in FRAMINGS:
        raise UsageError(f"There is no framing {name!r}, but {', '.join(map(repr, FRAMINGS))}.")
    program, *arguments = command
    missing = [each for each in OPTIONS.get(name, ()) if each not in arguments]
    return FRAMINGS[name], [program, *missing, *arguments]
