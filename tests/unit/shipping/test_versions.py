"""Versions of a module in one worker, and versions of gc_warm itself."""

from __future__ import annotations

import json
import random
import re
import shutil
import textwrap
import uuid
from pathlib import Path

import pytest
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_sdk.errors import TaskExecutionFailed
from globus_compute_sdk.serialize import ComputeSerializer

import gc_warm
from gc_warm import LocalExecutor, self_contained
from gc_warm.errors import ShippingError
from gc_warm.functions.counter import increase_count
from gc_warm.shipping.boot import PATIENCE, VERSIONS

CHANGING = """
    import os
    from gc_warm import self_contained, warm

    with open({log!r}, "a") as stream:
        print("import {number}", file=stream)

    @warm(maxsize={maxsize})
    def state():
        with open({log!r}, "a") as stream:
            print("build {number}", file=stream)
        yield "state"
        with open({log!r}, "a") as stream:
            print("teardown {number}", file=stream)

    @self_contained
    def version():
        state()
        return {number}
"""


@pytest.fixture
def log(tmp_path):
    file = tmp_path / "log"
    file.touch()
    return lambda: file.read_text().split("\n")[:-1]


@pytest.fixture
def version(project, tmp_path, one_worker):
    """Return a function that submits a version of one and the same module."""
    made = {}

    def submit(number, maxsize=1):
        if number not in made:
            text = CHANGING.format(number=number, log=str(tmp_path / "log"), maxsize=maxsize)
            function = project({"changing.py": text}).version
            made[number] = one_worker.register_function(function)
        return one_worker.submit_to_registered_function(made[number]).result()

    return submit


def test_two_versions_in_turn_are_imported_once_each(version, log):
    assert [1, 2] * 100 == [version(number) for _ in range(100) for number in (1, 2)]
    assert 2 + 2 == len([line for line in log() if "import" in line])  # here, and in the worker


def test_two_versions_in_turn_keep_their_states_if_there_is_room(version, log):
    for _ in range(10):
        version(1, maxsize=2)
        version(2, maxsize=2)
    assert ["build 1", "build 2"] == [line for line in log() if "build" in line]


def test_the_state_of_the_old_version_leaves_before_the_new_one_builds(version, log):
    version(1)
    version(2)
    events = [line for line in log() if "import" not in line]
    assert ["build 1", "teardown 1", "build 2"] == events


def test_the_old_version_is_torn_down_when_only_the_new_one_is_wanted(version, log):
    version(1, maxsize=2)
    assert [2] * PATIENCE == [version(2, maxsize=2) for _ in range(PATIENCE)]
    assert "teardown 1" == log()[-1]
    assert 1 == version(1, maxsize=2)
    assert ["import 1", "build 1"] == log()[-2:]


def test_no_more_than_a_few_versions_are_kept(version, log):
    for number in range(1, VERSIONS + 1):
        version(number, maxsize=None)
    assert not [line for line in log() if "teardown" in line]
    version(VERSIONS + 1, maxsize=None)
    assert ["teardown 1"] == [line for line in log() if "teardown" in line]


# Runs functions by number, in the order given, and says after each which modules are alive.
RUN = """
import gc, json, sys, tempfile, threading, uuid, weakref
from globus_compute_common import messagepack
from globus_compute_endpoint.engines.helper import execute_task
from globus_compute_sdk.serialize import ComputeSerializer

def run(task):
    with tempfile.TemporaryDirectory() as folder:
        result = messagepack.unpack(execute_task(task, uuid.uuid4(), run_dir=folder))
    if result.is_error:
        return result.data
    return ComputeSerializer().deserialize(result.data)

request = json.load(sys.stdin)
tasks = [bytes.fromhex(task) for task in request["tasks"]]
"""


@pytest.fixture
def in_worker(on_endpoint):
    """Return a function that runs a program which has the functions as `tasks`, and `run`."""

    def run(program, *functions, path=()):
        serializer = ComputeSerializer()
        tail = serializer.pack_buffers([serializer.serialize(()), serializer.serialize({})])
        tasks = []
        for function in functions:
            code = function
            if callable(function):
                code = serializer.pack_buffers([serializer.serialize(function)])
            tasks.append(
                messagepack.pack(Task(task_id=uuid.uuid4(), task_buffer=code + tail)).hex()
            )
        start = "".join(f"import sys; sys.path.insert(0, {str(each)!r})\n" for each in path)
        program = start + RUN + textwrap.dedent(program)
        return on_endpoint(program, json.dumps({"tasks": tasks}))

    return run


def packed(function):
    serializer = ComputeSerializer()
    return serializer.pack_buffers([serializer.serialize(function)])


def test_the_memory_of_an_old_version_is_freed(project, in_worker):
    text = """
        from gc_warm import self_contained
        class Big: pass
        big = Big()
        @self_contained
        def work():
            return {number}
    """
    codes = [packed(project({"heavy.py": text.format(number=n)}).work) for n in range(6)]
    program = """
        alive = []
        for task in tasks:
            run(task)
            alive.append(weakref.ref(sys.modules["heavy"].big))
        gc.collect()
        print([reference() is not None for reference in alive])
    """
    expected = [False] * (6 - VERSIONS) + [True] * VERSIONS
    assert f"{expected}\n" == in_worker(program, *codes)


def test_a_module_is_imported_once_when_threads_arrive_together(project, in_worker):
    text = """
        import threading
        from gc_warm import self_contained
        count = 0
        import builtins
        builtins.imports = getattr(builtins, "imports", 0) + 1
        sum(range(1_000_000))

        @self_contained
        def work():
            return builtins.imports
    """
    module = project({"together.py": text})
    program = """
        from concurrent.futures import ThreadPoolExecutor
        barrier = threading.Barrier(8)
        def together(task):
            barrier.wait()
            return run(task)
        with ThreadPoolExecutor(8) as pool:
            print(list(pool.map(together, tasks)))
    """
    code = packed(module.work)
    assert f"{[1] * 8}\n" == in_worker(program, *[code] * 8)


def test_tasks_that_meet_on_a_thread_pool_engine_share_one_module(project, in_worker):
    text = """
        import builtins, threading
        from gc_warm import self_contained, warm
        builtins.imports = getattr(builtins, "imports", 0) + 1
        builtins.builds = 0
        meeting = threading.Barrier(4, timeout=30)
        sum(range(1_000_000))

        @warm
        def state():
            builtins.builds += 1

        @self_contained
        def work():
            meeting.wait()
            state()
            return builtins.imports, builtins.builds
    """
    module = project({"meeting.py": text})
    program = """
        from globus_compute_endpoint.engines import ThreadPoolEngine
        from globus_compute_endpoint.engines.base import GCFuture

        engine = ThreadPoolEngine(max_workers=4)
        with tempfile.TemporaryDirectory() as folder:
            engine.start(endpoint_id=uuid.uuid4(), run_dir=folder)
            futures = []
            for task in tasks:
                futures.append(GCFuture(uuid.uuid4()))
                engine.submit(futures[-1], task, {})
            results = [messagepack.unpack(future.result()).data for future in futures]
            engine.shutdown(block=True)
        print({tuple(ComputeSerializer().deserialize(each)) for each in results})
    """
    code = packed(module.work)
    assert "{(1, 1)}\n" == in_worker(program, *[code] * 12)


def test_states_are_torn_down_wherever_a_module_has_them_and_nothing_else_is(project, in_worker):
    text = """
        from gc_warm import self_contained, warm

        def load(name):
            yield NUMBER
            print("torn down", name)

        class Models:
            @warm
            def inner():
                yield from load("in a class")

        @warm
        class Table:
            def close(self):
                print("torn down a class")

        several = {"one": warm(load)}

        class Results:  # has the methods that warm states have
            def info(self): pass
            def clear(self):
                print("not ours to clear")
        results = Results()

        @self_contained
        def work():
            Models.inner(), Table(), several["one"]("in a table")
            return NUMBER
    """
    codes = [
        packed(project({"places.py": text.replace("NUMBER", str(number))}).work)
        for number in (1, 2)
    ]
    program = f"""
        run(tasks[0])
        for _ in range({PATIENCE}):
            run(tasks[1])
        print("end", flush=True)
    """
    before_the_end, _ = in_worker(program, *codes).split("end\n")
    torn_down = ["torn down a class", "torn down in a class", "torn down in a table"]
    assert torn_down == sorted(before_the_end.splitlines())


def test_what_an_old_version_keeps_in_its_globals_is_freed_with_it(project, in_worker):
    text = """
        from gc_warm import self_contained
        class Table:
            def __del__(self):
                print("freed NUMBER", flush=True)
        table = Table()
        @self_contained
        def work():
            return NUMBER, table is not None
    """
    codes = [
        packed(project({"tables.py": text.replace("NUMBER", str(number))}).work)
        for number in (1, 2)
    ]
    program = f"""
        gc.disable()  # nothing else collects
        run(tasks[0])
        for _ in range({PATIENCE}):
            run(tasks[1])
        print("end", flush=True)
    """
    assert "freed 1\nend\n" == in_worker(program, *codes).partition("freed 2")[0]


@pytest.mark.parametrize("name", ["work", "made", "receipted"])
def test_state_is_not_torn_down_under_a_running_call(project, in_worker, name):
    text = """
        import builtins, threading
        from gc_warm import self_contained, warm
        if not hasattr(builtins, "started"):
            builtins.started, builtins.go_on = threading.Event(), threading.Event()
            builtins.log = []

        @warm
        def state():
            yield []
            builtins.log.append("teardown {number}")

        @self_contained
        def work():
            if {number} == 0:
                state()
                builtins.started.set()
                builtins.go_on.wait(30)
            builtins.log.append("end {number}")

        receipted = work.receipted

        def made():
            return work.function()
    """

    def code(number):
        function = getattr(project({"busy.py": text.format(number=number)}), name)
        return packed(self_contained(function) if name == "made" else function)

    codes = [code(number) for number in range(2)]
    program = f"""
        import builtins
        thread = threading.Thread(target=run, args=(tasks[0],))
        builtins.started = threading.Event()
        builtins.go_on, builtins.log = threading.Event(), []
        thread.start()
        builtins.started.wait(30)
        for _ in range({PATIENCE} + 5):
            run(tasks[1])
        before = list(builtins.log)
        builtins.go_on.set()
        thread.join()
        run(tasks[1])
        print([line for line in before if "0" in line], [x for x in builtins.log if "0" in x])
    """
    assert "[] ['end 0', 'teardown 0']\n" == in_worker(program, *codes)


# gc_warm on the worker


@pytest.fixture
def where(project):
    text = """
        from gc_warm import self_contained, warm
        import gc_warm

        @warm
        def state():
            return 1

        @self_contained
        def where():
            state()
            count = len([s for s in gc_warm.stats()["states"] if "state" in s])
            return [gc_warm.__version__, type(gc_warm.__loader__).__name__, count]
    """
    return project({"asking.py": text}).where


@pytest.fixture
def installed(tmp_path):
    """Return a function that makes a folder with a gc_warm of some version."""

    def make(version):
        folder = tmp_path / f"installed-{version}"
        shutil.copytree(Path(gc_warm.__file__).parent, folder / "gc_warm")
        file = folder / "gc_warm" / "__init__.py"
        text = file.read_text()
        file.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', text))
        return folder

    return make


OURS = gc_warm.__version__
MAJOR, MINOR, PATCH = map(int, OURS.split("."))


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("version", "used"),
    [
        (None, [OURS, "CarriedLoader", 1]),
        (OURS, [OURS, "SourceFileLoader", 1]),
        (
            f"{MAJOR}.{MINOR}.{PATCH + 1}",
            [f"{MAJOR}.{MINOR}.{PATCH + 1}", "SourceFileLoader", 1],
        ),
        (f"{MAJOR}.{MINOR + 1}.0", [OURS, "CarriedLoader", 1]),
        ("0.0.9", [OURS, "CarriedLoader", 1]),
    ],
)
def test_a_gc_warm_of_the_workers_own(where, endpoint_python, installed, version, used):
    path = [installed(version)] if version else []
    with LocalExecutor(workers=1, worker_python=endpoint_python, worker_path=path) as executor:
        assert used == executor.submit(where).result()


def test_an_older_patch_of_the_workers_own(where, endpoint_python, installed, monkeypatch):
    path = [installed(OURS)]
    monkeypatch.setattr(gc_warm, "__version__", f"{MAJOR}.{MINOR}.{PATCH + 1}")
    with LocalExecutor(workers=1, worker_python=endpoint_python, worker_path=path) as executor:
        assert [OURS, "CarriedLoader", 1] == executor.submit(where).result()


def test_one_that_is_in_use_and_does_not_go_with_ours_is_an_error(where, in_worker, installed):
    program = "import gc_warm\nprint(run(tasks[0]))"
    answer = in_worker(program, where, path=[installed("0.0.9")])
    assert "ClashError: This worker already runs gc-warm 0.0.9" in answer
    assert "restart the workers" in answer


def test_a_carried_one_serves_what_comes_later(where, in_worker, monkeypatch):
    first = packed(where)
    monkeypatch.setattr(gc_warm, "__version__", f"{MAJOR}.{MINOR}.{PATCH + 1}")
    later = packed(self_contained(where.function))
    program = "print([run(task) for task in tasks])"
    expected = [[OURS, "CarriedLoader", 1], [OURS, "CarriedLoader", 1]]
    assert f"{expected}\n" == in_worker(program, first, later)


def test_a_carried_one_that_does_not_go_with_what_comes_later(where, in_worker, monkeypatch):
    first = packed(where)
    monkeypatch.setattr(gc_warm, "__version__", f"{MAJOR}.{MINOR + 1}.0")
    later = packed(self_contained(where.function))
    answer = in_worker("print([run(task) for task in tasks])", first, later)
    assert "ClashError: This worker already runs gc-warm" in answer


# What is carried of it


def test_the_runtime_grows_with_what_later_functions_need(where, in_worker):
    program = """
        print(run(tasks[0])["count"], "gc_warm.worker.state" in sys.modules)
        print([run(tasks[1]), run(tasks[2])["count"], "gc_warm.worker.state" in sys.modules])
    """
    expected = f"1 False\n{[[OURS, 'CarriedLoader', 1], 2, True]}\n"
    assert expected == in_worker(program, increase_count, where, increase_count)


def test_the_runtime_stays_when_what_needed_it_is_dropped(project, in_worker, where):
    head = "from gc_warm import self_contained, warm\n"
    state = "@warm\ndef state():\n    yield 1\n    print('torn down')\n"
    work = "@self_contained\ndef work(): return {}\n"
    old = packed(project({"less.py": head + state + work.format("state()")}).work)
    new = packed(project({"less.py": head.replace(", warm", "") + work.format("2")}).work)
    program = f"""
        run(tasks[0])
        before = sys.modules["gc_warm.worker.state"]
        for _ in range({PATIENCE}):
            run(tasks[1])
        gc.collect()
        print(run(tasks[2]), sys.modules["gc_warm.worker.state"] is before)
    """
    expected = f"torn down\n{[OURS, 'CarriedLoader', 1]} True\n"
    assert expected == in_worker(program, old, new, where)


def test_a_call_that_brings_warm_state_along_holds_and_counts_it(project, one_worker):
    late = project(
        {
            "store.py": """
                from gc_warm import warm
                events = []
                @warm
                def model(name):
                    events.append(f"build {name}")
                    yield name
                    events.append(f"end {name}")
            """,
            "late.py": """
                from gc_warm import self_contained
                @self_contained
                def work():
                    import store
                    store.model("a"), store.model("b"), store.model("b")
                    return list(store.events)
            """,
        }
    )
    done = one_worker.submit(late.work.receipted).result()
    # "b" does not fit in beside "a", but the call does not wait for its own lease.
    assert (["build a", "build b"], 2, 1) == (
        done.value,
        done.receipt.cold_starts,
        done.receipt.hits,
    )
    again = one_worker.submit(late.work).result()
    assert ["build a", "build b", "end a"] == again[:3]


def test_what_no_import_shows_is_an_error_with_advice(project, one_worker):
    text = """
        import gc_warm
        from gc_warm import self_contained
        @self_contained
        def work():
            return getattr(gc_warm, "st" + "ats")()
    """
    with pytest.raises(TaskExecutionFailed, match=r"from gc_warm import stats"):
        one_worker.submit(project({"hidden.py": text}).work).result()


# Size


def test_the_counter_fits_in_10_kb():
    assert increase_count.payload_size() <= 10 * 1024
    serializer = ComputeSerializer()
    assert len(serializer.serialize(increase_count)) - increase_count.payload_size() < 600


def test_large_modules_are_warned_of(project):
    noise = random.Random(1).randbytes(600_000).hex()
    text = "from gc_warm import self_contained\n@self_contained\ndef work(): return 1\n"
    module = project({"large.py": text + f"noise = {noise!r}\n"})
    with pytest.warns(
        UserWarning, match=r"large:work carries 0.9 MB .* the largest modules are large \(1.2 MB\)"
    ):
        module.work.source()


def test_more_than_the_service_takes_is_refused_with_the_numbers(project):
    text = "from gc_warm import self_contained\n@self_contained(data=['d.bin'])\ndef work(): 1\n"
    (project.folder / "d.bin").write_bytes(random.Random(1).randbytes(9_000_000))
    with pytest.raises(
        ShippingError, match=r"carry 1\d\.\d MB .* at most 10.5 MB.*large \(9.0 MB\)"
    ):
        project({"large.py": text}).work.source()


def test_a_failed_import_leaves_nothing_half_done(project, one_worker, tmp_path):
    text = """
        import pathlib
        from gc_warm import self_contained
        first = []
        import failing_helper

        @self_contained
        def work():
            return failing_helper.value
    """
    helper = f"""
        import pathlib
        if not pathlib.Path({str(tmp_path / "flag")!r}).exists():
            raise RuntimeError("not yet")
        value = 3
    """
    (tmp_path / "flag").touch()
    module = project({"failing_helper.py": helper, "whole.py": text})
    one_worker.register_function(module.work)
    (tmp_path / "flag").unlink()
    for _ in range(2):
        with pytest.raises(TaskExecutionFailed, match="RuntimeError: not yet"):
            one_worker.submit(module.work).result()
    (tmp_path / "flag").touch()
    assert 3 == one_worker.submit(module.work).result()
