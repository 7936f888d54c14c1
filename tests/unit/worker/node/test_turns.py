"""`@warm(builds_per_node=...)`: builds in turn, over all processes of a node."""

import os
import time

import pytest

import gc_warm
from gc_warm import self_contained, warm
from gc_warm.errors import NodeTimeoutError, UsageError

# Builds when it is told to, and tells when it does.
BUILD = """
    import os, sys
    from gc_warm import warm, self_contained, group

    def tell(line):
        print(line, flush=True)

    @warm(builds_per_node={builds}, wait={wait}{more})
    def model(name: str):
        tell("builds")
        sys.stdin.readline()
        return name

    @self_contained
    def use():
        return model("a")

    receipt = use.receipted().receipt
    tell(f"done {{receipt.node_wait_seconds:.3f}} {{receipt.build_seconds:.3f}}")
"""


def text(builds=1, wait=30, more=""):
    return BUILD.format(builds=builds, wait=wait, more=more)


def test_one_builds_at_a_time_and_a_receipt_says_how_long_it_waited(programs):
    first = programs.start(text())
    assert "builds\n" == first.stdout.readline()
    second = programs.start(text().replace("receipt =", "tell('asks'); receipt ="))
    assert "asks\n" == second.stdout.readline()
    time.sleep(0.5)  # this is the time that is measured
    first.stdin.write("\n")
    first.stdin.flush()
    assert "done" == first.stdout.readline().split()[0]
    assert "builds\n" == second.stdout.readline()
    _, waited, building = second.communicate("\n", timeout=30)[0].split()
    assert float(waited) >= 0.4
    assert float(building) < 0.4


def test_as_many_build_as_may(programs):
    started = programs.start_many(2, text(builds=2))
    assert ["builds\n", "builds\n"] == [each.stdout.readline() for each in started]
    third = programs.start(text(builds=2, wait=0.2))
    error = third.communicate(timeout=30)[1]
    assert "waited 0.2 s for its turn: __main__.model has builds_per_node=2. Building: " in error
    for each in started:
        assert f"process {each.pid} on {os.uname().nodename}, since 20" in error


def test_a_holder_that_is_killed_lets_the_next_go_on(programs):
    first = programs.start(text())
    assert "builds\n" == first.stdout.readline()
    second = programs.start(text())
    first.kill()
    assert "builds\n" == second.stdout.readline()


def test_a_group_takes_turns_together(programs):
    one = text(more=', group="gpu"')
    first = programs.start(one)
    assert "builds\n" == first.stdout.readline()
    second = programs.start(one.replace("model", "other").replace("wait=30", "wait=0.2"))
    assert "waited 0.2 s for its turn: gpu has builds" in second.communicate(timeout=30)[1]


def test_a_failed_build_ends_its_turn():
    fails = [True]

    @warm(builds_per_node=1, wait=0)
    def model():
        if fails.pop():
            raise RuntimeError
        return "built"

    with pytest.raises(RuntimeError):
        model()
    fails.append(False)
    assert "built" == model()


def test_what_a_build_needs_is_part_of_its_turn():
    gc_warm.group("in turn", maxsize=2)

    @warm(builds_per_node=1, wait=1, group="in turn")
    def vocabulary():
        return ["a"]

    @warm(builds_per_node=1, wait=1, group="in turn")
    def model():
        return len(vocabulary())

    assert 1 == model()


@pytest.mark.parametrize("background", [False, True])
def test_hits_wait_for_nobody(programs, background):
    @warm(builds_per_node=1, wait=30, background=background)
    def model():
        return "built"

    @self_contained
    def use():
        return model()

    assert 0 <= use.receipted().receipt.node_wait_seconds < 30
    assert 0 == use.receipted().receipt.node_wait_seconds


def test_threads_that_wait_for_a_turn_end_with_a_clear_error(in_threads):
    @warm(builds_per_node=1, wait=0.2, maxsize=None)
    def model(name: int):
        time.sleep(0.6)  # longer than others wait
        return name

    found = in_threads(2, model)
    assert [NodeTimeoutError] == [type(each) for each in found if isinstance(each, Exception)]


def test_a_wrong_number_is_refused():
    with pytest.raises(UsageError, match="builds_per_node must be a positive whole number or None"):
        warm(builds_per_node=0)
