"""Sample configs with the real agent: for one machine, and for a scheduler, without that."""

import re
import shutil
from pathlib import Path

import pytest

from gc_warm.functions.counter import increase_count

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[3] / "endpoint_configs"
OPTIONS = {
    "warm-pool": {"state": "small-model"},
    "workstation-gpu": {"accelerators": 1},
    "slurm-cpu": {"account": "m0000", "workers_per_node": 1},
}
LOCAL = """\
    type: LocalProvider
    init_blocks: 1
    min_blocks: 1
    max_blocks: 1
"""
PATIENCE = 250


def on_this_machine(name: str, folder: Path) -> Path:
    """Copy a sample; blocks are started here, instead of by a scheduler."""
    copied = shutil.copytree(SAMPLES / name, folder / name)
    template = copied / "user_config_template.yaml.j2"
    before, provider, after = template.read_text().partition("  provider:\n")
    if "LocalProvider" not in after:
        kept = re.search(r"^    worker_init: .*", after, re.MULTILINE | re.DOTALL)
        assert kept
        after = f"{LOCAL}{kept[0]}"
        before = re.sub(r"address:\n.*\n.*\n", "address: 127.0.0.1\n", before)
    template.write_text(before + provider + after)
    return copied


def test_they_run_tasks_and_stay_warm(service, tmp_path):
    executors = [
        service.executor(
            service.start_endpoint(on_this_machine(name, tmp_path)).id, user_endpoint_config=options
        )
        for name, options in OPTIONS.items()
    ]
    for _ in range(2):
        futures = [executor.submit(increase_count) for executor in executors]
        found = [future.result(PATIENCE) for future in futures]
    assert [2] * len(OPTIONS) == [each["count"] for each in found]
    assert len(OPTIONS) == len({each["pid"] for each in found})
    for executor in executors:
        executor.shutdown()
