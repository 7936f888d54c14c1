"""What workers find around them, as an executor is told it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def surroundings_of(
    python: str | os.PathLike[str] | None,
    path: Sequence[str | os.PathLike[str]],
    environment: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Check ``worker_python``, ``worker_path`` and ``worker_env``; return what backends take.

    Raises:
        UsageError: One of them is wrong.
    """
    return {"python": python, "path": _folders(path), "environment": _environment(environment)}


def _folders(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    if isinstance(paths, str | os.PathLike):
        raise UsageError(f"worker_path={paths!r} should be a sequence of folders.")
    folders = [Path(path).resolve() for path in paths]
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise UsageError(f"In worker_path, these are not folders: {', '.join(missing)}.")
    return [str(folder) for folder in folders]


def _environment(variables: Mapping[str, str] | None) -> dict[str, str]:
    variables = dict(variables or {})
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise UsageError(f"In worker_env, {name!r}: {value!r} should be two strings.")
    return variables
