"""The rules of tests/conftest.py, tried on small sessions of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SESSION_ENVIRONMENT = {
    "GC_WARM_REQUIRE_ALL": "",
    "GC_WARM_SECONDS_TO_END": "0.5",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}

LEAVES_A_PROCESS = """
import subprocess
def test():
    print("pid", subprocess.Popen(["sleep", "600"]).pid)
"""
LEAVES_AN_ORPHAN = """
import subprocess, tempfile
def test():
    little = {"TMPDIR": tempfile.gettempdir()}
    script = "sleep 600 >&- 2>&- & echo pid $!"
    subprocess.run(script, shell=True, start_new_session=True, env=little)
"""
LEAVES_A_FILE = """
import tempfile
def test():
    tempfile.mkstemp(prefix="gc-warm-")
"""
LEAVES_NOTHING = """
import subprocess, tempfile
def test():
    subprocess.run("sleep 0 &", shell=True)
    tempfile.TemporaryDirectory(prefix="gc-warm-").cleanup()
"""
SKIPS = """
import pytest
def test():
    pytest.skip("no server")
"""
SKIPS_ALL = """
import pytest
pytest.skip("no server", allow_module_level=True)
"""
MAY_SKIP = """
import pytest
@pytest.mark.may_skip("accelerators cannot be installed")
@pytest.mark.skipif(True, reason="no accelerator")
def test():
    pass
@pytest.mark.xfail(reason="known")
def test_known():
    raise ValueError
"""


@pytest.fixture
def session(tmp_path):
    """Run a test file in a session of its own, with our conftest."""

    def run(text, **environment):
        (tmp_path / "conftest.py").write_bytes(CONFTEST.read_bytes())
        (tmp_path / "test_it.py").write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_ADDOPTS": "", **SESSION_ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def pid_in(output):
    return int(output.partition("pid ")[2].split()[0])


@pytest.mark.quick(1)
@pytest.mark.parametrize("text", [LEAVES_A_PROCESS, LEAVES_AN_ORPHAN], ids=["child", "orphan"])
def test_a_process_left_behind_fails_the_session(session, text):
    ended = session(text)
    pid = pid_in(ended.stdout)
    os.kill(pid, signal.SIGKILL)
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert f"process {pid} " in ended.stdout
    assert "sleep 600" in ended.stdout
    assert "1 passed, 1 error" in ended.stdout


def test_a_file_left_behind_fails_the_session(session):
    ended = session(LEAVES_A_FILE)
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "/gc-warm-" in ended.stdout


def test_a_session_that_cleans_up_passes(session):
    assert session(LEAVES_NOTHING).returncode == pytest.ExitCode.OK


def test_skips_are_skips_at_home(session):
    assert session(SKIPS).returncode == pytest.ExitCode.OK


@pytest.mark.parametrize("text", [SKIPS, SKIPS_ALL], ids=["test", "module"])
def test_skips_are_failures_where_all_is_required(session, text):
    ended = session(text, GC_WARM_REQUIRE_ALL="1")
    assert ended.returncode in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    assert "was skipped: Skipped: no server" in ended.stdout


def test_a_test_that_may_skip_and_one_known_to_fail_are_left_alone(session):
    ended = session(MAY_SKIP, GC_WARM_REQUIRE_ALL="1")
    assert ended.returncode == pytest.ExitCode.OK
    assert "1 skipped, 1 xfailed" in ended.stdout


def test_the_endpoints_python_has_the_endpoint_but_not_gc_warm(endpoint_python, tmp_path):
    def import_there(module):
        return subprocess.run(
            [endpoint_python, "-c", f"import {module}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert import_there("globus_compute_endpoint.engines.helper").returncode == 0
    missing = import_there("gc_warm")
    assert missing.returncode == 1
    assert "ModuleNotFoundError: No module named 'gc_warm'" in missing.stderr
