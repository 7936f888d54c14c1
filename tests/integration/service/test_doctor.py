"""The doctor, and an endpoint that runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

GC_WARM = Path(sys.executable).with_name("gc-warm")
NAMES = ["environment", "credentials", "network", "service", "endpoint", "first task"]
COLD = "engine: {type: ProcessPoolEngine, max_workers: 1, max_tasks_per_child: 1}\n"
NO_ENGINE = "engine: {type: Nonsense}\n"


@pytest.fixture
def doctor(service, tmp_path):
    def run(*options):
        return subprocess.run(
            [GC_WARM, "doctor", *map(str, options)],
            cwd=tmp_path,
            env={**os.environ, **service.environment, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    return run


@pytest.mark.parametrize("engine", ["threads", "processes", "htex"])
def test_a_warm_endpoint(service, folder, doctor, engine):
    endpoint = service.start_endpoint(folder(engine))
    done = doctor("--endpoint", endpoint.id, "--options", '{"workers": 2}', "--json")
    assert 0 == done.returncode, done.stdout + done.stderr
    found = {check["name"]: check for check in json.loads(done.stdout)}
    rest = ["round trip", "state", "workers", "pythons", "accelerators", "strategies"]
    assert [*NAMES, *rest] == list(found)
    bad = {name for name, check in found.items() if check["status"] != "ok"}
    assert set() == bad - {"accelerators"}  # this machine may have some
    assert 1 <= found["workers"]["details"]["processes"] <= 2


def test_an_endpoint_whose_tasks_have_a_process_each(service, folder, doctor):
    endpoint = service.start_endpoint(folder(COLD))
    done = doctor("--endpoint", endpoint.id, "--tasks", 2)
    assert "warn  state: " in done.stdout, done.stdout + done.stderr
    assert "max_tasks_per_child" in done.stdout


def test_an_endpoint_that_cannot_start_workers(service, folder, doctor):
    endpoint = service.start_endpoint(folder(NO_ENGINE))
    done = doctor("--endpoint", endpoint.id)
    assert 1 == done.returncode
    assert "fail  first task: it failed: " in done.stdout
    assert "Nonsense" in done.stdout


def test_an_endpoint_that_does_not_answer_in_time(service, folder, doctor):
    endpoint = service.start_endpoint(folder("htex"))
    done = doctor("--endpoint", endpoint.id, "--timeout", 0.5)
    assert 1 == done.returncode
    assert "fail  first task: it has not come back after 0.5 s" in done.stdout, done.stdout
