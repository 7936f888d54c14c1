"""What users do, by the embedded broker and by RabbitMQ."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gc_warm.client.registry import FunctionRegistry
from gc_warm.errors import UsageError
from gc_warm.local.service.service import LocalService

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "tests/examples/use_primes.py"
# Not `python -m pytest`, which would test this folder, and not what is installed.
PYTEST = Path(sys.executable).with_name("pytest")
GC_WARM = Path(sys.executable).with_name("gc-warm")
COUNTER = "gc_warm.functions.counter:increase_count"
PATIENCE = 200


@pytest.fixture(scope="module", params=["embedded", "rabbitmq"])
def amqp(request):
    """The URL of the broker; None for the embedded one."""
    if request.param == "rabbitmq":
        return request.getfixturevalue("rabbitmq").url
    return None


@pytest.fixture(scope="module")
def service(amqp, port_5000_lock):
    with port_5000_lock, LocalService(amqp=amqp) as running:
        yield running


@pytest.fixture(scope="module")
def laptop(service):
    return service.start_endpoint(REPOSITORY / "endpoint_configs/laptop")


@pytest.fixture
def run(service, tmp_path):
    """Run a program that knows of the service by its environment only."""

    def running(*command, cwd=tmp_path):
        done = subprocess.run(
            [*map(str, command)],
            cwd=cwd,
            env={**os.environ, **service.environment, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    return running


def test_the_example_of_the_readme_runs_as_it_says(laptop, run, tmp_path):
    """With the SDK's executor in the place of `LocalExecutor`."""
    text = EXAMPLE.read_text()
    for ours, theirs in {
        "from gc_warm import LocalExecutor": "from globus_compute_sdk import Executor",
        # All at once: the SDK would take a minute to send them in pieces.
        "LocalExecutor(workers=2)": f"Executor('{laptop.id}', batch_size=500)",
    }.items():
        assert ours in text
        text = text.replace(ours, theirs)
    (tmp_path / "primes.py").write_text(EXAMPLE.with_name("primes.py").read_text())
    (tmp_path / "use_primes.py").write_text(text)

    first, second = run(sys.executable, "use_primes.py").splitlines()
    assert "168 primes below 1000" == first
    found = re.fullmatch(r"500 more calls in (\d) workers, (\d) cold start", second)
    assert found
    workers, cold = map(int, found.groups())
    assert 1 <= workers <= 2
    assert workers - 1 <= cold <= workers


def test_what_was_registered_runs_by_its_id(service, laptop, run, tmp_path):
    assert "registered" in run(GC_WARM, "register", COUNTER)
    assert "unchanged" in run(GC_WARM, "register", COUNTER)
    run(GC_WARM, "functions", "show", "increase_count", "--verify")
    function_id = FunctionRegistry(tmp_path / "functions.json")["increase_count"].current.id

    with service.executor(laptop.id) as executor:
        future = executor.submit_to_registered_function(function_id)
        assert future.result(PATIENCE)["count"] >= 1


def test_only_the_embedded_broker_drops_connections(service, amqp):
    if amqp is None:
        service.faults.drop_connections()
    else:
        with pytest.raises(UsageError):
            service.faults.drop_connections()


def test_what_travels_is_the_same(rabbitmq):
    """The unit tests of what travels use the embedded broker, or else the one they are told."""
    tests = REPOSITORY / "tests/unit/local/service/messages/test_courier.py"
    done = subprocess.run(
        [PYTEST, "-q", "-p", "no:cacheprovider", "-n", "0", tests],
        env={**os.environ, "GC_WARM_AMQP_URL": rabbitmq.url, "GC_WARM_REQUIRE_ALL": ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert 0 == done.returncode, done.stdout


@pytest.fixture
def calls(folder, port_5000_lock):
    """Run ``gc-warm run --service``, and return what it prints."""

    def calling(*options):
        with port_5000_lock:
            done = subprocess.run(
                [GC_WARM, "run", COUNTER, "--service", "--json", *map(str, options)],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        return done.returncode, done.stdout, done.stderr

    return calling


def test_run_on_a_service(amqp, service, folder, calls):
    service.stop()  # its port is needed
    config = ["--endpoint-config", folder("threads")]
    broker = [] if amqp is None else ["--amqp", amqp]
    code, output, error = calls(*config, *broker, "--times", 3)
    assert 0 == code, error
    assert [1, 2, 3] == sorted(each["result"]["count"] for each in json.loads(output))


def test_run_with_a_config_that_is_not_there(calls):
    code, _, error = calls("--endpoint-config", "nowhere")
    assert 2 == code
    assert "'nowhere'" in error
