"""A check makes nothing, asks nobody and connects to nothing, whatever a config says.

What happens is watched from outside of our code: by an audit hook that every Python here starts
with, by a boto3 that remembers its calls, and by schedulers that remember theirs.
"""

import json
import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from gc_warm.checks.endpoint import check_endpoint

WATCH = """
import os, sys
EVENTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
def watch(event, args):
    if event in EVENTS and not (event == "socket.connect" and isinstance(args[1], str)):
        with open(os.environ["WATCHED"], "a") as file:
            file.write(f"{event} {args}\\n")
sys.addaudithook(watch)
"""
BOTO = """
import os
class Session:
    def __init__(self, **options):
        with open(os.environ["WATCHED"], "a") as file:
            file.write("boto3\\n")
        raise RuntimeError("in the cloud")
class session:
    Session = Session
"""


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A file that gets a line for whatever a process does that it should not."""
    programs, modules, log = (tmp_path / name for name in ("bin", "modules", "watched"))
    programs.mkdir()
    modules.mkdir()
    log.touch()
    for name in (
        "sacct",
        "sbatch",
        "squeue",
        "qsub",
        "qstat",
        "bsub",
        "condor_submit",
        "nvidia-smi",
    ):
        (programs / name).write_text(f"#!/bin/sh\necho {name} >> {log}\n")
        (programs / name).chmod(stat.S_IRWXU)
    (modules / "sitecustomize.py").write_text(WATCH)
    (modules / "boto3.py").write_text(BOTO)
    (modules / "botocore").mkdir()
    (modules / "botocore" / "exceptions.py").write_text("class ClientError(Exception):\n    pass\n")
    monkeypatch.setenv("WATCHED", str(log))
    monkeypatch.setenv("PYTHONPATH", str(modules))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return log


def engine(provider, address=""):
    return f"engine: {{type: GlobusComputeEngine, {address} provider: {{{provider}}}}}\n"


CONFIGS = {
    "aws": engine("type: AWSProvider, image_id: i, key_name: k, min_blocks: 1"),
    "azure": engine("type: AzureProvider, vm_reference: {}"),
    "google": engine(
        "type: GoogleCloudProvider, project_id: p, key_file: /k, region: us-central1,"
        " os_project: o, os_family: f"
    ),
    "kubernetes": engine("type: KubernetesProvider, image: 'x:1'"),
    "slurm": engine("type: SlurmProvider"),
    "pbs": engine("type: PBSProProvider"),
    "torque": engine("type: TorqueProvider"),
    "lsf": engine("type: LSFProvider"),
    "condor": engine("type: CondorProvider"),
    "grid engine": engine("type: GridEngineProvider"),
    "no address": engine("type: LocalProvider"),
    "asked for": engine("type: LocalProvider", "address: {type: address_by_query},"),
    "by route": engine("type: LocalProvider", "address: {type: address_by_route},"),
    "by name": engine("type: LocalProvider", "address: {type: address_by_hostname},"),
}


def check_all(folder):
    """Check each of them, several at a time: each takes a process."""
    paths = []
    for name, text in CONFIGS.items():
        paths.append(folder / f"{name}.yaml")
        paths[-1].write_text(text)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(CONFIGS, pool.map(check_endpoint, paths), strict=True))


@pytest.mark.slow
def test_nothing_happens(watched, tmp_path):
    found = check_all(tmp_path)
    assert not watched.read_text()
    refused = {"GW003", "GW008"}
    # Parsl's provider for Google is none that its own executor takes.
    assert {"google"} == {
        name for name, each in found.items() if refused & {finding.code for finding in each}
    }


@pytest.mark.slow("loads configs that do harm")
def test_what_is_watched_would_be_seen(watched):
    """Parsl itself does all that: it calls boto3, and asks the scheduler and a service."""
    program = (
        "import parsl.addresses, parsl.providers as providers\n"
        "from contextlib import suppress\n"
        "with suppress(Exception): providers.AWSProvider(image_id='i', key_name='k')\n"
        "providers.SlurmProvider()\n"
        "with suppress(Exception): parsl.addresses.address_by_query(timeout=0.01)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    seen = {line.split()[0] for line in watched.read_text().splitlines()}
    assert {"boto3", "sacct", "socket.getaddrinfo"} <= seen


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "line",
    [
        "import socket; socket.create_connection(('127.0.0.1', PORT))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:PORT')",
        "import socket; socket.socket().connect_ex(('127.0.0.1', PORT))",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    ],
)
def test_a_program_connects_to_nothing(tmp_path, line):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        (tmp_path / "config.py").write_text(line.replace("PORT", str(server.getsockname()[1])))
        [found] = check_endpoint(tmp_path)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert ("GW004", True) == (found.code, "opens no connections" in found.reason)


@pytest.mark.slow("loads three configs")
def test_arguments_are_checked_although_nothing_is_made(tmp_path):
    wrong = {
        "type: AWSProvider, image_id: i": "key_name",
        "type: KubernetesProvider, image: 'x:1', init_mem: 5": "init_mem",
        "type: KubernetesProvider, image: 'x:1', colour: red": "colour",
    }
    for provider, word in wrong.items():
        (tmp_path / "config").write_text(engine(provider))
        [found] = [each for each in check_endpoint(tmp_path / "config") if each.code == "GW003"]
        assert word in found.reason


@pytest.mark.slow("loads a config, for what is seldom")
def test_an_interface_that_is_missing_here_hides_nothing(tmp_path):
    (tmp_path / "config").write_text(
        engine(
            "type: SlurmProvider, walltime: '10:00'",
            "colour: red, address: {type: address_by_interface, ifname: none7},",
        )
    )
    found = {each.code for each in check_endpoint(tmp_path / "config")}
    assert {"GW003", "GW004", "GW502"} <= found


LOCAL = "provider: {type: LocalProvider, min_blocks: 1}"
CANNOT_START = [
    f"type: GlobusComputeEngine, container_type: custom, {LOCAL}",
    f"type: GlobusComputeEngine, container_type: custom, container_cmd_options: '{{X}}', {LOCAL}",
    "type: ProcessPoolEngine, max_workers: 1, max_retries_on_system_failure: 2",
]


@pytest.mark.quick(1)
@pytest.mark.parametrize("text", CANNOT_START)
def test_what_loads_and_cannot_start_is_found(tmp_path, text):
    (tmp_path / "config").write_text(f"engine: {{{text}}}\n")
    assert "GW008" in {each.code for each in check_endpoint(tmp_path / "config")}


def test_unless_asked_nothing_of_a_config_is_run(tmp_path):
    (tmp_path / "config.py").write_text(f"open({str(tmp_path / 'was run')!r}, 'w')\n")
    [found] = check_endpoint(tmp_path, execute=False)
    assert ("GW004", False) == (found.code, (tmp_path / "was run").exists())

    template = tmp_path / "user_config_template.yaml.j2"
    template.write_text("x: {{ user_runtime.x }}{% for i in range(10**9) %}{% endfor %}\n")
    schema = {"properties": {}, "additionalProperties": False}
    template.with_name("user_config_schema.json").write_text(json.dumps(schema))
    found = [each.code for each in check_endpoint(template, execute=False)]
    assert ["GW004", "GW401"] == found
