"""What a user endpoint's process runs, and what ends it with all its workers: the endpoint's code.

Clocks are counted in heartbeats, which come every few milliseconds here; see interchange.py.
"""

import re
import subprocess
import sys
import uuid
from contextlib import contextmanager
from multiprocessing.connection import Listener
from pathlib import Path

import psutil
import pytest
import yaml
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_sdk.serialize import ComputeSerializer, JSONData, PureSourceTextInspect

from gc_warm import endpoint_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CONFIGS = Path(__file__).parents[3] / "endpoint_configs"
PROGRAM = Path(__file__).with_name("interchange.py")
PERIOD = 0.1
SECONDS = 90
COLD = "engine: {type: ProcessPoolEngine, max_workers: 1}\n"


class Endpoint:
    """A user endpoint's process, and the connection on which it gets tasks and answers."""

    def __init__(self, process, connection):
        self.process = process
        self.connection = connection
        self.serializer = ComputeSerializer()
        self.results = {}
        self.idle = 0  # heartbeats since the last result

    def submit(self, function, *args, function_id=None):
        parts = [self.serializer.serialize(part) for part in (function, args, {})]
        task = Task(task_id=uuid.uuid4(), task_buffer=self.serializer.pack_buffers(parts))
        headers = {
            "function_uuid": function_id or str(uuid.uuid4()),
            "task_uuid": str(task.task_id),
        }
        self.connection.send((0, headers, messagepack.pack(task)))
        return str(task.task_id)

    def receive(self):
        """Take what comes next; False if the process has ended."""
        assert self.connection.poll(SECONDS), "the endpoint is silent"
        try:
            kind, message = self.connection.recv()
        except (EOFError, ConnectionResetError):
            return False
        if kind == "heartbeat":
            self.idle += 1
        else:
            result = messagepack.unpack(message)
            self.results[str(result.task_id)] = result
            self.idle = 0
        return True

    def result(self, task):
        while task not in self.results:
            assert self.receive(), "the endpoint has ended"
        return self.results[task]

    def call(self, function, *args):
        result = self.result(self.submit(function, *args))
        assert not result.is_error, result.data
        return self.serializer.deserialize(result.data)

    def wait_for_heartbeats(self, count):
        while self.idle < count:
            assert self.receive(), f"the endpoint has ended after {self.idle} idle heartbeats"

    def count_until_end(self):
        """Return how many heartbeats pass without a result before the process ends."""
        while self.receive():
            pass
        self.process.wait(SECONDS)
        return self.idle


@pytest.fixture
def run(tmp_path):
    @contextmanager
    def begin(text):
        (tmp_path / "config.yaml").write_text(text)
        with Listener(str(tmp_path / "queue")) as listener:
            process = subprocess.Popen(
                [sys.executable, PROGRAM, listener.address, tmp_path / "config.yaml", str(PERIOD)],
                stdin=subprocess.DEVNULL,
            )
            children = set()
            try:
                with listener.accept() as connection:
                    endpoint = Endpoint(process, connection)
                    # A process pool forks its workers at the first task. Were the first heartbeat
                    # being made at that moment, in another thread, a worker would inherit the lock
                    # that pydantic holds when it is first used, and hang.
                    endpoint.wait_for_heartbeats(1)
                    yield endpoint
                    if process.poll() is None:
                        children = {*psutil.Process(process.pid).children(recursive=True)}
                        process.terminate()
                    process.wait(SECONDS)
            finally:
                process.kill()
                process.wait()
                psutil.wait_procs(children, timeout=15)

    return begin


def rendered(folder, **options):
    config = CONFIGS / folder
    return endpoint_config.render(
        config / "user_config_template.yaml.j2", config / "user_config_schema.json", options
    )


def heartbeats_soft(text):
    return int(re.search(r"^idle_heartbeats_soft: (\d+)$", text, re.MULTILINE)[1])


@pytest.mark.parametrize("folder", ["process-pool", "laptop"])
def test_without_a_limit_workers_outlast_any_pause(run, model, folder):
    text = rendered(folder, workers=1)
    assert 0 == heartbeats_soft(text)
    with run(text) as endpoint:
        before = endpoint.call(model.use)
        endpoint.wait_for_heartbeats(60)  # 5 times what the default template would allow
        after = endpoint.call(model.use)
    assert (before["pid"], 1, 2) == (after["pid"], after["builds"], after["uses"])


def test_a_limit_ends_the_process_and_its_workers(run, model):
    """What Globus Compute's own template says; only what is idle after work counts."""
    with run(f"idle_heartbeats_soft: 10\n{COLD}") as endpoint:
        endpoint.wait_for_heartbeats(15)  # nothing was submitted yet: it is not idle, but new
        worker = endpoint.call(model.use)["pid"]
        counted = endpoint.count_until_end()
    assert 11 <= counted <= 13  # one or two with the result, ten idle ones, and a last one
    assert not psutil.pid_exists(worker)


def test_any_task_starts_the_count_anew(run, model):
    with run(f"idle_heartbeats_soft: 40\n{COLD}") as endpoint:
        for count in range(1, 5):
            assert count == endpoint.call(model.use)["uses"]
            endpoint.wait_for_heartbeats(15)


HOURS = {"warm-pool": 24, "slurm-cpu": 8, "slurm-gpu": 1, "pbs-gpu": 1}


@pytest.mark.parametrize(("folder", "hours"), HOURS.items())
def test_the_samples_limits_are_what_they_say(run, model, folder, hours):
    """A hundredth of the config's number of heartbeats, with an engine that needs no cluster."""
    options = {"account": "a"} if folder.endswith("gpu") else {}
    limit = heartbeats_soft(rendered(folder, **options))
    assert hours * 3600 == limit * 30
    with run(f"idle_heartbeats_soft: {limit // 100}\n{COLD}") as endpoint:
        endpoint.call(model.use)
        counted = endpoint.count_until_end()
    assert limit // 100 <= counted - 1 <= limit // 100 + 2


def test_a_hard_limit_takes_a_long_task_for_a_lost_one(run, model):
    with run(f"idle_heartbeats_soft: 2\nidle_heartbeats_hard: 10\n{COLD}") as endpoint:
        worker = endpoint.call(model.use)["pid"]
        task = endpoint.submit(model.use_for, 30 * PERIOD)
        endpoint.count_until_end()
    assert task not in endpoint.results or endpoint.results[task].is_error
    assert not psutil.pid_exists(worker)


def test_without_a_soft_limit_there_is_no_hard_one(run, model):
    with run(f"idle_heartbeats_soft: 0\nidle_heartbeats_hard: 10\n{COLD}") as endpoint:
        endpoint.call(model.use)
        assert 2 == endpoint.call(model.use_for, 30 * PERIOD)["uses"]


def test_a_crashed_worker_breaks_a_process_pool_until_a_restart(run, model):
    """What its README says: what users see, and that a new process is what helps."""
    text = rendered("process-pool")
    with run(text) as endpoint:
        assert 1 == endpoint.call(model.use)["uses"]
        crashed = endpoint.result(endpoint.submit(model.crash))
        assert crashed.is_error
        assert "terminated abruptly" in crashed.data
        for _ in range(3):
            later = endpoint.result(endpoint.submit(model.use))
            assert later.is_error
            assert "process pool is not usable anymore" in later.data
        assert endpoint.process.poll() is None  # it does not notice that it cannot work
    with run(text) as endpoint:
        assert 1 == endpoint.call(model.use)["uses"]


def test_high_security_runs_only_functions_that_were_named(run, model):
    core = yaml.safe_load((CONFIGS / "high-security" / "config.yaml").read_text())
    assert [] == core["allowed_functions"]
    allowed, other = str(uuid.uuid4()), str(uuid.uuid4())
    # The endpoint hands the list of its config to the processes of its users.
    named = yaml.safe_dump({"allowed_functions": [allowed]})
    with run(f"{rendered('high-security', workers=1)}\n{named}") as endpoint:
        endpoint.serializer = ComputeSerializer(
            strategy_code=PureSourceTextInspect(), strategy_data=JSONData()
        )
        refused = endpoint.result(endpoint.submit(model.use, function_id=other))
        answer = endpoint.result(endpoint.submit(model.use, function_id=allowed))
    assert "FUNCTION_NOT_ALLOWED" == refused.error_details.code
    assert not answer.is_error, answer.data
    assert 1 == endpoint.serializer.deserialize(answer.data)["builds"]
