"""Self-contained functions in a real worker that has neither gc_warm nor the user's modules."""

from __future__ import annotations

import codecs
import importlib
import pickletools
from pathlib import Path

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed
from globus_compute_sdk.serialize import ComputeSerializer

from gc_warm import LocalExecutor
from gc_warm.functions.counter import increase_count

LAB = """
    from dataclasses import dataclass
    from gc_warm import self_contained, warm
    import lab_helper

    calls = 0
    print("importing lab")

    @dataclass
    class Answer:
        text: str
        calls: int
        built: int

    @warm
    def model(name):
        lab_helper.built += 1
        return {"name": name}

    @self_contained
    def classify(text, name="small"):
        global calls
        calls += 1
        model(name)
        return Answer(lab_helper.shout(text), calls, lab_helper.built)

    @self_contained
    def swap(answer):
        return isinstance(answer, Answer)

    @self_contained
    def fail(text):
        raise ValueError(text)  # here it fails

    @self_contained
    def gc_warm_file():
        import gc_warm
        return type(gc_warm.__loader__).__name__
"""
HELPER = """
    built = 0

    def shout(text):
        return text.upper()
"""


@pytest.fixture
def lab(project):
    return project({"lab_helper.py": HELPER, "lab.py": LAB})


def test_module_globals_and_warm_state_stay(lab, one_worker):
    answers = [one_worker.submit(lab.classify, "hello").result() for _ in range(5)]
    assert [lab.Answer("HELLO", count, 1) for count in range(1, 6)] == answers


def test_functions_of_one_module_share_it(lab, one_worker):
    one_worker.submit(lab.classify, "a").result()
    again = one_worker.submit(lab.classify.receipted, "b").result()
    assert (again.value.calls, again.value.built) == (2, 1)
    assert (again.receipt.cold_starts, again.receipt.hits) == (0, 1)
    assert again.receipt.pid == one_worker.worker_pids[0]


def test_instances_of_carried_classes_work_both_ways(lab, one_worker):
    answer = one_worker.submit(lab.classify, "a").result()
    assert type(answer) is lab.Answer
    assert one_worker.submit(lab.swap, answer).result() is True


def test_the_carried_runtime_is_what_runs(lab, one_worker):
    assert one_worker.submit(lab.gc_warm_file).result() == "CarriedLoader"


def test_a_worker_with_this_gc_warm_uses_its_own(lab):
    with LocalExecutor(workers=1, worker_packages=["gc-warm"]) as executor:
        assert executor.submit(lab.gc_warm_file).result() == "SourceFileLoader"


def test_a_traceback_shows_the_users_file_and_line(lab, one_worker):
    with pytest.raises(TaskExecutionFailed, match="raise ValueError") as caught:
        one_worker.submit(lab.fail, "oh no").result()
    text = str(caught.value)
    assert f'File "{lab.__file__}", line' in text
    assert "# here it fails" in text
    assert "ValueError: oh no" in text


def test_our_own_counter_counts_in_a_bare_worker(one_worker):
    counts = [one_worker.submit(increase_count).result()["count"] for _ in range(3)]
    assert [1, 2, 3] == counts


def test_changed_source_runs_and_both_versions_keep_their_state(project, one_worker):
    source = """
        from gc_warm import self_contained
        count = 0

        @self_contained
        def version():
            global count
            count += 1
            return {number}, count
    """
    old = project({"changing.py": source.format(number=1)})
    future = one_worker.submit(old.version)
    assert future.result() == (1, 1)
    new = project({"changing.py": source.format(number=2)})
    for count in range(1, 4):
        assert one_worker.submit(new.version).result() == (2, count)
        assert one_worker.submit(old.version).result() == (1, count + 1)


def test_two_modules_share_the_helper_that_both_import(project, one_worker):
    text = """
        import shared_helper
        from gc_warm import self_contained

        @self_contained
        def use():
            shared_helper.loads.append(__name__)
            return shared_helper.loads
    """
    helper = "loads = []\nloads.append('loaded')\n"
    second = project({"shared_helper.py": helper, "first_user.py": text, "second_user.py": text})
    first = importlib.import_module("first_user")
    one_worker.submit(first.use).result()
    assert one_worker.submit(second.use).result() == ["loaded", "first_user", "second_user"]


def test_a_module_that_fails_to_import_is_tried_again(project, one_worker, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    text = f"""
        import pathlib
        from gc_warm import self_contained
        assert pathlib.Path({str(flag)!r}).exists(), "not yet"

        @self_contained
        def work():
            return "done"
    """
    module = project({"flaky.py": text})
    one_worker.register_function(module.work)
    flag.unlink()
    with pytest.raises(TaskExecutionFailed, match="not yet"):
        one_worker.submit(module.work).result()
    flag.touch()
    assert one_worker.submit(module.work).result() == "done"


@pytest.mark.quick(1)
@pytest.mark.parametrize("same", [True, False])
def test_a_module_of_that_name_on_the_worker(project, endpoint_python, tmp_path, same):
    text = """
        from gc_warm import self_contained

        @self_contained
        def where():
            return __file__
    """
    module = project({"clashing.py": text})
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    original = Path(module.__file__).read_text()
    (theirs / "clashing.py").write_text(original if same else "different = True\n")
    with LocalExecutor(workers=1, worker_python=endpoint_python, worker_path=[theirs]) as executor:
        future = executor.submit(module.where)
        if same:
            assert future.result() == str(theirs / "clashing.py")
        else:
            with pytest.raises(TaskExecutionFailed, match="ClashError") as caught:
                future.result()
            assert str(theirs / "clashing.py") in str(caught.value)


def globals_of(pickled):
    """Return the ``module.name`` of everything that a pickle imports."""
    pushed, memo, found = [], [], []
    for opcode, value, _ in pickletools.genops(pickled):
        if opcode.name == "MEMOIZE":
            memo.append(pushed[-1])
        elif opcode.name in {"BINGET", "LONG_BINGET"}:
            pushed.append(memo[value])
        elif opcode.name == "STACK_GLOBAL":
            found.append(f"{pushed[-2]}.{pushed[-1]}")
            pushed.append(None)
        else:
            assert opcode.name not in {"GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}
            pushed.append(value)
    return found


def test_the_payload_holds_no_code_and_needs_only_the_standard_library(lab):
    payload = ComputeSerializer().serialize(lab.classify)
    pickled = codecs.decode(payload.partition("\n")[2].encode(), "base64")
    assert set(globals_of(pickled)) == {
        "builtins.eval",
        "builtins.getattr",
        "importlib.import_module",
        "operator.methodcaller",
    }
