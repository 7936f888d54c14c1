"""The service is killed in the middle of everything, and comes back."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from globus_compute_sdk import Executor
from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer

from gc_warm.local.service import sdk
from gc_warm.local.service.agent import Agent
from gc_warm.local.service.amqp.queues import Message
from gc_warm.local.service.messages.contents import task_in
from gc_warm.local.service.state.records import Identity

pytestmark = pytest.mark.slow

GC_WARM = Path(sys.executable).with_name("gc-warm")
URL = "http://127.0.0.1:5000"
TASKS = 1000
FREE = 100
PATIENCE = 200


def note(path, gate, number):
    """Say that a task runs; most of them then wait for a gate."""
    import os
    import time

    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{number}\n".encode())
    os.close(descriptor)
    while gate and not os.access(gate, os.F_OK):
        time.sleep(0.02)
    return number


class Served:
    """``gc-warm serve --state FILE``, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state.db"
        self._output = folder / "output.txt"
        self.start()

    def start(self) -> None:
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                [GC_WARM, "serve", "--state", self.state], stdout=output, stderr=output
            )
        deadline = time.monotonic() + 60
        while "Or: eval" not in self._output.read_text():
            assert self._process.poll() is None, self._output.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def identity(self) -> Identity:
        lines = self._output.read_text().splitlines()
        said = dict(x.removeprefix("export ").split("=", 1) for x in lines if x[:7] == "export ")
        client_id, secret = (said[f"GLOBUS_COMPUTE_CLIENT_{name}"] for name in ("ID", "SECRET"))
        return Identity(id=client_id, username="user", secret=secret)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)

    def unacknowledged(self) -> set[str]:
        """Return the ids of the tasks that agents had not acknowledged when it was killed."""
        with sqlite3.connect(self.state) as database:
            rows = database.execute("SELECT exchange, routing_key, header, body FROM messages")
            headers = [Message(*row).properties.headers or {} for row in rows]
        database.close()
        return {str(found) for each in headers if (found := task_in(each))}


@pytest.fixture
def served(port_5000, tmp_path):
    running = Served(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def agent(served, folder):
    identity = served.identity()
    client = sdk.client(URL, identity)

    def is_online(endpoint_id):
        return client.get_endpoint_status(endpoint_id)["status"] == "online"

    started = Agent(folder("threads"), sdk.environment(URL, identity), stopped=lambda _: None)
    try:
        started.start(is_online=is_online, timeout=60)
        yield started
    finally:
        started.stop()
        sdk.stop_watching(URL)


def test_each_task_runs_once_although_the_service_is_killed(served, agent, tmp_path):
    notes, gate = tmp_path / "notes.txt", tmp_path / "gate"
    client = sdk.client(URL, served.identity())
    batch = client.create_batch()
    batch.add(client.register_function(pow), (1, 1))
    group_id = client.batch_run(agent.id, batch)["task_group_id"]
    with Executor(agent.id, client=client, task_group_id=group_id, batch_size=TASKS) as executor:
        executor.serializer = ComputeSerializer(strategy_code=AllCodeStrategies())
        gates = ["" if each < FREE else str(gate) for each in range(TASKS)]
        futures = [executor.submit(note, str(notes), gates[n], n) for n in range(TASKS)]
        assert list(range(FREE)) == [each.result(PATIENCE) for each in futures[:FREE]]
        served.kill()
        unacknowledged = served.unacknowledged()
        served.start()
        gate.touch()
        assert list(range(TASKS)) == [each.result(PATIENCE) for each in futures]
    counts = Counter(map(int, notes.read_text().split()))
    assert set(range(TASKS)) == set(counts)
    # What an agent has not acknowledged is sent again, by any broker; and agents do not look.
    again = {n for n, future in enumerate(futures) if future.task_id in unacknowledged}
    assert set() == {n for n, times in counts.items() if times > 1} - again
    assert TASKS - FREE > len(again)
