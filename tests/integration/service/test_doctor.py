"""The doctor, and an endpoint that runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gc_warm.client.doctor import examine
from gc_warm.client.trial import STRATEGIES, Examination
from gc_warm.functions.counter import increase_count
from gc_warm.functions.probe import probe
from gc_warm.local.service import sdk

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


def test_results_that_a_firewall_keeps_away(service, folder, connect):
    endpoint = service.start_endpoint(folder("threads"))
    with connect(endpoint.id) as executor:
        executor.submit(pow, 2, 2).result(100)  # its user endpoint is there
    sdk.stop_watching(service.url)  # or else results come as they did
    client = service.client()
    told = client.get_result_amqp_url()
    # Nobody listens there: for a client, that is what a firewall is.
    client.get_result_amqp_url = lambda: {**told, "connection_url": "amqp://a:b@127.0.0.1:1/"}
    examination = Examination(probe, increase_count, endpoint_id=endpoint.id, timeout=5)

    *_, last = examine(examination, client)
    sdk.stop_watching(service.url)  # or else other tests wait where nobody listens
    assert ("first task", "fail") == (last.name, last.status)
    assert "has received its result" in last.message or "results do not come" in last.message
    assert "amqp_port=443" in last.fix


def test_its_functions_are_deleted(service, folder):
    endpoint = service.start_endpoint(folder("threads"))
    client, registered = service.client(), []
    register = client.register_function

    def registering(*arguments, **options):
        registered.append(register(*arguments, **options))
        return registered[-1]

    client.register_function = registering
    examination = Examination(probe, increase_count, endpoint_id=endpoint.id, tasks=2)
    list(examine(examination, client))
    assert 2 + len(STRATEGIES) == len(registered)
    for each in registered:
        with pytest.raises(Exception, match="could not be resolved"):
            client.get_function(each)
