"""The plugin, in projects of users."""

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


def passed(result, count):
    result.assert_outcomes(passed=count)
    return result


def test_sample_project(project):
    passed(project.runpytest_subprocess(), 4)


def test_sample_project_with_xdist(project):
    passed(project.runpytest_subprocess("-n", "2"), 4)


ENGINE = """
import os

def test_one(gc_executor):
    assert gc_executor.submit(os.getpid).result() != os.getpid()

def test_two(gc_executor):
    assert gc_executor.submit(os.getpid).result() != os.getpid()
"""


@pytest.mark.parametrize(
    "engine", ["thread", "process", pytest.param("htex", marks=pytest.mark.slow)]
)
def test_engine(pytester, engine):
    pytester.makepyfile(ENGINE)
    passed(pytester.runpytest_subprocess(f"--gc-engine={engine}"), 2)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("engine", ["pool", "thread", "process"])
def test_a_task_that_a_test_leaves_running_holds_up_nothing(pytester, engine):
    pytester.makepyfile("""
        import os
        import time
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_leaves_it(gc_executor, number):
            assert gc_executor.submit(os.getpid).result() != os.getpid()
            for _ in range(3):
                gc_executor.submit(time.sleep, 600)
    """)
    passed(pytester.runpytest_subprocess(f"--gc-engine={engine}"), 2)


def test_unknown_engine(pytester):
    result = pytester.runpytest_subprocess("--gc-engine=cloud")
    result.stderr.fnmatch_lines(["*--gc-engine*invalid choice*"])


def test_state_of_one_test_is_not_seen_by_the_next(pytester):
    pytester.makepyfile(
        remembering="""
        from gc_warm import self_contained

        calls = []

        @self_contained
        def remember():
            calls.append(1)
            return len(calls)
        """
    )
    pytester.makepyfile("""
        import pytest
        from remembering import remember

        @pytest.mark.gc_workers(1)
        @pytest.mark.parametrize("number", range(4))
        def test_state(gc_executor, number):
            calls = [gc_executor.submit(remember).result() for _ in range(3)]
            assert calls == [1, 2, 3]
    """)
    passed(pytester.runpytest_subprocess(), 4)


def test_workers_come_from_the_same_process_for_the_whole_session(pytester):
    pytester.makepyfile("""
        import os

        def test_one(gc_executor):
            parents.add(gc_executor.submit(os.getppid).result())

        def test_two(gc_executor):
            parents.add(gc_executor.submit(os.getppid).result())
            assert len(parents) == 1

        parents = set()
    """)
    passed(pytester.runpytest_subprocess(), 2)


def test_number_of_workers(pytester):
    pytester.makepyfile("""
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
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*gc_workers wants one number*"])


def test_two_executors_at_a_time(pytester):
    pytester.makepyfile("""
        def test_both(gc_executor, gc_workers):
            with gc_workers.executor() as other:
                futures = [each.submit(len, "abc") for each in (gc_executor, other)]
                assert [future.result() for future in futures] == [3, 3]
                assert not {*gc_executor.worker_pids} & {*other.worker_pids}
    """)
    passed(pytester.runpytest_subprocess(), 1)


def test_faults_end_with_their_test(pytester):
    pytester.makepyfile("""
        import concurrent.futures
        import pytest

        def test_one(gc_executor, gc_faults):
            gc_faults.drop_result(count=10)
            future = gc_executor.submit(len, "abc")
            with pytest.raises(concurrent.futures.TimeoutError):
                future.result(timeout=0.5)

        def test_two(gc_executor):
            assert gc_executor.submit(len, "abc").result(timeout=30) == 3
    """)
    passed(pytester.runpytest_subprocess(), 2)


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
