"""Each sample config runs a task offline, by `LocalExecutor`, with its own example of options."""

import json
import os
import shutil
from pathlib import Path

import pytest
from globus_compute_sdk.serialize import ComputeSerializer, JSONData, PureSourceTextInspect

from gc_warm.errors import WorkerStartError
from gc_warm.local.executor import LocalExecutor

CONFIGS = Path(__file__).parents[3] / "endpoint_configs"
SAMPLES = sorted(path.name for path in CONFIGS.iterdir() if path.is_dir())
# It unpickles nothing: functions come as source text.
SERIALIZERS = {
    "high-security": ComputeSerializer(
        strategy_code=PureSourceTextInspect(), strategy_data=JSONData()
    )
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def source_of_pid():
    import os

    return os.getpid()


FUNCTIONS = {"high-security": source_of_pid}


@pytest.fixture
def start():
    """Start an executor by a sample, with the example of its options."""
    started = []

    def make(folder):
        options = json.loads((CONFIGS / folder / "options.example.json").read_text())
        executor = LocalExecutor(
            endpoint_config=CONFIGS / folder,
            user_endpoint_config=options,
            serializer=SERIALIZERS.get(folder),
            local_provider=True,
        )
        started.append(executor)
        return executor

    yield make
    for executor in started:
        executor.shutdown(cancel_futures=True)


@pytest.mark.parametrize("folder", [name for name in SAMPLES if name != "apptainer"])
def test_sample_runs_a_task(start, folder):
    function = FUNCTIONS.get(folder, os.getpid)
    assert os.getpid() != start(folder).submit(function).result(timeout=120)


@pytest.mark.skipif(shutil.which("apptainer") is not None, reason="it would start a container")
def test_sample_whose_container_program_is_missing_says_so(start):
    with pytest.raises(WorkerStartError, match="apptainer, which is not installed here"):
        start("apptainer").submit(os.getpid).result(timeout=120)


def test_all_ten_samples_are_tried():
    assert 10 == len(SAMPLES)
