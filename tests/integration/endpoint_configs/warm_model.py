"""What the tests of the sample configs submit: a state, and how often it was built."""

import os

from gc_warm import self_contained, warm

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
        "state": os.environ.get("WARM_STATE"),
    }


def use_installed():
    """Use what is installed on the worker; plain source code."""
    from gc_warm.functions.counter import increase_count

    return dict(increase_count())
