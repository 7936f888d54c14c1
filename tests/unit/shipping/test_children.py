"""Processes that a task starts know the carried modules, too."""

from __future__ import annotations

import pytest

PATIENCE = 20  # seconds for children: without what they need, those of a pool start without end

FAMILY_HELPER = """
    def twice(number):
        return 2 * number
"""
FAMILY = f"""
    import builtins
    import multiprocessing
    import os
    import threading
    from concurrent.futures import ProcessPoolExecutor
    from dataclasses import dataclass

    import family_helper
    from gc_warm import self_contained, warm

    PATIENCE = {PATIENCE}

    @dataclass
    class Point:
        x: int
        pid: int = 0

    @warm
    def model():
        return "model"

    def double(point):
        assert model() == "model"
        return Point(family_helper.twice(point.x), os.getpid())

    def put(queue, point):
        queue.put(double(point))

    def summary(points):
        \"\"\"Say what came back, and whether other processes made it.\"\"\"
        assert all(type(point) is Point for point in points)
        return [point.x for point in points], os.getpid() in {{point.pid for point in points}}

    @self_contained
    def pool(method):
        pool = multiprocessing.get_context(method).Pool(2)
        try:
            return summary(pool.map_async(double, [Point(1), Point(2)]).get(PATIENCE))
        finally:
            pool.terminate()
            pool.join()

    @self_contained
    def process(method):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        child = context.Process(target=put, args=(queue, Point(3)), daemon=True)
        child.start()
        try:
            child.join(PATIENCE)
            assert child.exitcode == 0, f"the child ended with {{child.exitcode}}"
            return summary([queue.get(timeout=PATIENCE)])
        finally:
            child.kill()
            child.join()
            queue.close()

    @self_contained
    def executor(method):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            return summary(list(executor.map(double, [Point(1), Point(2)], timeout=PATIENCE)))

    @self_contained
    def grandchildren(method):
        with multiprocessing.get_context(method).Pool(1) as pool:
            return pool.apply_async(summary_of_process, (method,)).get(PATIENCE)

    def summary_of_process(method):
        multiprocessing.current_process().daemon = False  # a pool's are not allowed to have any
        return process.function(method)

    @self_contained
    def children_build_their_own():
        model()
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return [pool.apply_async(builds).get(PATIENCE) for _ in range(2)], builds()

    def builds():
        model()
        return model.info().misses

    @self_contained
    def with_a_builtin_that_cannot_be_pickled():
        builtins._ = threading.Lock()  # as an interactive session keeps the last result
        try:
            return executor.function("spawn")
        finally:
            del builtins._

    @self_contained
    def carried():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply_async(send).get(PATIENCE)

    @self_contained
    def send(number=1):
        return number + 1

    @self_contained
    def sends_self_contained():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
            return [executor.submit(send, n).result(PATIENCE) for n in range(3)]
"""


@pytest.fixture
def family(project):
    return project({"family_helper.py": FAMILY_HELPER, "family.py": FAMILY})


def ask(executor, function, *args):
    return executor.submit(function, *args).result(timeout=3 * PATIENCE)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("way", ["pool", "process", "executor"])
def test_children_of_a_task(family, one_worker, way, method):
    expected = {"process": [6]}.get(way, [2, 4]), False
    assert expected == ask(one_worker, getattr(family, way), method)


def test_children_of_children(family, one_worker):
    assert ([6], False) == ask(one_worker, family.grandchildren, "spawn")


def test_children_build_their_own_state(family, one_worker):
    assert ([1, 1], 1) == ask(one_worker, family.children_build_their_own)


def test_children_run_self_contained_functions(family, one_worker):
    assert [1, 2, 3] == ask(one_worker, family.sends_self_contained)


def test_children_stay_able_after_many_tasks(family, one_worker):
    # Whatever makes children able is there once, and not once more for every task.
    for _ in range(3):
        assert ([2, 4], False) == ask(one_worker, family.pool, "spawn")


def test_the_second_module_of_a_worker(project, one_worker):
    first = project({"family_helper.py": FAMILY_HELPER, "family.py": FAMILY})
    assert ([2, 4], False) == ask(one_worker, first.pool, "spawn")
    thrice = FAMILY_HELPER.replace("2 *", "3 *")
    second = project({"family_helper.py": thrice, "family.py": FAMILY})
    assert ([3, 6], False) == ask(one_worker, second.pool, "spawn")


SCRIPT = f"""
    import multiprocessing
    import sys
    from dataclasses import dataclass

    from gc_warm import LocalExecutor, self_contained

    FACTOR = int(sys.argv[1]) if len(sys.argv) > 1 else 2

    @dataclass
    class Point:
        x: int

    def double(point):
        return Point(FACTOR * point.x)

    @self_contained
    def pool(method):
        pool = multiprocessing.get_context(method).Pool(2)
        try:
            found = pool.map_async(double, [Point(1), Point(2)]).get({PATIENCE})
            return [point.x for point in found]
        finally:
            pool.terminate()
            pool.join()

    if __name__ == "__main__":
        with LocalExecutor(workers=1, worker_python=WORKER) as executor:
            for method in ("spawn", "forkserver"):
                print(executor.submit(pool, method).result(timeout={3 * PATIENCE}))
"""


@pytest.mark.slow("starts a script and its workers; those of a module are quick")
def test_children_of_a_scripts_function(run_script):
    assert "[2, 4]\n[2, 4]\n" == run_script(SCRIPT)


def test_builtins_of_the_worker_are_not_sent_to_children(family, one_worker):
    assert ([2, 4], False) == ask(one_worker, family.with_a_builtin_that_cannot_be_pickled)
