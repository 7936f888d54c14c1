"""What the endpoint agent puts into the environment of a user endpoint process, and so of tasks."""

from __future__ import annotations

import functools
import os
import platform
import pwd
from pathlib import Path

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
