from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from unittest.mock import ANY

import pytest

from gc_warm import stats
from gc_warm.functions.counter import increase_count
from gc_warm.functions.probe import USUAL_PACKAGES, _memory, _nvidia_gpus, probe

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _program(folder, monkeypatch, script):
    """Put a program called nvidia-smi first on the path."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def _write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_everything_is_plain_data():
    found = probe()

    assert json.loads(json.dumps(found)) == found


def test_names_the_worker():
    found = probe()

    assert (found["host"], found["pid"]) == (platform.node(), os.getpid())
    assert found["python"] == {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
    }


def test_finds_versions_of_the_usual_packages():
    packages = probe()["packages"]

    assert tuple(packages) == USUAL_PACKAGES
    assert packages["dill"] == importlib.metadata.version("dill")


def test_finds_versions_of_the_packages_asked_for():
    assert probe(["pytest", "no-such-package"])["packages"] == {
        "pytest": pytest.__version__,
        "no-such-package": None,
    }


def test_one_name_instead_of_a_list_is_refused():
    with pytest.raises(TypeError, match=r"not one name: probe\(\['numpy'\]\)"):
        probe("numpy")


@linux_only
def test_counts_the_processors_it_may_use():
    cpus = probe()["cpus"]

    assert cpus == {"count": os.cpu_count(), "affinity": sorted(os.sched_getaffinity(0))}


def test_tells_its_place_among_the_workers(monkeypatch):
    monkeypatch.setenv("PARSL_WORKER_RANK", "3")
    monkeypatch.setenv("PARSL_WORKER_COUNT", "4")
    monkeypatch.setenv("PARSL_WORKER_POOL_ID", "abc")
    monkeypatch.delenv("PARSL_WORKER_BLOCK_ID", raising=False)

    assert probe()["worker"] == {"rank": "3", "count": "4", "pool": "abc", "block": None}


def test_tells_which_accelerators_are_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    monkeypatch.delenv("ROCR_VISIBLE_DEVICES", raising=False)

    found = probe()["accelerators"]

    assert (found["CUDA_VISIBLE_DEVICES"], found["ROCR_VISIBLE_DEVICES"]) == ("1,2", None)


def test_names_the_gpus(tmp_path, monkeypatch):
    line = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1b2c)"
    _program(tmp_path, monkeypatch, f'test "$1" = -L && echo "{line}"')

    assert probe()["accelerators"]["nvidia"] == [line]


def test_there_may_be_no_program_that_names_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert _nvidia_gpus() is None


@pytest.mark.parametrize("script", ["echo 'No devices were found'; exit 6", "kill -9 $$"])
def test_a_program_that_fails_names_no_gpus(tmp_path, monkeypatch, script):
    _program(tmp_path, monkeypatch, script)

    assert _nvidia_gpus() is None


def test_a_program_that_hangs_is_given_up(tmp_path, monkeypatch):
    _program(tmp_path, monkeypatch, "exec tail -f /dev/null")

    assert _nvidia_gpus(timeout=0.1) is None


@linux_only
def test_measures_its_memory():
    memory = probe()["memory"]

    assert 0 < memory["available"] < memory["total"]
    assert 0 < memory["rss"] < memory["total"]


def test_memory_is_unknown_without_linux(tmp_path):
    assert _memory(tmp_path, tmp_path) == {
        "total": None,
        "available": None,
        "limit": None,
        "rss": None,
    }


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/job/step\n", {"job/memory.max": "3000", "job/step/memory.max": "max"}, 3000),
        ("0::/job/step\n", {"job/memory.max": "3000", "job/step/memory.max": "2000"}, 2000),
        ("0::/\n", {"memory.max": "9000000000"}, None),
        ("4:cpu:/\n3:memory:/job\n", {"memory/job/memory.limit_in_bytes": "5000"}, 5000),
        ("2:pids,memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
    ],
    ids=["parent", "own", "above the machine's", "version 1", "version 1 without a limit"],
)
def test_memory_is_limited_by_the_control_group(tmp_path, own, files, limit):
    _write(tmp_path / "proc", {"meminfo": "MemTotal: 1000 kB\n", "self/cgroup": own})
    _write(tmp_path / "cgroup", files)

    memory = _memory(tmp_path / "proc", tmp_path / "cgroup")

    assert (memory["total"], memory["limit"]) == (1_024_000, limit)


def test_tells_what_is_warm():
    assert probe()["warm"] == without_ages(stats())


def without_ages(seen):
    """Leave out what differs from one look to the next."""
    for state in seen["states"].values():
        for entry in state["entries"]:
            entry["age"] = ANY
    return seen


def test_describes_a_worker_and_not_the_client(one_worker):
    counted = one_worker.submit(increase_count).result()
    found = one_worker.submit(probe, ["dill"]).result()

    assert found["pid"] == counted["pid"] != os.getpid()
    assert found["packages"] == {"dill": importlib.metadata.version("dill")}
