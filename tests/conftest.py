"""What all tests share: the stand-in for an endpoint's Python, and two rules for the whole run.

Nothing is left behind: a process that outlives the session, or a file that gc-warm made in the
temporary folder, fails the run. With GC_WARM_REQUIRE_ALL=1, as in CI, a skip fails too, unless the
test is marked ``may_skip``; with GC_WARM_REQUIRE_WHEEL=1 what is tested must be the wheel.
"""

import collections
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import filelock
import hypothesis
import psutil
import pytest

REPOSITORY = Path(__file__).parents[1]
OWN_TEMPORARY_FOLDER = pytest.StashKey[str]()
# A process that was told to stop may take a moment.
SECONDS_TO_END = float(os.environ.get("GC_WARM_SECONDS_TO_END", "5"))
# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "quick(n): a test with n of its parameters is quick, with all others it is slow"
    )
    config.addinivalue_line(
        "markers",
        "may_skip(reason): may be skipped even in CI, because what it needs cannot be installed",
    )
    # What a shell starts in the background ignores Ctrl-C, and so would all that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("GC_WARM_REQUIRE_WHEEL") and _tested().parents[1] == REPOSITORY:
        message = f"GC_WARM_REQUIRE_WHEEL is set, but {_tested()} would be tested"
        raise pytest.UsageError(message)
    # A temporary folder of the session's own tells what it made from what others make meanwhile:
    # its files, and its processes even when orphaned, for workers inherit TMPDIR if little else.
    # What pytest keeps for debugging stays where it always is. The name is short, for sockets.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    config.stash[OWN_TEMPORARY_FOLDER] = tempfile.mkdtemp(prefix="gcw-")
    os.environ["TMPDIR"] = tempfile.tempdir = config.stash[OWN_TEMPORARY_FOLDER]


def pytest_collection_finish() -> None:
    # The tests are compiled. What they write, import and edit within a second must not be kept:
    # Python goes by its time and its length.
    sys.dont_write_bytecode = True


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := config.stash.get(OWN_TEMPORARY_FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)


def pytest_report_header() -> str:
    return f"gc_warm: {_tested()}"


def _tested() -> Path:
    spec = importlib.util.find_spec("gc_warm")
    return Path(spec.origin if spec and spec.origin else "not found")


# Nothing is left behind


def pytest_sessionfinish(session: pytest.Session) -> None:
    left = [*_processes_left(), *_files_left()]
    if not left:
        return
    text = "\n".join(["The tests left behind:", *left])
    report = pytest.TestReport(
        nodeid="tests/conftest.py::nothing_is_left_behind",
        location=("tests/conftest.py", None, "nothing is left behind"),
        keywords={},
        outcome="failed",
        longrepr=text,
        when="teardown",
    )
    session.config.hook.pytest_runtest_logreport(report=report)
    session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _processes_left() -> list[str]:
    started = {process.pid: process for process in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter():
        if _environment(process).get("TMPDIR") == tempfile.gettempdir():
            started[process.pid] = process
    started.pop(os.getpid(), None)
    _, alive = psutil.wait_procs(
        [process for process in started.values() if not _is_pythons_own(process)],
        timeout=SECONDS_TO_END,
    )
    return [f"  process {line}" for process in alive if (line := _describe(process))]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}  # someone else's, or already gone


def _is_pythons_own(process: psutil.Process) -> bool:
    """Python ends its resource tracker itself, after the last test."""
    try:
        return "multiprocessing.resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _describe(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.pid} (parent {process.ppid()}): {' '.join(process.cmdline())}"
    except psutil.NoSuchProcess:
        return None


def _files_left() -> list[str]:
    found = Path(tempfile.gettempdir()).glob("gc-warm-*")
    place = f"gc-warm-{os.geteuid()}"  # of the node: what is in it stays, for others
    return [f"  file {path}" for path in found if path.name != place]


# Where all is installed, nothing is skipped


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail") and not item.get_closest_marker("may_skip"):
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("GC_WARM_REQUIRE_ALL") and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"GC_WARM_REQUIRE_ALL is set, and this was skipped: {reason}"


# Several at a time


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Start a process more than there are processors, for tests wait, too; none for named tests."""
    if any("::" in argument for argument in config.args):
        return 0
    return min(os.cpu_count() or 1, 7) + 1


# What waits for the same port waits in one process, and what takes longest begins first

NEED_PORT_5000 = (
    *("tests/integration/service/", "[service-"),
    *("tests/unit/test_pytest_plugin.py", "test_example_with_an_agent"),
)
# In this order; last to begin, one of them would keep the others waiting.
TAKE_LONGEST = (
    *NEED_PORT_5000,
    *("test_local_runs.py", "test_differential.py", "test_slurm_runs.py", "test_pythons.py"),
    *("test_interruption.py", "test_other_executors.py", "tests/contract/", "test_many_tasks.py"),
)
SHARE_NOTHING = ("test_differential.py", "test_interruption.py", "test_bad_input.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seen = collections.Counter[str]()
    for item in items:
        if quick := item.get_closest_marker("quick"):
            seen[test := item.nodeid.partition("[")[0]] += 1
            if seen[test] > quick.args[0]:
                item.add_marker("slow")
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    if not item.get_closest_marker("slow"):
        return len(TAKE_LONGEST)
    found = (place for place, part in enumerate(TAKE_LONGEST) if part in item.nodeid)
    return next(found, len(TAKE_LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """With --dist=loadfile, give one process all that needs port 5000: it is one file to them."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if any(part in nodeid for part in NEED_PORT_5000):
                return "port 5000"
            if any(part in nodeid for part in SHARE_NOTHING):
                return nodeid
            return super()._split_scope(nodeid)

    return Scheduling(config, log)


# Fixtures


@pytest.fixture(scope="session")
def port_5000_lock(tmp_path_factory: pytest.TempPathFactory) -> filelock.FileLock:
    """Held, by no more than one test of this user's, while the port that the SDK knows is used.

    It can be taken again by who has it. With pytest-xdist, each worker's folder is one deeper.
    """
    depth = 1 if "PYTEST_XDIST_WORKER" in os.environ else 0
    folder = tmp_path_factory.getbasetemp().parents[depth]
    return filelock.FileLock(folder / "gc-warm-port-5000.lock")


@pytest.fixture(scope="session")
def endpoint_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a Python like an endpoint's: it has all that this one has, except gc_warm.

    Start it outside the repository, whose folder would otherwise be on its path.
    """
    folder = tmp_path_factory.mktemp("endpoint")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    answer = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
    for source in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(source).iterdir():
            if "gc_warm" not in entry.name and not entry.name.startswith("__editable__"):
                (Path(answer.stdout.strip()) / entry.name).symlink_to(entry)
    return python


@pytest.fixture(scope="session")
def browse(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return what opens a page, by its address, in a Chromium that reaches no other machine.

    What a page writes to its console is on standard error, after CONSOLE.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("there is no chromium: on Debian, apt install chromium")
    home = tmp_path_factory.mktemp("chromium")

    def run(address: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--no-first-run", "--disable-dev-shm-usage", "--enable-logging=stderr"),
                *(f"--user-data-dir={home}", "--window-size=1100,900"),
                *("--host-resolver-rules=MAP * ~NOTFOUND", *options, address),
            ],
            env={"HOME": str(home), "PATH": "/usr/bin:/bin", "TMPDIR": str(home)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )

    return run
