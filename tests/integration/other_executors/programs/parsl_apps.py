"""Parsl: functions as apps, and given to its kernel; on HTEX, and in threads."""

import sys
from functools import partial

import client_side
import parsl
from parsl import python_app
from parsl.config import Config
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.providers import LocalProvider

EXECUTORS = {
    "threads": ThreadPoolExecutor(max_threads=2),
    "htex": HighThroughputExecutor(
        address="127.0.0.1",
        loopback_address="127.0.0.1",
        max_workers_per_node=2,
        provider=LocalProvider(init_blocks=1, max_blocks=1),
    ),
}


def run(kind: str) -> None:
    lab, folder = client_side.begin()
    use, reuse = lab.use, lab.reuse
    from gc_warm import self_contained

    config = Config(executors=[EXECUTORS[kind]], run_dir=f"{folder}/runinfo", usage_tracking=0)
    with parsl.load(config) as kernel:
        app = python_app(use)
        futures = [app(folder, n) for n in range(20)]
        called = [future.result() for future in futures]
        app = python_app(partial(use))
        futures = [app(folder, n) for n in range(20)]
        wrapped = [future.result() for future in futures]
        futures = [kernel.submit(use, (folder, n), "all", False, [], {}) for n in range(20)]
        submitted = [future.result() for future in futures]
        app = python_app(reuse)
        futures = [app(used) for used in submitted]
        reused = [future.result() for future in futures]
        app = python_app(self_contained(partial(lab.scaled, 2, folder)))
        futures = [app(n) for n in range(20)]
        made = [future.result() for future in futures]
    client_side.report(app=called, partial=wrapped, submit=submitted, reuse=reused, made=made)


if __name__ == "__main__":
    run(sys.argv[4])
