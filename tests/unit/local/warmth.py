"""A self-contained function with a warm state that leaves a trace of each build and teardown."""

import os
from collections.abc import Iterator
from pathlib import Path

from gc_warm import self_contained, warm


@warm
def state(folder: str) -> Iterator[str]:
    Path(folder, f"built-{os.getpid()}").touch(exist_ok=False)
    yield "ready"
    Path(folder, f"ended-{os.getpid()}").touch(exist_ok=False)


@self_contained
def use(folder: str) -> int:
    state(folder)
    return os.getpid()
