"""The environment of workers: what a login sets, and what the endpoint agent adds for tasks."""

from __future__ import annotations

import functools
import os
import platform
import pwd
from pathlib import Path

from gc_warm.local.surroundings.python import without_own_programs

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

UMASK = 0o077
"""The agent's, too: what a task writes is for its user alone."""


def endpoint_environment(run_dir: Path) -> dict[str, str]:
    """Return it.

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


def variables_of(python: str) -> dict[str, str]:
    """Return the environment of workers: what they inherit, and their Python's programs first."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED_NAMES or name.startswith("LC_")
    }
    programs = without_own_programs(variables.get("PATH", os.defpath))
    variables["PATH"] = os.pathsep.join([str(Path(python).parent), programs])
    return variables
