import shlex
import signal
import subprocess
import sys
import tempfile

import pytest
import requests
from click.testing import CliRunner

from gc_warm.commands.serve import _note, serve
from gc_warm.errors import GcWarmError
from gc_warm.local.service.service import LocalService

PROGRAM = "from gc_warm.commands.serve import serve; serve()"


@pytest.fixture
def port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture
def running(port):
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.terminate()
    process.wait()
    process.stdout.close()


def exports(lines):
    found = (shlex.split(line) for line in lines if line.startswith("export "))
    return dict(each[1].partition("=")[::2] for each in found)


def until(process, start):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.strip().startswith(start):
            break
    return lines


def test_it_says_what_to_export_shows_requests_and_stops(running, port):
    said = exports(until(running, "globus-compute-endpoint"))
    assert "local" == said["GLOBUS_SDK_ENVIRONMENT"]
    assert f"http://127.0.0.1:{port}" == said["GLOBUS_SDK_SERVICE_URL_COMPUTE"]

    result = CliRunner().invoke(serve, ["--env", "--port", str(port)])
    assert said == exports(result.output.splitlines())

    requests.get(f"http://127.0.0.1:{port}/v2/version", timeout=10)
    assert "/v2/version  401" in until(running, "GET")[-1]

    running.send_signal(signal.SIGINT)
    assert 0 == running.wait(20)
    assert "stopping" in running.stdout.read()
    result = CliRunner().invoke(serve, ["--env", "--port", str(port)])
    assert isinstance(result.exception, GcWarmError)


def test_it_stops_when_it_is_told_to_end(running):
    until(running, "globus-compute-endpoint")
    running.terminate()

    assert 0 == running.wait(20)


def test_credentials_of_a_killed_service_are_not_handed_out(running, port):
    until(running, "globus-compute-endpoint")
    running.kill()
    running.wait()

    with LocalService(port=port):
        result = CliRunner().invoke(serve, ["--env", "--port", str(port)])
        assert isinstance(result.exception, GcWarmError)
        assert "No service runs" in str(result.exception)
    _note(port).unlink()


@pytest.mark.slow("starts two services")
@pytest.mark.may_skip("a container may not let its processes have networks of their own")
def test_services_in_different_networks_may_share_a_folder(running, port):
    said = exports(until(running, "globus-compute-endpoint"))
    isolated = ["unshare", "--map-current-user", "--net"]
    if subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare --net is not permitted")
    script = f"ip link set lo up && exec {sys.executable} -u -c '{PROGRAM}' --port {port}"
    with subprocess.Popen(
        [*isolated, "sh", "-c", script], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert said != exports(until(other, "globus-compute-endpoint"))
            result = CliRunner().invoke(serve, ["--env", "--port", str(port)])
            assert said == exports(result.output.splitlines())
        finally:
            other.terminate()


def test_a_note_of_somebody_else_is_refused(port, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    _note(port).symlink_to(tmp_path / "theirs")

    for arguments in ([], ["--env"]):
        result = CliRunner().invoke(serve, [*arguments, "--port", str(port)])
        assert isinstance(result.exception, GcWarmError)
        assert "TMPDIR" in str(result.exception)


def test_only_the_user_can_read_the_secrets(running, port):
    until(running, "globus-compute-endpoint")
    assert 0o600 == _note(port).stat().st_mode & 0o777
