"""Dask, with a scheduler and workers that are programs of their own."""

import subprocess
import sys
from functools import partial

import client_side
import dask
from distributed import Client


def start(part: str, folder: str, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "dask", part, "--scheduler-file", f"{folder}/scheduler.json"]
    hosts = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard"]
    return subprocess.Popen([*command, *hosts, *options])


def run() -> None:
    lab, folder = client_side.begin()
    use, reuse = lab.use, lab.reuse
    from gc_warm import self_contained

    options = ["--no-nanny", "--nthreads", "1", "--local-directory", folder]
    processes = [start("worker", folder, *options) for _ in range(2)]
    processes.append(start("scheduler", folder, "--port", "0"))
    try:
        with Client(scheduler_file=f"{folder}/scheduler.json") as client:
            client.wait_for_workers(2)
            futures = [client.submit(use, folder, n) for n in range(20)]
            submitted = client.gather(futures)
            mapped = client.gather(client.map(use, [folder] * 20, range(20), pure=False))
            chained = client.gather(client.map(reuse, futures))
            # Dask unpickles arguments before functions, so this is how a function comes first.
            reused = client.gather([client.submit(partial(reuse, used)) for used in submitted])
            delayed = dask.compute(*[dask.delayed(use)(folder, n) for n in range(20)])
            scaled = self_contained(partial(lab.scaled, 2, folder))
            made = client.gather(client.map(scaled, range(20)))
    finally:
        for process in processes:
            process.terminate()
            process.wait()
    client_side.report(
        submit=submitted, map=mapped, chain=chained, reuse=reused, delayed=delayed, made=made
    )


if __name__ == "__main__":
    run()
