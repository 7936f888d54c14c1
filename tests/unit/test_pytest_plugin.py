"""The plugin, in projects of users."""

import functools
import shutil
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PROJECT = Path(__file__).parents[1] / "examples" / "project"


@pytest.fixture
def project(pytester):
    """The sample project, where gc-warm is only installed."""
    shutil.copytree(PROJECT, pytester.path, dirs_exist_ok=True)
    return pytester


@pytest.fixture
def run_here(pytester, monkeypatch):
    """Run tests in this process, which has already imported what they need."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return functools.partial(pytester.runpytest_inprocess, "-p", "no:cacheprovider")


def passed(result, count):
    result.assert_outcomes(passed=count)
    return result


@pytest.mark.slow
def test_sample_project_with_xdist(project):
    passed(project.runpytest_subprocess("-n", "2"), 4)


LOSING = """
    import os
    import pytest

    @pytest.mark.parametrize("number", range(2))
    def test_loses_it(gc_executor, gc_faults, number):
        assert gc_executor.submit(os.getenv, "LEFT").result() is None
        gc_executor.submit(exec, "import os; os.environ['LEFT'] = 'by the last test'").result()
        gc_faults.lose_block()
"""
LEAVING = """
    import os
    import time
    import pytest

    @pytest.mark.parametrize("number", range(2))
    def test_leaves_it(gc_executor, number):
        assert gc_executor.submit(os.getpid).result() != os.getpid()
        for _ in range(3):
            gc_executor.submit(time.sleep, 600)
"""
REMEMBERING = """
    from gc_warm import self_contained

    calls = []

    @self_contained
    def remember():
        calls.append(1)
        return len(calls)
"""
ASKING = """
    import pytest
    from remembering import remember

    @pytest.mark.gc_workers(1)
    @pytest.mark.parametrize("number", range(2))
    def test_state(gc_executor, number):
        calls = [gc_executor.submit(remember).result() for _ in range(3)]
        assert calls == [1, 2, 3]
"""


@pytest.mark.slow("runs whole sessions of tests, and each test gets an engine of its own")
@pytest.mark.parametrize("engine", ["pool", "thread", "process"])
def test_no_test_sees_what_another_left_or_lost(project, run_here, engine):
    project.makepyfile(remembering=REMEMBERING)
    project.makepyfile(test_leaving=LEAVING, test_losing=LOSING, test_state=ASKING)
    result = run_here(f"--gc-engine={engine}", "-rs")
    if engine == "pool":
        passed(result, 10)
    else:  # which cannot lose a worker or a block on request
        result.assert_outcomes(passed=7, skipped=3)
        result.stdout.fnmatch_lines(
            ["SKIPPED*kill_worker: A real engine keeps its workers to itself*"]
        )


@pytest.mark.slow
def test_htex_has_what_an_earlier_test_lost(pytester):
    pytester.makepyfile(LOSING)
    passed(pytester.runpytest_subprocess("--gc-engine=htex"), 2)


def test_unknown_engine(run_here):
    result = run_here("--gc-engine=cloud")
    result.stderr.fnmatch_lines(["*--gc-engine*invalid choice*"])


def test_the_pools_of_a_session(pytester, run_here):
    pytester.makepyfile(
        test_same_parent="""
        import os

        def test_one(gc_executor):
            parents.add(gc_executor.submit(os.getppid).result())

        def test_two(gc_executor):
            parents.add(gc_executor.submit(os.getppid).result())
            assert len(parents) == 1

        parents = set()
        """,
        test_number="""
        import os
        import pytest

        def count(executor):
            return executor.submit(os.getenv, "PARSL_WORKER_COUNT").result()

        @pytest.mark.gc_workers(3)
        def test_three(gc_executor):
            assert count(gc_executor) == "3"

        def test_usually(gc_executor):
            assert count(gc_executor) == "2"

        @pytest.mark.gc_workers("many")
        def test_wrong(gc_executor):
            pass
        """,
        test_two_at_a_time="""
        def test_both(gc_executor, gc_workers):
            with gc_workers.executor() as other:
                futures = [each.submit(len, "abc") for each in (gc_executor, other)]
                assert [future.result() for future in futures] == [3, 3]
                assert not {*gc_executor.worker_pids} & {*other.worker_pids}
        """,
        test_faults="""
        import concurrent.futures
        import pytest

        def test_one(gc_executor, gc_faults):
            assert gc_executor.submit(len, "abc").result() == 3
            gc_faults.drop_result(count=10)
            future = gc_executor.submit(len, "abc")
            with pytest.raises(concurrent.futures.TimeoutError):
                future.result(timeout=0.5)

        def test_two(gc_executor):
            assert gc_executor.submit(len, "abc").result(timeout=30) == 3
        """,
    )
    result = run_here()
    result.assert_outcomes(passed=7, errors=1)
    result.stdout.fnmatch_lines(["*gc_workers takes one number*"])


@pytest.mark.slow("starts a session; its end without an interrupt is quick")
def test_nothing_is_left_after_an_interrupt(pytester):
    pytester.makepyfile("""
        import os, pathlib

        def test_interrupt(gc_executor):
            pid = gc_executor.submit(os.getpid).result()
            pathlib.Path("pid").write_text(str(pid))
            raise KeyboardInterrupt
    """)
    assert pytest.ExitCode.INTERRUPTED == pytester.runpytest_subprocess().ret
    assert not Path("/proc", (pytester.path / "pid").read_text()).exists()


def test_costs_nothing_when_unused(pytester):
    """A session that has no use for it loads a few modules of ours, and nobody else's."""
    pytester.makeconftest("""
        import sys

        def pytest_sessionfinish():
            print("loaded", *sys.modules)
    """)
    pytester.makepyfile("def test_nothing(): pass")

    def loaded(*options):
        result = passed(pytester.runpytest_subprocess("-s", *options), 1)
        return set(next(line for line in result.outlines if "loaded" in line).split())

    added = loaded() - loaded("-p", "no:gc_warm")
    assert "gc_warm.pytest_plugin" in added
    assert [] == [name for name in added if name.startswith("gc_warm.local")]
    ours = {*sys.stdlib_module_names, "gc_warm", "_virtualenv"}
    assert set() == {name.partition(".")[0] for name in added} - ours
    assert set() == added & {"asyncio", "multiprocessing", "concurrent.futures", "ssl", "http"}


# The service, and real endpoints


def test_a_service_without_what_it_needs(pytester):
    pytester.makeconftest("import sys; sys.modules['uvicorn'] = None")
    pytester.makepyfile("def test_service(gc_service, gc_endpoint): pass")
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*uvicorn is missing: gc_service needs*gc-warm?service?*"])


@pytest.mark.slow
def test_a_service_for_the_session(pytester, port_5000_lock):
    pytester.makepyfile("""
        def test_one(gc_service):
            seen.add(gc_service)
            assert gc_service.port == 5000
            assert gc_service.client().get_endpoints() == []

        def test_two(gc_service):
            assert seen == {gc_service}

        seen = set()
    """)
    with port_5000_lock:
        passed(pytester.runpytest_subprocess(), 2)


@pytest.mark.slow
def test_a_config_that_is_none(pytester, port_5000_lock):
    pytester.makepyfile("""
        import pytest
        from gc_warm.errors import UsageError

        def test_config(gc_endpoint):
            with pytest.raises(UsageError, match="'desktop' is not a folder"):
                gc_endpoint("desktop")
    """)
    with port_5000_lock:
        passed(pytester.runpytest_subprocess(), 1)


def test_configs_are_found(tmp_path):
    from gc_warm.errors import UsageError
    from gc_warm.local.service.agent import find_config

    mine = tmp_path / "endpoint_configs" / "mine"
    mine.mkdir(parents=True)
    (mine / "user_config_template.yaml.j2").touch()
    assert mine == find_config("mine", tmp_path)
    assert mine == find_config("endpoint_configs/mine", tmp_path)
    assert mine == find_config(mine, tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"nor one of .*mine"):
        find_config("yours", tmp_path)


@pytest.mark.slow
def test_with_xdist_one_of_its_workers_has_the_service(pytester, port_5000_lock):
    pytester.makepyfile(test_others="def test_nothing(): pass")
    pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_service(gc_service, number):
            assert gc_service.port == 5000
    """)
    with port_5000_lock:
        passed(pytester.runpytest_subprocess("-n", "2", "--dist=loadfile"), 5)


CONFIG = """\
heartbeat_period: 5
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  max_workers_per_node: 1
  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}
"""


@pytest.mark.slow
@pytest.mark.timeout(500)  # more than what those inside may wait: they must end what they began
def test_endpoints(pytester, port_5000_lock):
    """They stay for the next test, unless they are to be fresh; nothing stays after all."""
    folder = pytester.path / "endpoint_configs" / "one-worker"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("heartbeat_period: 5\n")
    (folder / "user_config_template.yaml.j2").write_text(CONFIG)
    pytester.makepyfile("""
        import os
        import pathlib
        import time

        PATIENCE = 90

        def is_alive(pid):
            try:  # where nothing reaps orphans, they stay as zombies
                return " Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text()
            except OSError:
                return False

        def test_one(gc_endpoint):
            endpoint = gc_endpoint("one-worker")
            with endpoint.executor() as executor:
                kept.append(executor.submit(os.getpid).result(PATIENCE))
            assert "one-worker" in endpoint.log()

        def test_two(gc_endpoint):
            endpoint = gc_endpoint("endpoint_configs/one-worker")
            assert kept == [endpoint.executor().submit(os.getpid).result(PATIENCE)]
            fresh = gc_endpoint("one-worker", fresh=True)
            assert fresh.id != endpoint.id
            kept.append(fresh.executor().submit(os.getpid).result(PATIENCE))
            endpoint.executor().submit(time.sleep, 600)  # holds up nothing

        def test_three(gc_endpoint, gc_service):
            one, fresh = kept
            pathlib.Path("pid").write_text(str(one))
            assert is_alive(one)
            assert not is_alive(fresh)

        kept = []
    """)
    with port_5000_lock:
        passed(pytester.runpytest_subprocess(), 3)
    stat = Path("/proc", (pytester.path / "pid").read_text(), "stat")
    assert not stat.exists() or " Z " in stat.read_text()


@pytest.mark.slow
def test_a_sample_config(pytester, port_5000_lock):
    pytester.makepyfile("""
        import pathlib
        import shutil
        import pytest
        from gc_warm.functions.counter import increase_count

        def test_laptop(gc_endpoint):
            executor = gc_endpoint("laptop").executor(user_endpoint_config={"workers": 1})
            counts = [executor.submit(increase_count) for _ in range(5)]
            assert [1, 2, 3, 4, 5] == sorted(each.result(200)["count"] for each in counts)
    """)
    configs = Path(__file__).parents[2] / "endpoint_configs"
    (pytester.path / "endpoint_configs").symlink_to(configs)
    with port_5000_lock:
        passed(pytester.runpytest_subprocess(), 1)


@pytest.mark.slow
def test_sample_project_with_an_endpoint(pytester, port_5000_lock):
    shutil.copytree(PROJECT.with_name("project_service"), pytester.path, dirs_exist_ok=True)
    with port_5000_lock:
        passed(pytester.runpytest_subprocess(), 2)
