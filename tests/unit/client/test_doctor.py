"""What the doctor finds without an endpoint that runs, and what it makes of workers' answers."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pika
import pytest

from gc_warm.client import trial
from gc_warm.client.doctor import examine
from gc_warm.client.trial import Examination
from gc_warm.functions.counter import increase_count
from gc_warm.functions.probe import probe
from gc_warm.local.service.service import LocalService

GC_WARM = Path(sys.executable).with_name("gc-warm")


@pytest.fixture(scope="module")
def local():
    with LocalService(port=0, identities=("alice", "bob")) as running:
        yield running


def checks(client, endpoint_id=None):
    examination = Examination(probe=probe, count=increase_count, endpoint_id=endpoint_id)
    return {check.name: check for check in examine(examination, client)}


def register(client):
    endpoint_id = str(uuid.uuid4())
    client.register_endpoint("laptop", endpoint_id, display_name="Alice's laptop")
    return uuid.UUID(endpoint_id)


# Without an endpoint


def doctor(folder, *options, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GLOBUS_")}
    return subprocess.run(
        [GC_WARM, "doctor", *options],
        env={**environment, "HOME": str(folder), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_nobody_is_logged_in(tmp_path):
    done = doctor(tmp_path)
    assert 1 == done.returncode, done.stderr
    assert "fail  credentials: nobody is logged in here" in done.stdout
    assert "globus-compute-endpoint login" in done.stdout
    assert done.stdout.endswith("Failed: credentials.\n")


def test_json(tmp_path):
    done = doctor(tmp_path, "--json")
    assert 1 == done.returncode, done.stderr
    first, last = json.loads(done.stdout)
    assert ("environment", "ok") == (first["name"], first["status"])
    assert sys.version.split()[0] == first["details"]["python"]
    assert ("credentials", "fail") == (last["name"], last["status"])


def test_half_of_the_credentials(tmp_path):
    done = doctor(tmp_path, GLOBUS_COMPUTE_CLIENT_SECRET="secret")
    assert 1 == done.returncode, done.stderr
    assert "GLOBUS_COMPUTE_CLIENT_ID is not" in done.stdout


@pytest.mark.parametrize("options", [["--endpoint", "mine"], ["--options", "{"], ["--tasks", "0"]])
def test_wrong_usage(tmp_path, options):
    assert 2 == doctor(tmp_path, *options).returncode


def test_nothing_answers():
    with LocalService(port=0) as service:
        client = service.client()
    found = checks(client)
    assert ["environment", "network"] == list(found)
    assert "fail" == found["network"].status
    assert "gc-warm serve" in found["network"].fix


def test_the_service_refuses(local):
    client = local.client()
    local.faults.refuse()
    found = checks(client)
    assert "fail" == found["service"].status
    assert "forbids it (403" in found["service"].message


def test_someone_without_an_endpoint(local):
    found = checks(local.client(local.identity("bob")))
    assert {"ok", "warn"} == {check.status for check in found.values()}
    assert "you have none" == found["endpoint"].message


def test_someone_with_an_endpoint(local):
    client = local.client()
    endpoint_id = register(client)
    found = checks(client)["endpoint"]
    assert "ok" == found.status
    assert {"id": str(endpoint_id), "name": "Alice's laptop"} in found.details["endpoints"]


def test_an_endpoint_that_is_offline(local):
    client = local.client()
    found = checks(client, register(client))
    assert "endpoint" == [*found][-1]
    assert "fail" == found["endpoint"].status
    assert "Alice's laptop" in found["endpoint"].message
    assert "offline" in found["endpoint"].message


def test_an_endpoint_that_is_unknown(local):
    found = checks(local.client(), uuid.uuid4())["endpoint"]
    assert ("fail", "the service knows no such endpoint") == (found.status, found.message)


def test_an_endpoint_of_someone_else(local):
    endpoint_id = register(local.client())
    found = checks(local.client(local.identity("bob")), endpoint_id)["endpoint"]
    assert "fail" == found.status
    assert "someone else's" in found.message


# What workers' answers mean


def counted(*pairs):
    return [{"host": "node1", "pid": pid, "count": count} for pid, count in pairs]


@pytest.mark.parametrize(
    ("status", "pairs"),
    [
        ("ok", [(1, 1), (2, 1), (1, 2), (2, 2)]),
        ("ok", [(1, 8), (1, 7)]),  # it has been asked before, and answers overtake each other
        ("ok", [(1, 1), (1, 2), (2, 1)]),
        ("fail", [(1, 1), (1, 1)]),
        ("fail", [(1, 1), (2, 1), (2, 2), (1, 1)]),
        ("warn", [(1, 1), (2, 1), (3, 1)]),
    ],
)
def test_state(status, pairs):
    assert status == trial.state(counted(*pairs)).status


@pytest.mark.parametrize(("status", "seconds"), [("ok", [0.1, 9, 0.2]), ("warn", [9, 0.1, 9])])
def test_round_trip(status, seconds):
    assert status == trial.round_trip(seconds).status


def answer(pid=1, host="node1", python="3.11.2", nvidia=None, visible=None):
    return {
        "host": host,
        "pid": pid,
        "python": {"version": python, "executable": "/usr/bin/python"},
        "packages": {"dill": "0.3.9"},
        "worker": {"count": "2"},
        "accelerators": {
            "CUDA_VISIBLE_DEVICES": visible,
            "ROCR_VISIBLE_DEVICES": None,
            "ZE_AFFINITY_MASK": None,
            "nvidia": nvidia,
        },
    }


def test_workers_are_counted():
    probes = [answer(1), answer(2), answer(1), answer(1, host="node2")]
    found, *_ = trial.workers(probes, counted((3, 1)))
    assert "4 processes seen on node1, node2; each node has 2, says Parsl" == found.message


def test_another_python():
    theirs = "3.9.1" if sys.version_info[1] != 9 else "3.10.1"
    here = ".".join(map(str, sys.version_info[:3]))
    assert "ok" == trial.pythons([answer(python=here)]).status
    found = trial.pythons([answer(python=here), answer(python=theirs)])
    assert "warn" == found.status
    assert theirs in found.message


TWO = ["GPU 0: H100", "GPU 1: H100"]


@pytest.mark.parametrize(
    ("status", "probes"),
    [
        ("ok", [answer(1), answer(2)]),
        ("ok", [answer(1, nvidia=TWO)]),
        ("ok", [answer(1, nvidia=TWO, visible="0"), answer(2, nvidia=TWO, visible="1")]),
        (
            "ok",
            [answer(1, nvidia=TWO, visible="0"), answer(1, "node2", nvidia=TWO, visible="0")],
        ),
        ("warn", [answer(1, nvidia=TWO), answer(2, nvidia=TWO)]),
        ("warn", [answer(1, nvidia=TWO, visible="0"), answer(2, nvidia=TWO, visible="0")]),
    ],
)
def test_accelerators(status, probes):
    assert status == trial.accelerators(probes).status


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("ok", {"DillCode": "", "AllCodeStrategies": ""}),
        ("warn", {"DillCode": "NameError: x", "AllCodeStrategies": ""}),
        ("fail", {"DillCode": "NameError: x", "AllCodeStrategies": "NameError: x"}),
    ],
)
def test_strategies(status, found):
    assert status == trial.strategies(found).status


def test_of_a_remote_traceback_the_error_counts():
    error = RuntimeError("\n Traceback:\n  File x\n ValueError: on purpose\n ---------\n")
    assert "ValueError: on purpose" == trial.shorten(error)
    assert "KeyError: 'gone'" == trial.shorten(KeyError("gone"))


def test_a_connection_that_does_not_come_about_is_not_the_endpoints_fault():
    found = trial.failure(pika.exceptions.AMQPConnectionError("no route"))
    assert "results do not come here" in found.message
    assert "amqp_port=443" in found.fix
    assert "amqp_port" not in trial.failure(ValueError("on purpose")).fix
