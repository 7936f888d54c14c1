"""The service is killed in the middle of everything, and comes back."""

import signal
import subprocess
import sys
from collections import Counter

import pytest
from globus_compute_sdk import Executor
from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer

from gc_warm.local.service import sdk
from gc_warm.local.service.agent import Agent
from gc_warm.local.service.records import Identity

pytestmark = pytest.mark.slow

TASKS = 1000
PATIENCE = 200

SERVE = """
import sys, threading
from gc_warm.local.service.service import LocalService
with LocalService(state=sys.argv[1]) as service:
    print(service.identity().model_dump_json(), flush=True)
    threading.Event().wait()
"""


def note(path, number):
    import os
    import time

    time.sleep(0.005)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{number}\n".encode())
    os.close(descriptor)
    return number


@pytest.fixture
def serve(port_5000, tmp_path):
    running = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, tmp_path / "state.db"], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        return process, Identity.model_validate_json(process.stdout.readline())

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def test_no_task_is_lost_when_the_service_is_killed(serve, folder, tmp_path):
    process, identity = serve()
    url = "http://127.0.0.1:5000"
    client = sdk.client(url, identity)

    def is_online(endpoint_id):
        return client.get_endpoint_status(endpoint_id)["status"] == "online"

    notes = tmp_path / "notes.txt"
    agent = Agent(folder("threads"), sdk.environment(url, identity), stopped=lambda _: None)
    agent.start(is_online=is_online, timeout=60)
    group = client.create_batch()
    group.add(client.register_function(pow), (1, 1))
    group_id = client.batch_run(agent.id, group)["task_group_id"]
    try:
        executor = Executor(agent.id, client=client, task_group_id=group_id)
        executor.serializer = ComputeSerializer(strategy_code=AllCodeStrategies())
        futures = [executor.submit(note, str(notes), each) for each in range(TASKS)]
        futures[50].result(PATIENCE)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, again = serve()
        assert identity == again
        assert list(range(TASKS)) == [each.result(PATIENCE) for each in futures]
        executor.shutdown()
    finally:
        agent.stop()
        sdk.stop_watching(url)
    counts = Counter(notes.read_text().split())
    assert TASKS == len(counts)
