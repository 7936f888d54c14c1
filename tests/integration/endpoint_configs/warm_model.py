"""What the tests of the sample configs submit: a state, and how often it was built."""

import os
import time

from gc_warm import node_folder, self_contained, warm

builds = 0
uses = 0


@warm
def model():
    global builds  # noqa: PLW0603 - a module global is what stays warm
    builds += 1
    return os.getpid()


@self_contained
def use():
    """Use the state, and tell which worker this is and how often it was built there."""
    global uses  # noqa: PLW0603
    uses += 1
    assert model() == os.getpid()
    return {
        "pid": os.getpid(),
        "builds": builds,
        "uses": uses,
        "block": os.environ.get("PARSL_WORKER_BLOCK_ID"),
        "devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "cores": len(os.sched_getaffinity(0)),
        "state": os.environ.get("WARM_STATE"),
    }


@self_contained
def use_for(seconds):
    """Work a while with the state, as real tasks do."""
    time.sleep(seconds)
    return use()


@node_folder
def data(folder):
    """Be filled once on each node."""
    (folder / "data").write_text("data")
    time.sleep(0.5)  # long enough for all workers to ask meanwhile


@self_contained
def use_data(seconds):
    """Read what the node's workers share, and work a while."""
    folder = data()
    time.sleep(seconds)
    return {
        "block": os.environ.get("PARSL_WORKER_BLOCK_ID"),
        "job": os.environ.get("SLURM_JOB_ID"),
        "folder": str(folder),
        "data": (folder / "data").read_text(),
    }


def use_installed(seconds=0):
    """Use the state of this module, which is installed on the worker; itself plain source code."""
    from warm_model import use_for

    return use_for(seconds)


def crash():
    """End the worker, as the kernel does when memory runs out."""
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
