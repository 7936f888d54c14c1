"""What workers find around them, as an executor is told it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError
from gc_warm.local.output import Display
from gc_warm.local.surroundings.python import check_packages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def surroundings_of(
    python: str | os.PathLike[str] | None,
    path: Sequence[str | os.PathLike[str]],
    environment: Mapping[str, str] | None,
    packages: Sequence[str],
    output: bool | str | os.PathLike[str] | None,  # noqa: FBT001
) -> dict[str, Any]:
    """Check the options ``worker_*`` and ``output``; return what backends take.

    Raises:
        UsageError: One of them is wrong.
    """
    if python is not None and packages:
        raise UsageError("worker_packages= is for this Python: worker_python= has what it has.")
    check_packages(packages)
    return {
        "python": python,
        "path": _folders(path),
        "environment": _environment(environment),
        "packages": tuple(packages),
        "display": None if output is None else Display(output),
    }


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
        if not name or "=" in name or "\0" in name + value:
            raise UsageError(
                f"In worker_env, {name!r}: {value!r} cannot be in an environment: names are not "
                "empty and have no '=', and nothing has a null character."
            )
    return variables
