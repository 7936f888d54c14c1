"""The unmodified SDK and the unmodified agent, on this machine."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest
from globus_compute_sdk import Client, Executor
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.errors import GcWarmError, UsageError

pytestmark = pytest.mark.slow

PATIENCE = 120


def double(x):
    return 2 * x


def fail():
    raise ValueError("on purpose")


def process():
    import os

    return os.getpid(), os.getppid(), os.environ.get("HOME")


def is_gone(pid):
    """Whether a process has ended; where nothing reaps orphans, they stay as zombies."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_tasks_run(service, folder, connect, engine):
    endpoint = service.start_endpoint(folder(engine))
    with connect(endpoint.id) as executor:
        futures = [executor.submit(double, each) for each in range(20)]
        assert [2 * each for each in range(20)] == [each.result(PATIENCE) for each in futures]
        failing = executor.submit(fail)
        assert isinstance(failing.exception(PATIENCE), TaskExecutionFailed)
        assert "on purpose" in str(failing.exception())


def test_the_client_asks_for_results(service, folder, connect):
    endpoint = service.start_endpoint(folder("threads"))
    client = service.client()
    function_id = client.register_source_code("def f(x): return 3 * x", "f")
    with connect(endpoint.id) as executor:
        future = executor.submit_to_registered_function(function_id, (14,))
        assert 42 == future.result(PATIENCE)
        assert 42 == client.get_result(future.task_id)
        group = executor.task_group_id
    with Executor(endpoint.id, client=client) as other:
        (again,) = other.reload_tasks(group)
        assert 42 == again.result(PATIENCE)


SCRIPT = """
import sys
from globus_compute_sdk import Executor
with Executor(endpoint_id=sys.argv[1]) as executor:
    print(executor.submit(pow, 2, 10).result(100))
"""


def test_a_script_that_knows_nothing_of_us(service, folder, tmp_path):
    endpoint = service.start_endpoint(folder("threads"))
    environment = {**os.environ, **service.environment, "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(endpoint.id)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "1024\n" == run.stdout, run.stderr


STARTED = """
import os, signal, sys
from gc_warm.local.service.service import LocalService

service = LocalService()
service.start()
endpoint = service.start_endpoint(sys.argv[1])
executor = service.executor(endpoint.id)
print(executor.submit(os.getpid).result(100), endpoint.home, flush=True)
os.kill(os.getpid(), int(sys.argv[2]))
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_endpoint_whose_program_is_killed_ends(port_5000, folder, number):
    command = [sys.executable, "-c", STARTED, str(folder("threads")), str(int(number))]
    killed = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
    )
    assert -number == killed.returncode
    worker, home = killed.stdout.split()
    end = time.monotonic() + PATIENCE
    while not is_gone(int(worker)) or Path(home).exists():
        assert time.monotonic() < end, f"worker {worker} or {home} is still there"
        time.sleep(0.1)


def test_each_config_has_its_user_endpoint(service, folder, connect):
    endpoint = service.start_endpoint(folder("processes"))
    options = [{"workers": 1}, {"workers": 2}]
    with (
        connect(endpoint.id, user_endpoint_config=options[0]) as first,
        connect(endpoint.id, user_endpoint_config=options[1]) as second,
        connect(endpoint.id, user_endpoint_config=options[0]) as third,
    ):
        found = [each.submit(process) for each in (first, second, third)]
        (_, one, home), (_, two, _), (_, three, _) = [each.result(PATIENCE) for each in found]
    assert one == three
    assert one != two
    assert str(endpoint.home) == home


def test_a_config_that_the_schema_refuses(service, folder, connect):
    schema = '{"type": "object", "properties": {"workers": {"type": "integer"}}}'
    endpoint = service.start_endpoint(folder("threads", schema=schema))
    with connect(endpoint.id, user_endpoint_config={"workers": "many"}) as executor:
        error = executor.submit(double, 1).exception(PATIENCE)
    assert isinstance(error, TaskExecutionFailed)
    assert "many" in str(error)


def test_a_template_that_cannot_be_rendered(service, folder, connect):
    endpoint = service.start_endpoint(folder("engine: {type: Nonsense}\n"))
    with connect(endpoint.id) as executor:
        assert "Nonsense" in str(executor.submit(double, 1).exception(PATIENCE))


def test_an_idle_user_endpoint_stops_and_is_started_again(service, folder, connect):
    template = "idle_heartbeats_soft: 1\nengine: {type: ThreadPoolEngine, max_workers: 1}\n"
    endpoint = service.start_endpoint(folder(template))
    with connect(endpoint.id) as executor:
        first, _, _ = executor.submit(process).result(PATIENCE)
        psutil.Process(first).wait(PATIENCE)
        second, _, _ = executor.submit(process).result(PATIENCE)
    assert first != second


def test_a_function_that_is_not_allowed(service, folder, connect):
    client = service.client()
    allowed = client.register_source_code("def double(x): return 2 * x", "double")
    config = f"allowed_functions: [{allowed}]\n"
    endpoint = service.start_endpoint(folder("threads", config=config))
    with connect(endpoint.id) as executor:
        assert 4 == executor.submit_to_registered_function(allowed, (2,)).result(PATIENCE)
    batch = client.create_batch()
    batch.add(client.register_function(pow))
    with pytest.raises(Exception, match="not permitted"):
        client.batch_run(endpoint.id, batch)


def test_results_come_although_connections_are_dropped(service, folder, connect):
    endpoint = service.start_endpoint(folder("threads"))
    with connect(endpoint.id) as executor:
        executor.submit(double, 1).result(PATIENCE)
        futures = [executor.submit(double, each) for each in range(50)]
        service.faults.drop_connections()
        assert [2 * each for each in range(50)] == [each.result(PATIENCE) for each in futures]


def test_expired_tokens_are_renewed(service, folder, connect):
    endpoint = service.start_endpoint(folder("threads"))
    with connect(endpoint.id) as executor:
        service.faults.expire_tokens()
        assert 4 == executor.submit(double, 2).result(PATIENCE)


def test_nothing_is_left_behind(service, folder, connect):
    endpoint = service.start_endpoint(folder("htex"))
    with connect(endpoint.id) as executor:
        pid, _, _ = executor.submit(process).result(PATIENCE)
    endpoint.stop()

    assert is_gone(pid)
    assert not endpoint.home.exists()
    status = service.client().get_endpoint_status(str(endpoint.id))
    assert "offline" == status["status"]


def test_a_killed_endpoint_leaves_nothing_either(service, folder, connect):
    endpoint = service.start_endpoint(folder("threads"))
    with connect(endpoint.id) as executor:
        pid, _, _ = executor.submit(process).result(PATIENCE)
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    endpoint.stop()

    assert not service.is_online(endpoint.id)
    assert is_gone(pid)
    assert not endpoint.home.exists()


def test_an_endpoint_that_does_not_start(service, folder):
    with pytest.raises(GcWarmError, match="nonsense"):
        service.start_endpoint(folder("threads", config="nonsense: 1\n"))


def test_an_engine_where_it_does_not_belong(service, folder):
    with pytest.raises(UsageError, match="migrate"):
        service.start_endpoint(folder("threads", config="engine: {type: ThreadPoolEngine}\n"))


def test_a_folder_that_is_no_config(service, tmp_path):
    with pytest.raises(UsageError, match="user_config_template"):
        service.start_endpoint(tmp_path)


def test_two_services_on_one_port(service):
    from gc_warm.local.service.service import LocalService

    with pytest.raises(GcWarmError, match="5000"):
        LocalService().start()


def test_the_environment_is_enough_for_a_client(service, monkeypatch, tmp_path):
    for name, value in {**service.environment, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)

    assert uuid.UUID(Client().register_function(double))
