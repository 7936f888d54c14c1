"""Describe a worker: the first thing to ask for when a task does not find what it needs.

``probe(["numpy", "torch"])["packages"]`` may be ``{"numpy": "2.4.6", "torch": None}``.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm import GcWarmError, node_stats, self_contained, stats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USUAL_PACKAGES = (
    "gc-warm",
    "globus-compute-endpoint",
    "globus-compute-sdk",
    "parsl",
    "dill",
    "numpy",
    "onnxruntime",
    "torch",
)


@self_contained
def probe(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Describe the worker that runs this.

    What cannot be found out is None, so it works on any machine.

    Args:
        packages: Names of the distributions whose versions to return; by default `USUAL_PACKAGES`.

    Returns:
        Plain data, ready for JSON:

        - ``host``, ``pid`` and ``platform``;
        - ``python``: its ``version``, ``implementation`` and ``executable``;
        - ``cpus``: the ``count`` in the machine, and the ``affinity``: the numbers of those that
          this worker may use;
        - ``packages``: version by name, None for what is not installed;
        - ``worker``: its ``rank``, the ``count`` of workers, its ``pool`` and ``block``, as Parsl
          named them;
        - ``accelerators``: what ``CUDA_VISIBLE_DEVICES``, ``ROCR_VISIBLE_DEVICES`` and
          ``ZE_AFFINITY_MASK`` say, and ``nvidia``, the GPUs of the machine;
        - ``memory``, in bytes: ``total`` and ``available`` in the machine, the control group's
          ``limit`` if that is lower, and this worker's ``rss``;
        - ``node``: what the processes of this node share, as `gc_warm.node_stats` returns it, or
          the ``error`` why that is not known;
        - ``warm``: what is warm here, as `gc_warm.stats` returns it.

    Raises:
        TypeError: ``packages`` is one name instead of a list of them.
    """
    if isinstance(packages, str):
        raise TypeError(f"probe() takes a list of names, not one name: probe([{packages!r}]).")
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "platform": platform.platform(),
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "executable": sys.executable,
        },
        "cpus": _cpus(),
        "packages": {name: _version(name) for name in packages or USUAL_PACKAGES},
        "worker": {
            "rank": os.environ.get("PARSL_WORKER_RANK"),
            "count": os.environ.get("PARSL_WORKER_COUNT"),
            "pool": os.environ.get("PARSL_WORKER_POOL_ID"),
            "block": os.environ.get("PARSL_WORKER_BLOCK_ID"),
        },
        "accelerators": _accelerators(),
        "memory": _memory(),
        "node": _node(),
        "warm": stats(),
    }


def _node() -> dict[str, Any]:
    try:
        return node_stats()
    except GcWarmError as error:
        return {"error": str(error)}


def _cpus() -> dict[str, Any]:
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    return {"count": os.cpu_count(), "affinity": sorted(affinity(0)) if affinity else None}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _accelerators() -> dict[str, Any]:
    variables = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
    return {**{name: os.environ.get(name) for name in variables}, "nvidia": _nvidia_gpus()}


def _nvidia_gpus(timeout: float = 10.0) -> list[str] | None:
    """Ask the driver's own tool for the GPUs; None if it is missing, or too late, in seconds."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603  (found on the worker's own path, no shell)
            [program, "-L"], capture_output=True, check=True, text=True, timeout=timeout
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> dict[str, Any]:
    """Read the kernel's own accounts, which only Linux has."""
    machine = _meminfo(proc / "meminfo")
    total = machine.get("MemTotal")
    limits = [limit for limit in _cgroup_limits(proc, cgroups) if total is None or limit < total]
    return {
        "total": total,
        "available": machine.get("MemAvailable"),
        "limit": min(limits, default=None),
        "rss": _meminfo(proc / "self" / "status").get("VmRSS"),
    }


def _meminfo(file: Path) -> dict[str, int]:
    """Return the sizes that a file gives in kB, in bytes."""
    fields = (line.split() for line in _read(file).splitlines())
    return {field[0].rstrip(":"): int(field[1]) * 1024 for field in fields if field[2:] == ["kB"]}


def _cgroup_limits(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield the limits of this process's control group and of all that contain it."""
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.strip("/")
        for folder in (group, *group.parents):
            limit = _read(folder / name).strip()
            if limit.isdecimal():
                yield int(limit)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
