"""The two brokers: ours, in a thread with a loop of its own, and RabbitMQ, in a private folder."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from gc_warm.local.service.broker import Broker

USER, PASSWORD = "someone", "p@ss/word"
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SECONDS_TO_START = 120


@dataclass
class Embedded:
    """A broker and the thread in which it runs."""

    broker: Broker
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __enter__(self):
        self._thread = threading.Thread(target=self.loop.run_forever, name="broker")
        self._thread.start()
        self.wait(self.broker.start())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.wait(self.broker.stop())
            left = self.call(lambda: [task for task in asyncio.all_tasks() if not task.done()])
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()
        assert [] == left

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the broker's thread."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return future.result(30)

    @property
    def url(self) -> str:
        return self.broker.url(USER)

    @property
    def port(self) -> int:
        return self.broker.port


@pytest.fixture
def embedded() -> Iterator[Embedded]:
    with Embedded(Broker({USER: PASSWORD})) as running:
        yield running


@pytest.fixture
def start_broker():
    """Start brokers with options."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(Embedded(Broker({USER: PASSWORD}, **options)))


@dataclass(frozen=True)
class RabbitMQ:
    port: int

    @property
    def url(self) -> str:
        return f"amqp://{USER}:p%40ss%2Fword@127.0.0.1:{self.port}/%2F"


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    if not RABBITMQ.exists():
        pytest.skip("RabbitMQ is missing: apt-get install rabbitmq-server")
    folder = tmp_path_factory.mktemp("rabbitmq")
    port, distribution, names = free_ports(3)
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\n"
        f"default_user = {USER}\ndefault_pass = {PASSWORD}\n"
        "loopback_users = none\ndisk_free_limit.absolute = 1MB\n"
    )
    (folder / "enabled_plugins").write_text("[].\n")
    environment = {
        **os.environ,
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"gcw{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
    }
    # RabbitMQ would start this name service as a daemon, which stays.
    with running(["epmd"], environment), running([str(RABBITMQ)], environment) as server:
        wait_for_start(server, folder)
        yield RabbitMQ(port)
    shutil.rmtree(folder)


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            family = [*psutil.Process(process.pid).children(recursive=True)]
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            for each in [process, *family]:
                with contextlib.suppress(psutil.Error):
                    each.kill()


def wait_for_start(server: subprocess.Popen[str], folder: Path) -> None:
    timer = threading.Timer(SECONDS_TO_START, server.kill)
    timer.start()
    lines = []
    assert server.stdout
    for line in server.stdout:
        lines.append(line)
        if "completed with" in line:
            timer.cancel()
            return
    logs = "".join(path.read_text() for path in (folder / "log").glob("*.log"))
    pytest.fail(f"RabbitMQ does not start:\n{''.join(lines)}\n{logs[-3000:]}")


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Embedded | RabbitMQ:
    """Each of the brokers."""
    return request.getfixturevalue(request.param)
