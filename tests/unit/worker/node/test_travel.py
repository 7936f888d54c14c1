"""Folders of the node in functions that travel, on workers that do not have gc-warm."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gc_warm import LocalExecutor, Workers
from gc_warm.functions.counter import increase_count
from gc_warm.functions.probe import probe
from gc_warm.worker.node import place

MODULE = """
    import json
    import os
    from pathlib import Path
    from gc_warm import node_folder, node_stats, self_contained, warm

    def log(what):
        with open(os.environ["LOG"], "a") as file:
            file.write(f"{what}\\n")

    @node_folder
    def weights(name: str, folder: Path):
        log("filled")
        (folder / "weights").write_text(json.loads(json.dumps(name)))

    @warm(builds_per_node=1)
    def model(name: str):
        log("built")
        return (weights(name) / "weights").read_text()

    @self_contained
    def use(name: str):
        return model(name)
"""


@pytest.fixture
def workers(tmp_path, base, log):
    environment = {"GC_WARM_NODE_DIR": str(base), "LOG": os.environ["LOG"]}
    with Workers(2, worker_env=environment) as made:
        yield made


def test_all_workers_use_what_one_has_filled(user_module, workers, log):
    module = user_module("travels_with_a_folder", MODULE)
    with LocalExecutor(workers=workers) as executor:
        futures = [executor.submit(module.use, "a") for _ in range(8)]
        assert {"a"} == {future.result(60) for future in futures}
        receipts = [executor.submit(module.use.receipted, "b").result(60) for _ in range(2)]
    assert 2 == log().count("filled")
    assert 1 == sum(each.receipt.node_cold_starts for each in receipts)


SCRIPT = textwrap.dedent(MODULE) + textwrap.dedent("""
    if __name__ == "__main__":
        import sys
        from gc_warm import LocalExecutor
        environment = {name: os.environ[name] for name in ("GC_WARM_NODE_DIR", "LOG")}
        with LocalExecutor(workers=1, worker_env=environment) as executor:
            print(executor.submit(use, "a").result(60))
        weights("a")
""")


@pytest.mark.slow
def test_of_a_script_it_is_the_same_folder_in_every_run(tmp_path, log):
    (tmp_path / "script.py").write_text(SCRIPT)
    for _ in range(2):
        command = [sys.executable, str(tmp_path / "script.py")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
        assert "a\n" == ended.stdout, ended.stderr
    assert 1 == log().count("filled")
    assert 2 == log().count("built")


def test_what_does_not_use_it_does_not_carry_it(user_module):
    one = user_module(
        "carries_no_folder",
        """
        from gc_warm import self_contained, warm
        @warm
        def model():
            return 1
        @self_contained
        def use():
            return model()
        """,
    )
    assert increase_count.payload_size() <= 10 * 1024
    assert one.use.payload_size() <= 26.5 * 1024
    assert "fcntl" not in one.use.source()


def test_probe_shows_it():
    assert {"place": str(place.path()), "folders": [], "building": []} == probe()["node"]
    assert not Path(place.path()).exists()
