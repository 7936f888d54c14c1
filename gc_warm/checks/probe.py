"""The program in which configs are rendered and loaded.

Loading a config runs code: a ``config.py`` is a program, templates can loop, providers ask the
scheduler. So it happens in a process of its own, with a time limit, and the folder's own
environment. It gets a request and leaves an answer, both JSON files.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

# What is wrong with the machine that checks, not with the config.
_OF_THIS_MACHINE = ("OSError", "ImportError", "OptionalModuleMissing", "ConfigException")


def main() -> None:
    """Answer one request: ``python -m gc_warm.checks.probe REQUEST ANSWER``."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    os.environ.update(request["environment"])
    answers = [_answer(request, options) for options in request["options"]]
    Path(sys.argv[2]).write_text(json.dumps(answers), encoding="utf-8")


def _answer(request: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"text": None, "settings": None, "failure": None}
    try:
        from gc_warm.checks import rendering

        if request["template"]:
            answer["step"] = "render"
            schema = request["schema"] and Path(request["schema"])
            answer["text"] = rendering.render(Path(request["template"]), schema, options)
            answer["step"] = "load"
            config = rendering.load_text(answer["text"])
        elif request["folder"]:
            answer["step"] = "load"
            config = rendering.load_folder(Path(request["folder"]))
        else:
            answer["step"] = "load"
            config = rendering.load_text(request["text"])
        answer["settings"] = rendering.describe(config)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        answer["failure"] = _failure(error)
    return answer


def _failure(error: BaseException) -> dict[str, Any]:
    names: list[str] = []
    link: BaseException | None = error
    while link is not None and len(names) < 20:  # noqa: PLR2004 - a chain may be a ring
        names += [kind.__name__ for kind in type(link).__mro__]
        link = link.__cause__ or link.__context__
    text = getattr(error, "message", None) or str(error)  # jsonschema's and click's are shorter
    return {
        "kind": type(error).__name__,
        "text": str(text)[:2000],
        "here": any(name in names for name in _OF_THIS_MACHINE),
    }


if __name__ == "__main__":
    main()
