"""A warm self-contained call against a plain function, both under the real ``execute_task``."""

from __future__ import annotations

import functools
import importlib
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_endpoint.engines.helper import execute_task

from benchmarks.measure import Ratio, medians
from gc_warm.local.protocol import ComputeSerializer, serialize_arguments, serialize_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODULE = "bench_user_module"
HEAD = """
from gc_warm import self_contained, warm

@warm
def model(name):
    return {"name": name}

@self_contained
def work(text):
    return model("small")["name"] + text
"""


def module_of_16_kb(folder: Path) -> Any:
    """Write and import a user's module of 16 KB."""
    text = HEAD
    number = 0
    while len(text) < 16 * 1024:
        text += (
            f"\ndef helper_{number}(value):\n    return [value, {number}, {number * 7919 % 997}]\n"
        )
        number += 1
    (folder / f"{MODULE}.py").write_text(text)
    sys.path.insert(0, str(folder))
    return importlib.import_module(MODULE)


def task(function: Callable[..., Any], run_dir: Path) -> Callable[[], object]:
    """Return a function that runs a task as a worker does, everything included."""
    serializer = ComputeSerializer()
    body = serialize_function(serializer, function)
    body += serialize_arguments(serializer, ("text",), {})
    task_id = uuid.uuid4()
    packed = messagepack.pack(Task(task_id=task_id, task_buffer=body))
    return functools.partial(execute_task, packed, task_id, run_dir=run_dir)


def run() -> Iterator[Ratio]:
    """Yield the ratio of a warm call, and of each of its parts."""

    def plain(text: str) -> str:
        return "small" + text

    with tempfile.TemporaryDirectory(prefix="gc-warm-bench-") as folder:
        module = module_of_16_kb(Path(folder))
        subjects = {
            "ours": task(module.work, Path(folder)),
            "plain": task(plain, Path(folder)),
        }
        times = {k: 1e6 * t for k, t in medians(subjects, calls=3000, warm_up=100).items()}
        yield Ratio(
            "warm call of a 16 KB module",
            times["ours"],
            times["plain"],
            "plain function",
            "µs",
            "<= 1.25",
        )
