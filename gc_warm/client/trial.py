"""A few tasks on an endpoint, and what they reveal of its workers."""

from __future__ import annotations

import contextlib
import platform
import re
import statistics
import tempfile
import time
from collections import defaultdict
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gc_warm.client.abandoning import abandon
from gc_warm.client.strategies import CODE_STRATEGIES, serializer
from gc_warm.units import counted, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from uuid import UUID

    from globus_compute_sdk import Client

ROUND_TRIPS = 3
SLOW_SECONDS = 5.0
"""The cloud's own part of a round trip is shorter than this."""

STRATEGIES = CODE_STRATEGIES[:4]
"""The strategies for functions that the SDK has not deprecated; the first is its default."""

_PLAIN = "def double(x):\n    return 2 * x\n"
_HOW_RESULTS_COME = (
    "Results come by AMQP, port 5671. If a firewall forbids that, use Executor(amqp_port=443)."
)
_SHOWN_LINES = 3
_NAMES_AN_ERROR = re.compile(r"[\w.]*(Error|Exception|Lost|Exceeded|Mismatch)\b: ")


Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """What ``gc-warm doctor`` says of one thing."""

    name: str
    status: Status  # "warn" is what costs something, or is not known
    message: str
    fix: str = ""  # what to change, if anything
    details: dict[str, Any] = field(default_factory=dict)  # what was measured, as plain data


@dataclass(frozen=True)
class Examination:
    """What ``gc-warm doctor`` looks at."""

    probe: Callable[..., dict[str, Any]]  # gc_warm.functions.probe.probe
    count: Callable[[], Any]  # gc_warm.functions.counter.increase_count
    endpoint_id: UUID | None = None  # None if there is none yet
    user_endpoint_config: dict[str, Any] | None = None
    tasks: int = 20  # so many show what its workers are
    timeout: float = 120.0  # how many seconds the first of them may take


class Worker(NamedTuple):
    """A worker process."""

    host: str
    pid: int

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Worker:
        """Return the worker that gave an answer."""
        return cls(answer["host"], answer["pid"])


class Trial:
    """Runs a few tasks over the SDK's own executor."""

    def __init__(self, wanted: Examination, client: Client) -> None:
        self._wanted = wanted
        self._client = client
        self._function_ids: list[str] = []

    def run(self) -> Iterator[Check]:
        """Yield one check after the other; if the first task fails, there are no others."""
        from globus_compute_sdk import Executor

        executor: Any = Executor(
            endpoint_id=str(self._wanted.endpoint_id),
            client=self._client,
            user_endpoint_config=self._wanted.user_endpoint_config,
            api_burst_limit=8,  # how many submissions may follow each other without a pause
        )
        try:
            yield (first := self._first(executor))
            if first.status != "fail":
                yield from self._others(executor)
        finally:
            abandon(executor)  # no more waiting for what did not come in time
            for function_id in self._function_ids:
                with contextlib.suppress(Exception):  # the checks hold all the same
                    self._client.delete_function(function_id)

    def _first(self, executor: Any) -> Check:
        """Run one task, which waits for queues, blocks and workers."""
        begin = time.perf_counter()
        try:
            self._probe_id = self._register(self._wanted.probe)
            self._count_id = self._register(self._wanted.count)
            future = executor.submit_to_registered_function(self._probe_id)
            answer = future.result(self._wanted.timeout)
        except FutureTimeoutError:
            return self._late(future)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return failure(error)
        seconds = time.perf_counter() - begin
        message = f"came back after {seconds:.1f} s, from a worker on {answer['host']}"
        return Check("first task", "ok", message, details={"seconds": seconds})

    def _late(self, future: Any) -> Check:
        seconds = f"{self._wanted.timeout:g} s"
        if future.task_id is None:
            fix = "Is there a network? Try again in a minute: the service may limit requests."
            return Check("first task", "fail", f"it could not be sent within {seconds}", fix)
        try:
            known = self._client.get_task(future.task_id)
        except Exception as error:  # noqa: BLE001
            known = {"status": f"unknown ({shorten(error)})"}
        status = str(known.get("status"))
        if known.get("pending", True):
            message = f"it has not come back after {seconds}; the service says: {status}"
            fix = (
                "Do workers wait in a scheduler's queue? Give them time: --timeout. Otherwise the "
                "endpoint's logs say why none starts."
            )
        else:
            message = f"the service has received its result ({status}), but it did not come here"
            fix = _HOW_RESULTS_COME
        return Check("first task", "fail", message, fix, {"status": status})

    def _others(self, executor: Any) -> Iterator[Check]:
        try:
            counts, seconds = self._round_trips(executor)
            yield round_trip(seconds)
            pending = []
            for _ in range(self._wanted.tasks):
                pending += [
                    executor.submit_to_registered_function(self._count_id),
                    executor.submit_to_registered_function(self._probe_id),
                ]
            answers = self._results(pending)
        except FutureTimeoutError:
            text = f"some did not come back within {self._wanted.timeout:g} s"
            yield Check("tasks", "fail", text, "The endpoint's logs say why.")
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            yield Check("tasks", "fail", shorten(error), "The endpoint's logs may say more.")
            return
        counts += answers[::2]
        yield state(counts)
        yield from workers(answers[1::2], counts)
        yield self._strategies(executor)

    def _round_trips(self, executor: Any) -> tuple[list[dict[str, Any]], list[float]]:
        counts, seconds = [], []
        for _ in range(ROUND_TRIPS):
            begin = time.perf_counter()
            future = executor.submit_to_registered_function(self._count_id)
            counts.append(future.result(self._wanted.timeout))
            seconds.append(time.perf_counter() - begin)
        return counts, seconds

    def _results(self, futures: Sequence[Future[Any]]) -> list[Any]:
        deadline = time.monotonic() + self._wanted.timeout
        return [each.result(max(0, deadline - time.monotonic())) for each in futures]

    def _register(self, function: Callable[..., Any]) -> str:
        """Register a function that is deleted at the end; those of an executor would stay."""
        function_id: str = self._client.register_function(function)
        self._function_ids.append(function_id)
        return function_id

    def _strategies(self, executor: Any) -> Check:
        """Send a plain function by each strategy; so far, the default one sent all."""
        found: dict[str, str] = {}
        pending = {}
        for name in STRATEGIES:
            try:
                pending[name] = self._send_plain(executor, name)
            except Exception as error:  # noqa: BLE001, PERF203 - each has its own answer
                found[name] = shorten(error)
        for name, future in pending.items():
            found[name] = self._wrong_with(future)
        return strategies({name: found[name] for name in STRATEGIES})

    def _wrong_with(self, future: Future[Any]) -> str:
        try:
            right = future.result(self._wanted.timeout) == 2  # noqa: PLR2004 - of 1
        except FutureTimeoutError:
            return "no result came"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return shorten(error)
        return "" if right else "the result is wrong"

    def _send_plain(self, executor: Any, strategy: str) -> Any:
        before = executor.serializer
        executor.serializer = serializer(strategy)
        try:
            with tempfile.TemporaryDirectory(prefix="gc-warm-doctor-") as folder:
                function_id = self._register(_plain(Path(folder)))
        finally:
            executor.serializer = before
        return executor.submit_to_registered_function(function_id, args=(1,))


def _plain(folder: Path) -> Callable[..., Any]:
    """Make a function like a script's: one that cannot be imported, with its source in a file."""
    path = folder / "script.py"
    path.write_text(_PLAIN)
    # For "__main__", dill would take the source of the running program.
    space: dict[str, Any] = {"__name__": "gc_warm_doctor_script"}
    exec(compile(_PLAIN, str(path), "exec"), space)  # noqa: S102 - the text above
    function: Callable[..., Any] = space["double"]
    return function


def shorten(error: BaseException) -> str:
    """Return an error in one line: of a remote traceback, the line that names the error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -=+^~")]
    named = [line for line in lines if _NAMES_AN_ERROR.match(line)]
    text = named[-1] if named else " | ".join(lines[:_SHOWN_LINES])
    return text if named else f"{type(error).__name__}: {text}"


# What the answers mean


def failure(error: Exception) -> Check:
    """Judge what the first task failed with."""
    from pika.exceptions import AMQPError  # type: ignore[import-untyped]

    if isinstance(error, AMQPError):
        text = f"results do not come here: {shorten(error) if str(error) else repr(error)}"
        return Check("first task", "fail", text, _HOW_RESULTS_COME)
    text = f"it failed: {shorten(error)}"
    fix = "If that is the endpoint's config: gc-warm check FOLDER says what is wrong in it."
    return Check("first task", "fail", text, fix)


def round_trip(seconds: Sequence[float]) -> Check:
    """Judge how long one task after the other took."""
    median = statistics.median(seconds)
    message = f"{duration(median)} for a task alone (median of {len(seconds)})"
    details = {"seconds": list(seconds)}
    if median > SLOW_SECONDS:
        fix = "Put more into a task, such as a list of items, and submit many at once."
        return Check("round trip", "warn", message, fix, details)
    return Check("round trip", "ok", message, details=details)


def state(counts: Sequence[Mapping[str, Any]]) -> Check:
    """Judge whether workers remembered their count from one task to the next."""
    by_worker: dict[Worker, list[int]] = defaultdict(list)
    for each in counts:
        by_worker[Worker.of(each)].append(each["count"])
    told = {worker: found for worker, found in by_worker.items() if len(found) > 1}
    cold = [worker for worker, found in told.items() if len(set(found)) < len(found)]
    details = {"tasks": len(counts), "processes": len(by_worker)}
    if cold:
        message = f"lost between tasks: process {cold[0].pid} on {cold[0].host} began again"
        fix = "Does the endpoint run tasks in forks? gc-warm check FOLDER looks at its config."
        return Check("state", "fail", message, fix, details)
    if not told:
        message = f"unknown: {len(counts)} tasks ran in as many processes"
        fix = (
            "If there are that many workers, try more tasks: --tasks. If not, each task has a new "
            "process (max_tasks_per_child, or a block that ends), and nothing stays warm."
        )
        return Check("state", "warn", message, fix, details)
    message = f"stays: {len(counts)} tasks in {counted(len(by_worker), 'process', 'processes')}"
    return Check("state", "ok", f"{message}, each of which went on counting", details=details)


def workers(
    probes: Sequence[Mapping[str, Any]], counts: Sequence[Mapping[str, Any]]
) -> Iterator[Check]:
    """Judge what workers say about themselves."""
    seen = {Worker.of(each) for each in (*probes, *counts)}
    hosts = sorted({each.host for each in seen})
    said = {each["worker"]["count"] for each in probes} - {None}
    details: dict[str, Any] = {"processes": len(seen), "hosts": hosts}
    message = f"{counted(len(seen), 'process', 'processes')} seen on {', '.join(hosts)}"
    if said:
        details["of_each_node"] = sorted(said)
        message += f"; each node has {' or '.join(sorted(said))}, says Parsl"
    yield Check("workers", "ok", message, details=details)
    yield pythons(probes)
    yield accelerators(probes)


def pythons(probes: Sequence[Mapping[str, Any]]) -> Check:
    """Judge workers' Pythons beside the one here."""
    theirs = sorted({each["python"]["version"] for each in probes})
    paths = sorted({each["python"]["executable"] for each in probes})
    dills = sorted({each["packages"].get("dill") or "none" for each in probes})
    ours = platform.python_version()
    details = {"versions": theirs, "executables": paths, "dill": dills, "here": ours}
    message = f"Python {', '.join(theirs)} with dill {', '.join(dills)} ({', '.join(paths)})"
    if {each.split(".")[1] for each in theirs} == {ours.split(".")[1]}:
        return Check("pythons", "ok", message, details=details)
    fix = (
        "By default, plain functions are pickled, which only the same Python can load. Use "
        "@self_contained, or Executor(serializer=ComputeSerializer(AllCodeStrategies()))."
    )
    return Check("pythons", "warn", f"{message}; here it is {ours}", fix, details)


_VISIBLE = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


def accelerators(probes: Sequence[Mapping[str, Any]]) -> Check:
    """Judge whether workers have accelerators, each its own."""
    machines: dict[str, list[str]] = {}
    visible: dict[Worker, list[str]] = {}
    for each in probes:
        found = each["accelerators"]
        machines[each["host"]] = found["nvidia"] or []
        visible[Worker.of(each)] = [f"{key}={found[key]}" for key in _VISIBLE if found[key]]
    gpus = sum(map(len, machines.values()))
    details = {
        "nvidia": machines,
        "visible": {f"{worker.host}:{worker.pid}": has for worker, has in visible.items()},
    }
    pinned = [" ".join(has) for has in visible.values() if has]
    if not gpus and not pinned:
        return Check("accelerators", "ok", "none are visible", details=details)
    message = counted(gpus, "NVIDIA GPU", "NVIDIA GPUs")
    if pinned:
        message += f"; workers have {', '.join(sorted(set(pinned)))}"
    several = max(sum(worker.host == host for worker in visible) for host in machines)
    distinct = len({(worker.host, *has) for worker, has in visible.items()})
    if several > 1 and distinct < len(visible):
        fix = "In the engine's config, available_accelerators gives each worker its own."
        return Check("accelerators", "warn", f"{message}; workers share them", fix, details)
    return Check("accelerators", "ok", message, details=details)


def strategies(found: Mapping[str, str]) -> Check:
    """Judge by which strategies a plain function can be sent.

    Args:
        found: What went wrong with each strategy; empty if nothing did.
    """
    working = [name for name, wrong in found.items() if not wrong]
    failing = {name: wrong for name, wrong in found.items() if wrong}
    details = {"working": working, "failing": failing}
    if not failing:
        message = f"all work: {', '.join(working)}"
        return Check("strategies", "ok", message, details=details)
    listed = "; ".join(f"{name} fails ({wrong})" for name, wrong in failing.items())
    if not working:
        fix = "See the endpoint's logs. Self-contained functions ran."
        return Check("strategies", "fail", listed, fix, details)
    fix = (
        f"Use Executor(serializer=ComputeSerializer(strategy_code={working[-1]}())), or "
        "@self_contained, which works with all of them."
    )
    return Check("strategies", "warn", f"{', '.join(working)} work; {listed}", fix, details)
