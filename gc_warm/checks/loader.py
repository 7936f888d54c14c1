"""The program in which configs are rendered and loaded.

Loading a config runs code: a ``config.py`` is a program, and templates can loop. So it happens in a
process of its own, with a time limit, and the folder's own environment; harmless.py keeps it from
acting. It gets a request and leaves an answer, both JSON files. What a config does, it may do with
little memory and disk: the limits are far above what any config needs.
"""

from __future__ import annotations

import errno
import json
import math
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

MAX_MEMORY = 4 * 1024**3
MAX_FILE = 64 * 1024**2
MAX_TEXT = 256 * 1024
# What is wrong with the machine that runs the check, not with the config.
_OF_THIS_MACHINE = ("OSError", "ImportError", "OptionalModuleMissing")


def main() -> None:
    """Answer one request: ``python -m gc_warm.checks.loader REQUEST ANSWER``."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    _limit(math.ceil(request["seconds"]) + 1)
    os.environ.update(request["environment"])
    from gc_warm.checks import harmless
    from gc_warm.endpoint_config import own_runtime

    notes: list[str] = []
    request["runtime"] = own_runtime()  # asks programs of this machine, which a config may not
    harmless.disarm(notes, programs=request["folder"] is not None)
    answers = [_answer(request, options, notes) for options in request["options"]]
    Path(sys.argv[2]).write_text(json.dumps(answers), encoding="utf-8")
    os._exit(0)  # threads that a config started would be waited for


def _limit(seconds: int) -> None:
    """Limit what a config takes; its time, too, for who waits for the answer may be killed."""
    signal.alarm(seconds)
    for kind, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, MAX_MEMORY),
        (resource.RLIMIT_FSIZE, MAX_FILE),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):  # not every system knows every limit
            resource.setrlimit(kind, (allowed, hard))


def _answer(request: dict[str, Any], options: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    from gc_warm import endpoint_config
    from gc_warm.checks import engine

    answer: dict[str, Any] = {"step": "load"}  # as `gc_warm.checks.loading.Loaded` has it
    notes.clear()
    try:
        if request["template"]:
            answer["step"] = "render"
            schema = request["schema"] and Path(request["schema"])
            answer["text"] = endpoint_config.render(
                Path(request["template"]), schema, options, runtime=request["runtime"]
            )
            answer["step"] = "load"
            config = endpoint_config.load_text(answer["text"])
        elif request["folder"]:
            config = endpoint_config.load_folder(Path(request["folder"]))
        else:
            config = endpoint_config.load_text(request["text"])
        answer["settings"] = engine.describe(config)
        answer["step"] = "start"
        engine.rehearse(config, str(Path(sys.argv[2]).parent))
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is
        answer |= _failure(error)
    answer["notes"] = list(dict.fromkeys(notes))
    if len(answer.get("text", "")) > MAX_TEXT:
        answer = {"step": "render", "notes": answer["notes"]}
        answer |= _failure(ValueError(f"it becomes longer than {MAX_TEXT} characters"))
    return answer


def _failure(error: BaseException) -> dict[str, Any]:
    names: list[str] = []
    link: BaseException | None = error
    own = getattr(error, "errno", None) == errno.EFBIG  # it met our limit, which is its fault
    while link is not None and len(names) < 20:  # noqa: PLR2004 - a chain may be a ring
        names += [kind.__name__ for kind in type(link).__mro__]
        link = link.__cause__ or link.__context__
    return {
        "kind": type(error).__name__,
        "failure": _message(error)[:2000],
        "here": not own and any(name in names for name in _OF_THIS_MACHINE),
    }


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it exits with {error.code!r}"
    try:
        return str(getattr(error, "message", None) or error)  # jsonschema's, click's are shorter
    except Exception:  # noqa: BLE001 - a config can raise what cannot be shown
        return ""


if __name__ == "__main__":
    main()
