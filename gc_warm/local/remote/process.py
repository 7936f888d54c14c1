"""What a process of ours does first, so that it is as an endpoint's would be."""

from __future__ import annotations

import ctypes
import logging
import signal
import sys
import types

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PYTHON_IGNORES = {signal.SIGPIPE, signal.SIGXFSZ}


def begin() -> list[str]:
    """Drop what the client has left here; return the arguments, which no task shall see."""
    arguments = sys.argv[1:]
    del sys.argv[1:]
    # Functions from a client's script refer to the worker's __main__: let them find it empty.
    sys.modules["__main__"] = types.ModuleType("__main__")
    # The client ignores or blocks some signals: both pass to the programs that it starts.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals() - _PYTHON_IGNORES:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    return arguments


def silence_endpoint() -> None:
    """Have `execute_task` log no traceback of each task that fails: the client gets it anyway."""
    log = logging.getLogger("globus_compute_endpoint.engines.helper")
    log.addHandler(logging.NullHandler())
    log.propagate = False


def die_with_parent() -> None:
    """Have this process killed when its parent dies, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of processes that their own parent leaves, so as to find all of them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
