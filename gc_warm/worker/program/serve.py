"""The program's side of JSON lines, for programs written in Python.

Either in the program's own ``main``, after its start-up::

    from gc_warm import serve
    serve(solve)

or, for a function of any module that Python finds::

    python -m gc_warm.worker.program.serve solver:solve --workers 4

This file needs nothing of gc-warm: `serve_command` hands its text to any Python.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROTOCOL = 1
_CHUNK = 65536


def serve(
    function: Callable[[Any], Any], *, workers: int = 1, idle_timeout: float | None = None
) -> None:
    """Answer requests with a function, until there are no more.

    What the function prints, or anything that it calls, goes to standard error. An exception is an
    answer like any other.

    Args:
        function: Called with each request; returns what JSON can express.
        workers: How many requests are worked on at once, in threads; with one, in order.
        idle_timeout: Return after so many seconds without a request; None for never.
    """
    serve_on(*_private_descriptors(), function, workers=workers, idle_timeout=idle_timeout)


def serve_on(
    requests: int,
    answers: int,
    function: Callable[[Any], Any],
    *,
    workers: int = 1,
    idle_timeout: float | None = None,
) -> None:
    """Do what `serve` does, on two other descriptors."""
    writing = threading.Lock()

    def reply(line: bytes) -> None:
        answer = _answer(function, line)
        with writing:
            _write(answers, answer)

    # The newline ends whatever was printed before the descriptors were private.
    _write(answers, b'\n{"ready": true, "protocol": %d, "pid": %d}\n' % (PROTOCOL, os.getpid()))
    lines = _lines(requests, idle_timeout)
    try:
        if workers == 1:
            for line in lines:
                reply(line)
        else:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(workers) as pool:
                for line in lines:
                    pool.submit(reply, line)
    except BrokenPipeError:
        pass  # nobody wants the answers any more


def _private_descriptors() -> tuple[int, int]:
    """Take over standard input and output, so that nobody else reads or writes there."""
    sys.stdout.flush()
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # another object may stand there
    if reconfigure is not None:
        reconfigure(line_buffering=True)
    return requests, answers


def _lines(descriptor: int, idle_timeout: float | None) -> Iterator[bytes]:
    """Yield each line that arrives, until the end of the input or a long silence."""
    buffer = bytearray()
    searched = 0
    while idle_timeout is None or select.select([descriptor], [], [], idle_timeout)[0]:
        data = os.read(descriptor, _CHUNK)
        if not data:
            return
        buffer += data
        while (end := buffer.find(b"\n", searched)) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            searched = 0
            yield line
        searched = len(buffer)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _answer(function: Callable[[Any], Any], line: bytes) -> bytes:
    """Return the line that answers a line."""
    number = None
    try:
        message = json.loads(line)
        number = message["id"]
        text = json.dumps(function(message["request"])).encode()
        return b'{"id": %d, "result": %b}\n' % (number, text)  # noqa: TRY300  (it may fail, too)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (even sys.exit() in a request is its answer)
        return _error(number, error)


def _error(number: Any, error: BaseException) -> bytes:
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    described = {
        "type": type(error).__name__,
        "message": _text_of(error),
        "traceback": "".join(lines[-40:]),
    }
    return json.dumps({"id": number, "error": described}).encode() + b"\n"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as nested:  # noqa: BLE001  (an exception that cannot be shown must not kill)
        return f"<its message cannot be shown: {type(nested).__name__}>"


def serve_command(
    target: str,
    *,
    python: str | None = None,
    path: str | None = None,
    workers: int = 1,
    idle_timeout: float | None = None,
) -> list[str]:
    """Return the command that serves a function, even where gc-warm is not installed.

    Args:
        target: ``module:function``; of a class, one instance is made and called.
        python: The Python to run it; otherwise this one.
        path: A folder in which it also looks for modules.
        workers: As for `serve`.
        idle_timeout: As for `serve`.
    """
    import inspect

    program = inspect.getsource(sys.modules[__name__])
    command = [python or sys.executable, "-c", program, target, "--workers", str(workers)]
    if path is not None:
        command += ["--path", path]
    if idle_timeout is not None:
        command += ["--idle-timeout", str(idle_timeout)]
    return command


def main() -> None:
    """Serve the function that the command line names."""
    import argparse

    parser = argparse.ArgumentParser(prog="gc_warm.worker.program.serve", description=serve.__doc__)
    parser.add_argument("target", metavar="MODULE:FUNCTION")
    parser.add_argument("--path", help="a folder in which to look for modules, too")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--idle-timeout", type=float)
    options = parser.parse_args()
    # Before the import, which may print.
    descriptors = _private_descriptors()
    if options.path:
        sys.path.insert(0, options.path)
    function = _find(parser, options.target)
    serve_on(*descriptors, function, workers=options.workers, idle_timeout=options.idle_timeout)


def _find(parser: Any, target: str) -> Any:
    import importlib

    module, colon, name = target.partition(":")
    if not (module and colon and name):
        parser.error(f"{target!r} is no MODULE:FUNCTION, such as solver:solve")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found() if isinstance(found, type) else found


if __name__ == "__main__":
    main()
