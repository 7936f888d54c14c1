"""What workers find around them, as an executor is told it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gc_warm.errors import UsageError
from gc_warm.local.output import Display
from gc_warm.local.surroundings.environment import endpoint_environment, variables_of
from gc_warm.local.surroundings.python import check_packages, find_python, make_python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Surroundings:
    """What workers find around them.

    Attributes:
        python: Their interpreter; None for this one's packages, as an endpoint has them.
        path: Folders that come first on their ``sys.path``.
        environment: What they have in their environment besides `INHERITED_NAMES`.
        packages: What they have of this Python nevertheless.
        display: Gets what they print; None to show it.
    """

    python: str | None = None
    path: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    display: Display | None = None

    @classmethod
    def of(
        cls,
        python: str | os.PathLike[str] | None,
        path: Sequence[str | os.PathLike[str]],
        environment: Mapping[str, str] | None,
        packages: Sequence[str],
        output: bool | str | os.PathLike[str] | None,  # noqa: FBT001
    ) -> Surroundings:
        """Check the options ``worker_*`` and ``output``.

        Raises:
            UsageError: One of them is wrong.
            WorkerStartError: `python` is not a program.
        """
        if python is not None and packages:
            raise UsageError("worker_packages= is for this Python: worker_python= has what it has.")
        check_packages(packages)
        return cls(
            python=find_python(python),
            path=_folders(path),
            environment=_environment(environment),
            packages=tuple(packages),
            display=None if output is None else Display(output),
        )

    def make(self, run_dir: Path, **more: str) -> tuple[str, dict[str, str]]:
        """Return the workers' Python and environment.

        Args:
            run_dir: The folder that plays the user endpoint's; the Python is made there, if none
                was named.
            more: Variables that only the user's own go before.
        """
        python = self.python or make_python(run_dir / "python", self.packages)
        inherited = {**endpoint_environment(run_dir), **variables_of(python)}
        return python, {**inherited, **more, **self.environment}


def _folders(paths: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    if isinstance(paths, str | os.PathLike):
        raise UsageError(f"worker_path={paths!r} should be a sequence of folders.")
    folders = [Path(path).resolve() for path in paths]
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise UsageError(f"In worker_path, these are not folders: {', '.join(missing)}.")
    return tuple(str(folder) for folder in folders)


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
