"""What plays the user endpoint process: it starts the engine of a config, and feeds it tasks.

It needs only the standard library and ``globus_compute_endpoint``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pathlib
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import uuid
from typing import Any

from . import on_this_machine
from .channel import FAILURE, GRACE_SECONDS, Channel, split_request
from .process import adopt_orphans, begin, silence_endpoint
from .watcher import RUN_DIR_NAME

TASK, KILL, QUIT = b"T", b"K", b"Q"
"""First bytes of the frames that the client sends: a task, a fault, and the end."""

RESULT, EVENT = b"R", b"E"
"""First bytes of those that it gets: a result, after its task's id, or news of the engine."""

BLOCK_SECONDS = 60.0
LOOK_SECONDS = 0.1
ORDERLY_SECONDS = 12.0

_MAIN = str(pathlib.Path(__file__).with_name("__main__.py"))


def run_command(name: str, command: str | None) -> None:
    """Run a config's ``endpoint_setup`` or ``endpoint_teardown``, as the endpoint does.

    Raises:
        RuntimeError: It failed.
    """
    if command:
        ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
        if ended.returncode:
            raise RuntimeError(f"{name} exited with status {ended.returncode}:\n{ended.stderr}")


class EngineHost:
    """Starts an engine, gives it tasks, and ends it with the client."""

    def __init__(self, settings: dict[str, Any], channel: Channel) -> None:
        self._settings = settings
        self._channel = channel
        self._inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._orderly = False
        self._config: Any = None

    def run(self) -> None:
        """Start the engine, and do what the client says until it has gone."""
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._start()
        except BaseException as error:  # noqa: BLE001 - the endpoint's code also exits
            self._report(describe(error))
            return
        self._report({"ready": os.getpid()})
        while (frame := self._inbox.get()) is not None:
            if frame[:1] == TASK:
                self._submit(frame[1:])
            else:
                self._report(self._kill(json.loads(frame[1:])))

    def _report(self, event: dict[str, Any]) -> None:
        self._channel.send(EVENT, json.dumps(event).encode())

    def _kill(self, pid: int | None) -> dict[str, Any]:
        """Kill one of the engine's processes, or those of its blocks; say which, or why not."""
        engine = self._config.engine
        name = type(engine).__name__
        if getattr(getattr(engine, "executor", None), "provider", None) is None:
            if pid is None:
                return {"unsupported": f"{name} has no blocks."}
            if pid == os.getpid():
                return {"unsupported": f"{name} has threads, not processes."}
        return {"killed": kill(pid)}

    def _read(self) -> None:
        while (frame := self._channel.receive()) is not None:
            if frame[:1] == QUIT:
                self._orderly = True
                self._inbox.put(None)
                return
            self._inbox.put(frame)
        # The client is gone, so all must be gone soon, whatever the main thread is doing.
        end_descendants(but=self._settings["watcher"])
        shutil.rmtree(self._settings["run_dir"], ignore_errors=True)
        os._exit(0)

    def _start(self) -> None:
        self._config = on_this_machine.load(_endpoint_config(), self._settings)
        run_command("endpoint_setup", self._config.endpoint_setup)
        self._config.engine.start(endpoint_id=uuid.uuid4(), run_dir=self._settings["run_dir"])

    def _submit(self, frame: bytes) -> None:
        from globus_compute_endpoint.engines.base import GCFuture

        task_id, endpoint_id, options, body = split_request(frame)
        engine, future = self._config.engine, GCFuture(gc_task_id=task_id)
        engine.endpoint_id = endpoint_id
        future.add_done_callback(self._finish)
        try:
            engine.submit(
                future,
                body,
                resource_specification=options.get("resource_specification") or {},
                result_serializers=options.get("result_serializers"),
            )
        except Exception as error:  # noqa: BLE001 - it is the task's
            future.set_exception(error)

    def _finish(self, future: Any) -> None:
        error = future.exception()
        if error is None:
            packed = future.result()
        else:
            packed = FAILURE + "".join(traceback.format_exception(error)).encode()
        self._channel.send(RESULT, future.gc_task_id.bytes, packed)

    def end(self) -> None:
        """End the engine as the endpoint does; then end what is left of it."""
        if self._orderly and self._config is not None:
            ending = threading.Thread(target=self._end_engine, daemon=True)
            ending.start()
            ending.join(ORDERLY_SECONDS)
        end_descendants(but=self._settings["watcher"])

    def _end_engine(self) -> None:
        with contextlib.suppress(Exception):
            self._config.engine.shutdown(block=True)
            run_command("endpoint_teardown", self._config.endpoint_teardown)


def describe(error: BaseException) -> dict[str, str]:
    """Say why there is no engine: it failed, or template or schema refused what the user chose."""
    if type(error).__module__.partition(".")[0] in {"jinja2", "jsonschema"}:
        user = pwd.getpwuid(os.getuid()).pw_name
        what = f"Unable to start user endpoint process for {user}"
        return {"refused": f"{what} [({type(error).__name__}) {error}]"}
    return {"failed": "".join(traceback.format_exception_only(error))}


def kill(pid: int | None) -> list[int]:
    """Kill one of the engine's processes, or all of its blocks as soon as there are any."""
    import psutil

    deadline = time.monotonic() + BLOCK_SECONDS
    while True:
        family = psutil.Process().children(recursive=True)
        if pid is None:
            victims = [each for each in family if "process_worker_pool" in _command(each)]
        else:
            victims = [each for each in family if each.pid == pid]
        if victims or pid is not None or time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    return [victim.pid for victim in victims]


def _command(process: Any) -> str:
    import psutil

    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def end_descendants(*, but: int) -> None:
    """End all processes of the engine but one: SIGTERM, and SIGKILL a second later."""
    import psutil

    for send in (psutil.Process.terminate, psutil.Process.kill):
        family = [each for each in psutil.Process().children(recursive=True) if each.pid != but]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                send(process)
        psutil.wait_procs(family, timeout=GRACE_SECONDS)


def _endpoint_config() -> Any:
    """Load ``gc_warm.endpoint_config`` by its path: there may be no gc-warm to import."""
    path = pathlib.Path(__file__).parents[2] / "endpoint_config.py"
    spec: Any = importlib.util.spec_from_file_location(f"{__package__}.endpoint_config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start_watcher(run_dir: str, lifeline: int) -> int:
    """Start the process that ends all others should this one be killed; return its id.

    The client, which kills all others when this one has ended, must not take it for one of them:
    if the client is killed, too, in the middle of that, the watcher does the rest.
    """
    settings = {"run_dir": run_dir, "host": os.getpid(), "lifeline": lifeline}
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", _MAIN, "watcher", json.dumps(settings)],
        env={name: value for name, value in os.environ.items() if name != RUN_DIR_NAME},
        pass_fds=[lifeline],
        start_new_session=True,
    )
    os.close(lifeline)
    return process.pid


def main() -> None:
    """Play the user endpoint process until the client has gone."""
    descriptor, lifeline = map(int, begin())
    connection = socket.socket(fileno=descriptor)
    connection.set_inheritable(False)
    channel = Channel(connection)
    if (first := channel.receive()) is None:
        return  # the client has gone already
    settings = json.loads(first)
    silence_endpoint()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings["watcher"] = start_watcher(settings["run_dir"], lifeline)
    adopt_orphans()
    host = EngineHost(settings, channel)
    try:
        host.run()
    finally:
        host.end()
