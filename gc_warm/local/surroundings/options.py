"""What workers find around them: what an executor's options say, and what an endpoint would set."""

from __future__ import annotations

import functools
import os
import platform
import pwd
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gc_warm.errors import UsageError
from gc_warm.local.output import Display
from gc_warm.local.surroundings.python import check_packages, find_python, make_python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INHERITED_NAMES = (
    "DYLD_LIBRARY_PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TMPDIR",
    "TZ",
    "USER",
)
"""What a worker inherits of the client's environment, besides ``LC_*``: what a login would set."""


@dataclass(frozen=True)
class Surroundings:
    """What workers find around them.

    Attributes:
        python: Their interpreter; None for this one's packages, as an endpoint has them.
        path: Folders that come first on their ``sys.path``.
        environment: Variables that they have besides `INHERITED_NAMES`.
        packages: Distributions of this Python that they have although an endpoint would not.
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
            more: Variables that only the user's own override.
        """
        python = self.python or make_python(run_dir / "python", self.packages)
        inherited = endpoint_environment(run_dir) | _inherited(python)
        return python, inherited | more | self.environment


def _folders(paths: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    if isinstance(paths, str | os.PathLike):
        raise UsageError(f"worker_path={paths!r} must be a sequence of folders.")
    folders = [Path(path).resolve() for path in paths]
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise UsageError(f"In worker_path, these are not folders: {', '.join(missing)}.")
    return tuple(str(folder) for folder in folders)


def _environment(variables: Mapping[str, str] | None) -> dict[str, str]:
    variables = dict(variables or {})
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise UsageError(f"In worker_env, {name!r}: {value!r} must be two strings.")
        if not name or "=" in name or "\0" in name + value:
            raise UsageError(
                f"In worker_env, {name!r}: {value!r} cannot be in an environment: names are not "
                "empty and have no '=', and nothing has a null character."
            )
    return variables


def endpoint_environment(run_dir: Path) -> dict[str, str]:
    """Return the variables that the endpoint agent adds for tasks.

    Args:
        run_dir: The folder that plays the user endpoint's.
    """
    home = Path.home()
    return {
        "USER": pwd.getpwuid(os.getuid()).pw_name,
        "CWD": str(home),
        "GC_USER_PYTHON_VERSION": platform.python_version(),
        "GC_USER_SDK_VERSION": _sdk_version(),
        "GLOBUS_COMPUTE_USER_DIR": str(home / ".globus_compute"),
        "GLOBUS_COMPUTE_ENDPOINT_DIR": str(run_dir),
        "GLOBUS_COMPUTE_ENDPOINT_NAME": run_dir.name,
        "GLOBUS_COMPUTE_LOG_PATH": str(run_dir / "endpoint.log"),
    }


@functools.cache
def _sdk_version() -> str:
    from importlib import metadata  # imports much, so not before

    return metadata.version("globus-compute-sdk")


def _inherited(python: str) -> dict[str, str]:
    """Return what workers inherit of the client's environment, and their Python's programs."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED_NAMES or name.startswith("LC_")
    }
    programs = variables.get("PATH", os.defpath).split(os.pathsep)
    if sys.prefix != sys.base_prefix:  # a virtual environment, which the endpoint is not in
        programs = [each for each in programs if each != sysconfig.get_path("scripts")]
    variables["PATH"] = os.pathsep.join([str(Path(python).parent), *programs])
    return variables
