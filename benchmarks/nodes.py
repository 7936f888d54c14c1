"""What workers of one node share: the memory of an array, and the peaks of their builds."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.measure import Ratio
from gc_warm import node_folder, warm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = 8
ROUNDS = 2
ARRAY = 400_000_000  # bytes
PEAK = 300_000_000
PAGE = 1 << 20


def _numpy() -> Any:
    return importlib.import_module("numpy")


def _array() -> Any:
    """Build an array, which takes a second or two."""
    numpy = _numpy()
    array = numpy.arange(ARRAY // 8, dtype=numpy.float64)
    return numpy.sqrt(array, out=array)


@node_folder
def filled(folder: Path) -> None:
    """Put the array into a file."""
    _numpy().save(folder / "array.npy", _array())


@warm
def mapped() -> Any:
    """Map the file, and touch each page of it."""
    array = _numpy().load(filled() / "array.npy", mmap_mode="r")
    array[::512].sum()
    return array


@warm
def own() -> Any:
    """Have an array of one's own, as without a folder."""
    return _array()


@node_folder
def model_file(folder: Path) -> None:
    """Copy a real model: that of Magika."""
    magika = Path(str(importlib.import_module("magika").__file__)).parent
    found = max(magika.rglob("*.onnx"), key=lambda path: path.stat().st_size)
    (folder / "model.onnx").write_bytes(found.read_bytes())


def _session(path: str) -> Any:
    runtime = importlib.import_module("onnxruntime")
    return runtime.InferenceSession(path, providers=["CPUExecutionProvider"])


@warm(builds_per_node=1)
def model_in_turn() -> Any:
    """Load the model while nobody else does."""
    return _session(str(model_file() / "model.onnx"))


@warm
def model_at_once() -> Any:
    """Load the model when it is wanted."""
    return _session(str(model_file() / "model.onnx"))


def _with_peak() -> bytes:
    """Build what needs far more memory while it is built than afterwards."""
    work = bytearray(PEAK)
    for start in range(0, PEAK, 4096):
        work[start] = 1
    time.sleep(0.2)
    return bytes(PAGE)


@warm(builds_per_node=1)
def peak_in_turn() -> bytes:
    """Build while nobody else does."""
    return _with_peak()


@warm
def peak_at_once() -> bytes:
    """Build when it is wanted."""
    return _with_peak()


# Workers: each says that it is ready, builds when told to, says so, and waits to be measured


def worker(name: str) -> None:
    """Be one worker."""
    for module in ("numpy", "onnxruntime"):
        importlib.import_module(module)
    state: Callable[[], object] = globals()[name]
    print("ready", flush=True)
    sys.stdin.readline()
    state()
    print("built", flush=True)
    sys.stdin.readline()


@contextlib.contextmanager
def _started(name: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Start workers in a place of their own, and have them ready."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "benchmarks.nodes", name]
        started = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "GC_WARM_NODE_DIR": place, "OMP_NUM_THREADS": "1"},
            )
            for _ in range(count)
        ]
        try:
            for each in started:
                _line_of(each)
            yield started
        finally:
            for each in started:
                each.kill()
                each.communicate()


def _line_of(process: subprocess.Popen[str]) -> None:
    if process.stdout is None or not process.stdout.readline():
        raise RuntimeError("a worker of the benchmark ended")


def _memory(processes: list[subprocess.Popen[str]]) -> int:
    """Return the memory of processes in bytes; what several share counts once."""
    total = 0
    for each in processes:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{each.pid}/smaps_rollup").read_text(encoding="ascii")
            lines = [line.split() for line in rollup.splitlines() if line.startswith("Pss:")]
            total += int(lines[0][1]) * 1024
    return total


class Cost(NamedTuple):
    """How long workers took to build, what memory they gained by it, and what at most."""

    seconds: float
    megabytes: float
    peak: float


def _measure(name: str, count: int, *, look: bool = False) -> Cost:
    """Have workers build.

    To look at the memory meanwhile disturbs them, so that is done only on request.
    """
    with _started(name, count) as workers:
        before = peak = _memory(workers)
        began = time.perf_counter()
        for each in workers:
            print(file=each.stdin, flush=True)
        waiting = list(workers)
        while waiting:
            peak = max(peak, _memory(workers) if look else 0)
            pipes = [each.stdout for each in waiting if each.stdout is not None]
            ready, _, _ = select.select(pipes, [], [], 0.02)
            for each in [each for each in waiting if each.stdout in ready]:
                _line_of(each)
                waiting.remove(each)
        seconds = time.perf_counter() - began
        return Cost(seconds, (_memory(workers) - before) / 1e6, (peak - before) / 1e6)


def run() -> list[Ratio]:
    """Measure, and return the ratios."""
    pairs = [(_measure("mapped", 1), _measure("mapped", WORKERS)) for _ in range(ROUNDS)]
    one, shared = (min(each) for each in zip(*pairs, strict=True))  # the least disturbed
    own = _measure("own", WORKERS)
    one_peak = _measure("peak_in_turn", 1, look=True)
    peaks = _measure("peak_in_turn", WORKERS, look=True)
    peaks_at_once = _measure("peak_at_once", WORKERS, look=True)
    alone = (WORKERS - 1) * one_peak.megabytes + one_peak.peak
    models = _measure("model_in_turn", WORKERS, look=True)
    models_at_once = _measure("model_at_once", WORKERS, look=True)
    many = f"{WORKERS} workers"
    return [
        Ratio(f"{many}, one array", shared.megabytes, one.megabytes, "one worker", "MB", "<= 1.3"),
        Ratio(f"{many}, one array", shared.seconds, one.seconds, "one worker", "s", "<= 1.3"),
        Ratio(f"{many}, an array each", own.megabytes, one.megabytes, "one worker", "MB", ">= 7"),
        Ratio(f"{many}, an array each", own.seconds, one.seconds, "one worker", "s"),
        Ratio(f"{many} in turn, peak", peaks.peak, alone, "one build", "MB", "<= 1.2"),
        Ratio(f"{many} at once, peak", peaks_at_once.peak, alone, "one build", "MB"),
        Ratio(f"{many}, Magika in turn", models.seconds, models_at_once.seconds, "at once", "s"),
        Ratio(f"{many}, its peak", models.peak, models_at_once.peak, "at once", "MB"),
    ]


if __name__ == "__main__":
    sys.modules["benchmarks.nodes"] = sys.modules["__main__"]
    worker(sys.argv[1])
