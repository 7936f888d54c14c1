"""RabbitMQ, from Debian's package: a node of its own, in a private folder."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

USER, PASSWORD = "someone", "p@ss/word"
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SECONDS_TO_START = 120


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
    with node(tmp_path_factory.mktemp("rabbitmq")) as started:
        yield started


@contextlib.contextmanager
def node(folder: Path) -> Iterator[RabbitMQ]:
    """Start RabbitMQ in a folder, which goes with it; `benchmarks/service.py` does so, too."""
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
        _wait_for_start(server, folder)
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


def _wait_for_start(server: subprocess.Popen[str], folder: Path) -> None:
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
    raise RuntimeError(f"RabbitMQ does not start:\n{''.join(lines)}\n{logs[-3000:]}")
