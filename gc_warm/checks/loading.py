"""Have a config rendered and loaded in a separate process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.logs import tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 60.0


@dataclass(frozen=True)
class Loaded:
    """What came of rendering and loading.

    Attributes:
        text: What a template rendered to.
        settings: What was loaded, as plain data.
        kind: The failure's type, empty if there is none.
        failure: What it says.
        step: ``render``, ``load`` or ``start``: how far it came.
        notes: What could not be verified here, though loading went on.
        here: Whether it may be this machine that is wrong, and not the config.
    """

    text: str | None = None
    settings: dict[str, Any] | None = None
    kind: str = ""
    failure: str = ""
    step: str = "load"
    here: bool = False
    notes: Sequence[str] = ()


def load(
    *,
    text: str = "",
    folder: Path | None = None,
    template: Path | None = None,
    schema: Path | None = None,
    options: Sequence[Mapping[str, Any]] = ({},),
    environment: Mapping[str, str] | None = None,
    timeout: float = SECONDS,
) -> list[Loaded]:
    """Render a template and load what comes of it; or load a folder's config, or a text.

    Args:
        text: A config in YAML.
        folder: A folder with ``config.py`` or ``config.yaml``.
        template: A template.
        schema: The schema that its options must follow.
        options: The options; where there are several, all are tried in turn.
        environment: Variables that the endpoint would have.
        timeout: How long all of it may take, in seconds.

    Returns:
        What came of it, for each of the options.
    """
    request = {
        "text": text,
        "folder": folder and str(folder.absolute()),
        "template": template and str(template.absolute()),
        "schema": schema and str(schema.absolute()),
        "options": [dict(each) for each in options],
        "environment": dict(environment or {}),
        "seconds": timeout,
    }
    with tempfile.TemporaryDirectory(prefix="gcw-check-", ignore_cleanup_errors=True) as scratch:
        asked, answered = Path(scratch, "request"), Path(scratch, "answer")
        asked.write_text(json.dumps(request), encoding="utf-8")
        printed = _run_loader(asked, answered, timeout)
        with suppress(OSError, ValueError):
            return [Loaded(**each) for each in json.loads(answered.read_text(encoding="utf-8"))]
    step = "render" if template else "load"
    return [Loaded(kind="NoAnswer", failure=printed, step=step)] * len(options)


def _run_loader(asked: Path, answered: Path, timeout: float) -> str:
    """Run it, and return why there may be no answer."""
    errors = asked.with_name("errors")  # a file, whose size is limited, and no pipe that fills
    with errors.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "gc_warm.checks.loader", str(asked), str(answered)],
            cwd=asked.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        return f"it took longer than {timeout:g} seconds"
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it started must not outlive it
        process.wait()
    return f"it ended with {process.returncode}: {tail(errors, size=500)}".rstrip(": ")
