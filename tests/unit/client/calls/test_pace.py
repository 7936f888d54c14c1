"""How many items go into a task."""

from gc_warm.client.calls.pace import MOST_ITEMS, Pace

WORKER = ("host", 1)


def test_the_first_tasks_have_one_item():
    assert 1 == Pace(None).size(1000, 6)


def test_a_task_takes_long_enough_to_hide_its_round_trip():
    pace = Pace(None)
    pace.note(WORKER, 1, 0.001, 0.0, 1.0)
    assert 4000 == pace.size(None, 6)
    assert 16.0 == pace.deadline


def test_builds_do_not_count_as_what_calls_take():
    pace = Pace(None)
    pace.note(WORKER, 1, 5.001, 5.0, 0.001)
    assert 49 <= pace.size(None, 6) <= 50


def test_all_workers_get_some_of_what_is_left():
    pace = Pace(None)
    pace.note(WORKER, 1, 0.001, 0.0, 1.0)
    assert 25 == pace.size(100, 4)
    assert 1 == pace.size(0, 4)


def test_long_calls_go_alone():
    pace = Pace(None)
    pace.note(WORKER, 1, 60.0, 0.0, 2.0)
    assert 1 == pace.size(1000, 6)


def test_calls_that_become_slower_are_noticed_soon():
    pace = Pace(None)
    for _ in range(20):
        pace.note(WORKER, 1000, 0.001, 0.0, 0.001)
    assert MOST_ITEMS == pace.size(None, 6)
    for _ in range(20):
        pace.note(WORKER, 1, 1.0, 0.0, 0.001)
    assert 1 == pace.size(None, 6)


def test_a_given_size_stays():
    pace = Pace(7)
    pace.note(WORKER, 7, 60.0, 0.0, 2.0)
    assert (7, None) == (pace.size(3, 6), pace.deadline)


def test_workers_that_show_up_get_something_to_do():
    pace = Pace(None)
    assert (4, 8, 12) == (pace.lanes, pace.low, pace.high)
    for number in range(20):
        pace.note(("host", number), 1, 1.0, 0.0, 0.1)
    assert (30, 60, 90) == (pace.lanes, pace.low, pace.high)
    assert 2 == Pace(None, lambda: 2).lanes
