"""A warm self-contained call against a plain function, both under the real ``execute_task``."""

from __future__ import annotations

import functools
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import types
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_endpoint.engines.helper import execute_task

from benchmarks.executors import htex
from benchmarks.measure import Ratio, medians
from gc_warm.local.executor import LocalExecutor
from gc_warm.local.messages import ComputeSerializer, serialize_arguments, serialize_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODULE = "bench_user_module"
WITHOUT_STATE = """
from gc_warm import self_contained

@self_contained
def work(text):
    return "small" + text
"""
WITH_STATE = """
from gc_warm import self_contained, warm

@warm
def model(name):
    return {"name": name}

@self_contained
def work(text):
    return model("small")["name"] + text
"""


def module_of_16_kb(folder: Path, text: str = WITH_STATE, name: str = MODULE) -> Any:
    """Write and import a user's module of 16 KB that begins with a text."""
    number = 0
    while len(text) < 16 * 1024:
        text += (
            f"\ndef helper_{number}(value):\n    return [value, {number}, {number * 7919 % 997}]\n"
        )
        number += 1
    (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return importlib.import_module(name)


def task(function: Callable[..., Any], run_dir: Path) -> Callable[[], object]:
    """Return a function that runs a task as a worker does, everything included."""
    serializer = ComputeSerializer()
    body = serialize_function(serializer, function)
    body += serialize_arguments(serializer, ("text",), {})
    task_id = uuid.uuid4()
    packed = messagepack.pack(Task(task_id=task_id, task_buffer=body))
    return functools.partial(execute_task, packed, task_id, run_dir=run_dir)


def _plain(text: str) -> str:
    """Do next to nothing."""
    return "small" + text


# As a script's function is, which travels by value, without the globals of this module.
plain = types.FunctionType(_plain.__code__, vars(sys.modules["__main__"]), "plain")
plain.__module__ = "__main__"


def run() -> Iterator[Ratio]:
    """Yield what a self-contained function costs, warm and cold."""
    with tempfile.TemporaryDirectory(prefix="gc-warm-bench-") as folder:
        work = module_of_16_kb(Path(folder)).work
        plainer = module_of_16_kb(Path(folder), WITHOUT_STATE, "bench_without_state").work
        yield _warm_call("warm call of a 16 KB module", work, Path(folder))
        yield _warm_call("the same without @warm", plainer, Path(folder))
        yield _warm_call_on_htex(work)
        yield _second_submission(work)
        yield _serializing_again(work)
        yield _first_unpacking(work, folder)


def _warm_call(name: str, work: Callable[..., Any], folder: Path) -> Ratio:
    subjects = {"ours": task(work, folder), "plain": task(plain, folder)}
    times = {k: 1e6 * t for k, t in medians(subjects, calls=3000, warm_up=100).items()}
    ours, other = times["ours"], times["plain"]
    return Ratio(name, ours, other, "plain function", "µs", "<= 1.25")


def _warm_call_on_htex(work: Callable[..., Any]) -> Ratio:
    engine = htex()
    try:
        codes = {"ours": engine.code_of(work), "plain": engine.code_of(plain)}

        def call(code: str) -> Any:
            return engine.result(engine.submit("text", code=code))

        subjects = {name: functools.partial(call, code) for name, code in codes.items()}
        times = {k: 1e3 * t for k, t in medians(subjects, calls=1500, warm_up=100).items()}
    finally:
        engine.close()
    ours, other = times["ours"], times["plain"]
    return Ratio("the first, on HTEX", ours, other, "plain function", "ms", "<= 1.1")


def _second_submission(work: Callable[..., Any]) -> Ratio:
    """Compare what `LocalExecutor` needs to accept a function that it has had before.

    It sends the payload to a worker at once, which the SDK's executor leaves to the service: there
    the two cost the same.
    """
    with LocalExecutor(workers=1) as executor:
        times: dict[str, list[float]] = {"ours": [], "plain": []}
        for _ in range(1000):
            for name, function in (("ours", work), ("plain", plain)):
                start = time.perf_counter()
                future = executor.submit(function, "text")
                times[name].append(time.perf_counter() - start)
                future.result()
    ours, other = (1e6 * statistics.median(times[name]) for name in ("ours", "plain"))
    return Ratio("submitting it again", ours, other, "plain function", "µs", "")


def _serializing_again(work: Callable[..., Any]) -> Ratio:
    """Compare what a further executor pays; the same executor serializes a function only once."""
    serializer = ComputeSerializer()
    subjects = {
        "ours": functools.partial(serializer.serialize, work),
        "plain": functools.partial(serializer.serialize, plain),
    }
    times = {k: 1e6 * t for k, t in medians(subjects, calls=500, warm_up=10).items()}
    return Ratio("serializing it again", times["ours"], times["plain"], "plain function", "µs", "")


# In a fresh interpreter that has the SDK: how long a function's first unpacking takes, or the
# import of its module where all is installed.
_FIRST = """
import sys, time
from globus_compute_sdk.serialize import ComputeSerializer
payload = sys.stdin.read()
start = time.perf_counter()
if payload:
    ComputeSerializer().deserialize(payload)
else:
    import bench_user_module
print(time.perf_counter() - start)
"""


def _first_unpacking(work: Callable[..., Any], folder: str) -> Ratio:
    payload = ComputeSerializer().serialize(work)

    def milliseconds(given: str, path: str) -> float:
        command = [sys.executable, "-I" if given else "-c", *(["-c"] if given else []), _FIRST]
        ended = subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        return 1e3 * float(ended.stdout)

    unpacked = statistics.median(milliseconds(payload, "") for _ in range(9))
    imported = statistics.median(milliseconds("", folder) for _ in range(9))
    return Ratio("first unpacking, over its import", unpacked - imported, 10, "limit", "ms", "<= 1")
