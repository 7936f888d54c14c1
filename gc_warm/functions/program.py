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

# Which framing each program speaks.
PROGRAMS = {name: name for name in ("bc", "gnuplot", "octave", "sqlite3")} | {
    "octave-cli": "octave",
    "R": "r",
    "stockfish": "uci",
}


@warm(maxsize=8)
def program(
    command: tuple[str, ...], framing: str | JsonLines | Sentinel | Prompt
) -> Generator[WarmProcess, None, None]:
    """Keep a program running; a worker keeps the eight it used last.

    Args:
        command: The program and its arguments.
        framing: How to speak with it, as for `WarmProcess`.
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
        command: The program and its arguments. For a framing that is named, the options that it
            needs are added.
        request: Text in the program's language; for ``"json"`` anything that JSON can express.
        framing: How to speak with it: a framing, or the name of one, as for `WarmProcess`; by
            default the one that `PROGRAMS` has for the program, or else ``"json"``.
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
    if framing is None:
        framing = PROGRAMS.get(os.path.basename(command[0]), "json")  # noqa: PTH119
    return program(tuple(command), framing).call(request, timeout=timeout)
