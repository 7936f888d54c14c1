"""Warm state under a real ``GlobusComputeEngine``."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_endpoint.engines import GlobusComputeEngine
from globus_compute_endpoint.engines.base import GCFuture
from parsl.providers import LocalProvider

from gc_warm.local.messages import ComputeSerializer, serialize_arguments, serialize_function

pytestmark = pytest.mark.slow

MODULE = """
    import os
    from pathlib import Path

    from gc_warm import self_contained, warm

    @warm
    def model(folder):
        with (Path(folder) / "builds").open("a") as log:
            log.write(f"{os.getpid()}\\n")
        yield {"pid": os.getpid()}
        (Path(folder) / f"down-{os.getpid()}").touch()

    @self_contained
    def use(folder):
        return model(folder)["pid"]
"""


@pytest.fixture
def use(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "htex_module.py").write_text(textwrap.dedent(MODULE))
    yield importlib.import_module("htex_module").use
    sys.modules.pop("htex_module", None)


@pytest.fixture
def engine(tmp_path, monkeypatch):
    # HTEX starts the endpoint's own programs by name.
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", programs)
    engine = GlobusComputeEngine(
        address="127.0.0.1",
        max_workers_per_node=2,
        encrypted=False,
        provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
    )
    engine.start(endpoint_id=uuid.uuid4(), run_dir=str(tmp_path / "run"))
    stopped = []

    def stop():
        if not stopped:
            stopped.append(True)
            engine.shutdown(block=True)

    engine.stop = stop
    yield engine
    stop()


def test_one_build_for_each_worker_and_its_teardown_when_the_engine_shuts_down(
    engine, use, tmp_path
):
    serializer = ComputeSerializer()
    code = serialize_function(serializer, use)
    futures = []
    for _ in range(200):
        task_id = uuid.uuid4()
        body = code + serialize_arguments(serializer, (str(tmp_path),), {})
        future = GCFuture(gc_task_id=task_id)
        packed = messagepack.pack(Task(task_id=task_id, task_buffer=body))
        engine.submit(future, packed, resource_specification={})
        futures.append(future)
    messages = [messagepack.unpack(future.result(timeout=120)) for future in futures]
    assert [m.data for m in messages if m.is_error] == []
    pids = {serializer.deserialize(message.data) for message in messages}
    built = [int(line) for line in (tmp_path / "builds").read_text().split()]
    assert sorted(built) == sorted(pids)
    assert 1 <= len(pids) <= 2
    engine.stop()
    deadline = time.monotonic() + 10
    expected = {f"down-{pid}" for pid in pids}
    while time.monotonic() < deadline and expected - files(tmp_path):
        os.sched_yield()
    assert expected <= files(tmp_path)


def files(folder):
    return {path.name for path in folder.iterdir()}
