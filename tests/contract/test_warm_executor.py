"""`WarmExecutor`: the same over Globus Compute's executor, ours, and the standard library's."""

import importlib.util
import itertools
import random
import re
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from multiprocessing import get_context
from pathlib import Path

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed
from globus_compute_sdk.sdk.asynchronous.compute_future import ComputeFuture

from gc_warm import LocalExecutor, Receipted, Report, WarmExecutor
from gc_warm.client.calls.records import read_records
from gc_warm.client.calls.visits import require_count
from gc_warm.errors import CallError, RemoteTraceback, UsageError

# As a module of a user's project is: found by its name.
spec = importlib.util.spec_from_file_location("many", Path(__file__).with_name("many.py"))
many = sys.modules["many"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(many)

PATIENCE = 120
KINDS = {
    "local": ComputeFuture,
    "processes": Future,
    "threads": Future,
    "service-htex": ComputeFuture,
}


@pytest.fixture(
    scope="module",
    params=["local", "processes", "threads", pytest.param("service-htex", marks=pytest.mark.slow)],
)
def below(request):
    return request.param


@pytest.fixture(scope="module")
def make(below, request, kept_workers):
    """Make an executor of the kind, of two workers."""
    if below == "local":
        return lambda: LocalExecutor(workers=kept_workers)
    if below == "processes":
        return lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    if below == "threads":
        return lambda: ThreadPoolExecutor(2)
    real = request.getfixturevalue("real")
    return lambda: real.executor("service-htex")


@pytest.fixture(scope="module")
def warm(make):
    with WarmExecutor(make(), workers=2) as executor:
        yield executor


@pytest.fixture
def workers(below):
    """How many processes can be told apart."""
    return 1 if below == "threads" else 2


# One call


def test_a_future_is_the_executors_own_kind_and_has_a_receipt(warm, below):
    name = f"one call {below}"
    future = warm.submit(many.use, name, number=1)
    assert isinstance(future, KINDS[below])
    assert (name, 1) == future.result(PATIENCE)
    receipt = future.receipt
    assert [("model", f"'{name}'")] == [
        (build.state.rpartition(".")[2], build.arguments) for build in receipt.builds
    ]
    assert (1, 0) == (receipt.cold_starts, receipt.hits)
    assert receipt.builds[0].seconds == receipt.build_seconds <= receipt.seconds
    assert receipt.submitted <= receipt.started
    assert (below != "threads") == (receipt.payload_bytes > 0) == (receipt.result_bytes > 0)
    assert (below in {"local", "service-htex"}) == (future.task_id is not None)


def test_what_a_call_raises_comes_back_with_its_traceback(warm, below):
    future = warm.submit(many.picky, 3)
    with pytest.raises(ValueError, match=r"^3 ends with 3$") as raised:
        future.result(PATIENCE)
    assert future.receipt.seconds > 0
    if below != "threads":
        assert isinstance(raised.value.__cause__, RemoteTraceback)
        assert 'raise ValueError(f"{number} ends with 3")' in str(raised.value.__cause__)


def test_an_error_that_cannot_come_back_is_told_of(warm, below):
    error = warm.submit(many.unlucky, 7).exception(PATIENCE)
    if below == "threads":
        assert isinstance(error, many.UnluckyError)
    else:
        assert isinstance(error, CallError)
        assert "UnluckyError: 7: on purpose" == str(error)


def test_errors_of_all_kinds_come_back(warm, below):
    chained = warm.submit(many.raises, "chained").exception(PATIENCE)
    assert isinstance(chained, ValueError)
    if below == "threads":
        assert isinstance(chained.__cause__, KeyError)
    else:
        assert "KeyError: 'inner'" in str(chained.__cause__)
    assert isinstance(warm.submit(many.raises, "deep").exception(PATIENCE), ZeroDivisionError)
    assert "CallableError" == type(warm.submit(many.raises, "x").exception(PATIENCE)).__name__


def test_functions_can_be_arguments(warm):
    assert 60 == warm.submit(many.calls, many.unmarked).result(PATIENCE)
    script = {"__name__": "__main__"}
    exec("def twice(number): return 2 * number", script)
    assert 40 == warm.submit(many.calls, script["twice"]).result(PATIENCE)


def test_what_is_not_marked_is_sent_self_contained(warm):
    assert 12 == warm.submit(many.unmarked, 4).result(PATIENCE)
    assert 20 == warm.submit(many.times(5), 4).result(PATIENCE)


def test_receipted_functions_return_receipts_in_a_map_too(warm):
    results = list(warm.map(many.double.receipted, range(3)))
    assert all(isinstance(each, Receipted) for each in results)
    assert [0, 2, 4] == [each.value for each in results]
    assert all(each.receipt.pid for each in results)


def test_output_is_kept_of_failed_calls_and_bounded(make, below):
    with WarmExecutor(make(), output=True) as executor:
        future = executor.submit(many.speak, 100_000)
        assert isinstance(future.exception(PATIENCE), ValueError)
        said = future.receipt.output
        texts = ["printed\n", "WARNING some.logger: logged\n", "left out"]
        if below != "threads":  # there pytest takes them
            texts.append("UserWarning: warned")
        assert texts == [each for each in texts if each in said]
        assert 60_000 < len(said.encode()) <= 64 * 1024
        quiet = executor.submit(many.quiet)
        assert "nothing said" == quiet.result(PATIENCE)
        assert "" == quiet.receipt.output


# The services cannot cancel.
@pytest.mark.parametrize("below", ["local", "processes", "threads"], indirect=True)
def test_a_future_can_be_cancelled_before_it_begins(make):
    with WarmExecutor(make()) as executor:
        running = [executor.submit(many.takes, 0.2) for _ in range(2)]
        waiting = [executor.submit(many.takes, 0.2) for _ in range(10)]
        assert waiting[-1].cancel()
        assert waiting[-1].cancelled()
        assert waiting[-1].receipt is None
        for each in waiting:
            each.cancel()
        assert [0.2, 0.2] == [each.result(PATIENCE) for each in running]


# Many


def test_map_returns_results_in_order(warm):
    assert [2 * each for each in range(1000)] == list(warm.map(many.double, range(1000)))


def test_map_takes_several_iterables_and_ends_with_the_shortest(warm):
    names = ["a", "b", "c"]
    assert [("a", 0), ("b", 1), ("c", 2)] == list(warm.map(many.use, names, itertools.count()))
    assert [("x", 5)] == list(warm.starmap(many.use, [("x", 5)]))
    assert [] == list(warm.map(many.double, []))


def test_unordered_results_are_all_there(warm):
    numbers = range(500)
    results = warm.map(many.double, numbers, ordered=False)
    assert [2 * each for each in numbers] == sorted(results)


def test_an_items_exception_is_raised_there_and_the_next_can_be_asked_for(warm):
    results = warm.map(many.picky, range(25), chunksize=10)
    got = []
    for _ in range(25):
        try:
            got.append(next(results))
        except ValueError as error:  # noqa: PERF203
            got.append(str(error))
    wanted = [f"{each} ends with 3" if each % 10 == 3 else each for each in range(25)]
    assert wanted == got
    assert [] == list(results)


def test_a_call_that_raises_stop_iteration_does_not_end_the_results(warm):
    results = warm.map(many.first, [[1], [], [3]])
    assert 1 == next(results)
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        next(results)
    assert [3] == list(results)


def test_threads_may_share_the_results(warm):
    results = warm.map(many.double, range(300))
    got = []
    threads = [threading.Thread(target=lambda: got.extend(results)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [2 * each for each in range(300)] == sorted(got)


def test_exceptions_are_returned_if_wanted(warm):
    got = list(warm.map(many.picky, range(100), return_exceptions=True))
    assert [each for each in range(100) if each % 10 != 3] == [e for e in got if isinstance(e, int)]
    assert 10 == sum(isinstance(each, ValueError) for each in got)


def test_what_ends_a_program_ends_neither_the_client_nor_other_calls(warm):
    found = [*warm.map(many.leaves, range(7), chunksize=7, return_exceptions=True)]
    assert [0, 1, 2, 6] == [each for each in found if isinstance(each, int)]
    ends = ["SystemExit: 3", "GeneratorExit: of a user", "KeyboardInterrupt: of a user"]
    assert ends == [str(each) for each in found[3:6]]
    assert {CallError} == {type(each) for each in found[3:6]}
    assert isinstance(warm.submit(many.leaves, 3).exception(PATIENCE), CallError)


def test_an_error_without_words_is_an_error_all_the_same(warm):
    assert warm.submit(many.speechless, 1).exception(PATIENCE) is not None
    assert 2 == len([*warm.map(many.speechless, range(2), return_exceptions=True)])


def test_receipts_that_cannot_be_written_cost_no_results(make, caplog):
    with WarmExecutor(make(), workers=2, receipts="/dev/full") as executor:
        assert 6 == executor.submit(many.double, 3).result(PATIENCE)
        assert [0, 2, 4] == [*executor.map(many.double, range(3))]
    assert ["receipts are not written: No space left on device"] == [
        record.getMessage() for record in caplog.records if "receipts" in record.getMessage()
    ]


def test_a_timeout_does_not_wait_for_a_slow_input(warm):
    def endless():
        while True:
            time.sleep(0.01)  # the input's own pace
            yield 1

    begun = time.monotonic()
    with pytest.raises(FutureTimeoutError, match=r"timeout of map\(\) is over"):
        for _ in warm.map(many.double, endless(), timeout=0.3):
            pass
    assert time.monotonic() - begun < PATIENCE


def test_a_result_that_cannot_be_sent_spoils_no_other(warm, below):
    got = list(warm.map(many.cannot_be_sent, range(4), chunksize=4, return_exceptions=True))
    assert [0, 1, 3] == [got[0], got[1], got[3]]
    if below != "threads":
        assert isinstance(got[2], TypeError)
        assert "of type generator, cannot be sent back" in str(got[2])


def test_items_of_one_key_go_together(warm, below):
    names = [f"{letter} {below}" for letter in "abcd"]
    items = [(name, number) for name in names for number in range(100)]
    random.Random(1).shuffle(items)
    before = warm.report().figures().cold
    assert items == list(warm.starmap(many.use, items, key=lambda name, _: name))
    assert 4 <= warm.report().figures().cold - before <= 8


@pytest.mark.parametrize("below", ["local"], indirect=True)
def test_without_a_key_workers_thrash(warm):
    items = [(f"thrash {number % 4}", number) for number in range(400)]
    random.Random(1).shuffle(items)
    before = warm.report().figures().cold
    assert items == list(warm.starmap(many.use, items))
    assert warm.report().figures().cold - before > 100


def test_an_endless_input_is_read_only_a_little_ahead(warm):
    read = itertools.count()
    results = warm.map(many.double, read, ahead=500)
    first = list(itertools.islice(results, 300))
    assert [2 * each for each in range(300)] == first
    assert next(read) <= 300 + 500
    results.close()
    assert [] == list(results)


@pytest.mark.parametrize("below", ["threads"], indirect=True)
def test_an_input_may_not_ask_for_the_results_of_its_own(warm):
    def numbers():
        yield 1
        yield next(results)

    results = warm.map(many.double, numbers(), ahead=1)
    assert 2 == next(results)
    with pytest.raises(ValueError, match="generator already executing"):
        list(results)


@pytest.mark.parametrize("below", ["threads"], indirect=True)
def test_a_slow_input_does_not_keep_the_first_results_waiting(warm):
    read = []

    def numbers():
        for number in range(30):
            read.append(number)
            time.sleep(0.2)
            yield number

    results = warm.map(many.double, numbers(), chunksize=30)
    assert 0 == next(results)
    assert len(read) < 15
    results.close()


def test_a_timeout_may_be_endless(warm):
    assert [2] == list(warm.map(many.double, [1], timeout=float("inf")))
    assert warm.prewarm(many.double, 1, workers=1, timeout=float("inf")).complete


def test_a_timeout_is_over_all_results(warm):
    results = warm.map(many.takes, [0, 3, 0], timeout=1, chunksize=1)
    assert 0 == next(results)
    with pytest.raises(FutureTimeoutError, match="map"):
        list(results)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_failing_input_raises_after_the_results_of_what_was_read(warm, ordered):
    def numbers():
        yield from range(100)
        raise OSError("no more")

    results = warm.map(many.double, numbers(), ordered=ordered, return_exceptions=True)
    assert {2 * each for each in range(100)} == {next(results) for _ in range(100)}
    with pytest.raises(OSError, match="no more"):
        next(results)
    assert [] == list(results)


def test_a_failing_key_raises_in_its_place_and_the_next_can_be_asked_for(warm):
    results = warm.starmap(many.double, [(2,), 7, (0,), (5,)], key=lambda number: 1 / number)
    assert 4 == next(results)
    with pytest.raises(TypeError, match="not iterable"):
        next(results)
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert [10] == list(results)


@pytest.mark.parametrize("below", ["local", "threads"], indirect=True)
def test_an_executor_that_takes_no_more_raises_after_the_results_of_what_it_took(make):
    executor = WarmExecutor(make())
    results = executor.map(many.double, range(100), chunksize=1)
    first = next(results)
    executor.shutdown()
    got = [first]
    with pytest.raises(RuntimeError, match=r"shutdown|shut down"):
        got.extend(results)
    assert [2 * each for each in range(len(got))] == got
    assert len(got) >= 6


# Limits


def test_results_that_are_large_together_come_in_several_tasks(warm, below):
    sizes = [1.5] * 8 if below == "service-htex" else [1.5] * 20
    got = warm.map(many.megabytes, sizes, chunksize=20)
    assert [1_500_000] * len(sizes) == [len(each) for each in got]


# The others have no limit.
@pytest.mark.parametrize(
    "below", ["local", pytest.param("service-htex", marks=pytest.mark.slow)], indirect=True
)
def test_what_is_too_large_alone_fails_alone(warm):
    small, large, last = warm.map(many.megabytes, [1, 9, 1], chunksize=3, return_exceptions=True)
    assert (1_000_000, 1_000_000) == (len(small), len(last))
    assert "at most 7.0 MB can be sent back" in str(large)
    too_large = bytes(8_000_000)
    with pytest.raises(UsageError, match=r"at most 7\.0 MB can be sent"):
        warm.submit(many.double, too_large)
    got = list(warm.map(many.double, ["a", too_large, "b"], return_exceptions=True))
    assert ["aa", "UsageError", "bb"] == [got[0], type(got[1]).__name__, got[2]]


# Every worker


def test_prewarm_reaches_each_worker_once(warm, workers, below):
    name = f"early {below}"
    done = warm.prewarm(many.model, name, workers=workers, timeout=PATIENCE)
    assert done.complete, str(done)
    assert workers == len({(each.host, each.pid) for each in done.ready})
    assert [1] * workers == [each.receipt.cold_starts for each in done.ready]
    assert [None] * workers == done.results
    again = warm.prewarm(many.model, name, workers=workers, timeout=PATIENCE)
    assert [0] * workers == [each.receipt.cold_starts for each in again.ready]


def test_prewarm_says_what_is_missing(warm, workers):
    done = warm.prewarm(many.model, "x", workers=workers + 1, timeout=1)
    assert (False, 1) == (done.complete, done.missing)
    assert f"{workers} of {workers + 1} workers ready" in str(done)
    assert "1 not reached" in str(done)


def test_a_failing_build_is_reported_once(warm, workers):
    done = warm.prewarm(many.model, "broken", workers=workers, timeout=PATIENCE)
    assert not done.complete
    assert ["OSError: no such model"] == list(done.failures)
    assert workers == len(done.failures["OSError: no such model"])
    assert done.seconds < PATIENCE / 2


def test_everywhere_returns_what_each_worker_said(warm, workers):
    done = warm.everywhere(many.pid, workers=workers, timeout=PATIENCE)
    assert workers == len(set(done.results))
    assert {each.pid for each in done.ready} == set(done.results)


def test_stats_say_what_is_warm_where(warm, workers):
    warm.prewarm(many.model, "seen", workers=workers, timeout=PATIENCE)
    found = warm.stats(workers=workers)
    assert workers == len(found)
    for each in found:
        (entries,) = [
            info["entries"] for name, info in each["states"].items() if name.endswith("many.model")
        ]
        assert ["'seen'"] == [entry["arguments"] for entry in entries]


# Lost workers


@pytest.fixture
def marks(tmp_path):
    return str(tmp_path)


def test_a_lost_chunk_is_tried_again(kept_workers, marks):
    with WarmExecutor(LocalExecutor(workers=kept_workers)) as executor:
        call = itertools.repeat({5: 1})
        numbers = range(20)
        got = executor.map(
            many.deadly, numbers, itertools.repeat(marks), call, chunksize=10, retries=1
        )
        assert list(numbers) == list(got)
        figures = executor.report().figures()
    assert 1 == sum(figures.lost.values())
    assert 10 == figures.retried
    assert "WorkerLost" in next(iter(figures.lost))


def test_an_item_that_always_kills_its_worker_takes_no_other_with_it(kept_workers, marks):
    with WarmExecutor(LocalExecutor(workers=kept_workers)) as executor:
        call = itertools.repeat({5: 99})
        got = executor.map(
            *(many.deadly, range(10), itertools.repeat(marks), call),
            chunksize=10,
            retries=2,
            return_exceptions=True,
        )
        got = list(got)
    assert [*range(5), *range(6, 10)] == [*got[:5], *got[6:]]
    text = r"WorkerLost: Task failure due to loss of worker \d on host .*\n.*killed by SIGKILL.*"
    assert isinstance(got[5], CallError)
    assert re.fullmatch(text, str(got[5]))
    assert isinstance(got[5].__cause__, TaskExecutionFailed)


def test_without_retries_a_lost_chunk_fails(kept_workers, marks):
    with WarmExecutor(LocalExecutor(workers=kept_workers)) as executor:
        call = itertools.repeat({0: 1})
        got = executor.map(
            *(many.deadly, range(4), itertools.repeat(marks), call),
            chunksize=2,
            return_exceptions=True,
        )
        kinds = [type(each).__name__ for each in got]
    assert ["CallError", "CallError", "int", "int"] == kinds


@pytest.mark.slow("waits")
def test_a_time_limit_for_tasks_is_one_for_calls():
    below = LocalExecutor(workers=1, worker_env={"GC_TASK_TIMEOUT": "1"})
    with WarmExecutor(below) as executor:
        seconds = [0.3] * 4 + [30, 0.3]
        got = list(executor.map(many.takes, seconds, chunksize=6, return_exceptions=True))
    assert [0.3] * 4 == got[:4]
    assert "AppTimeout" in repr(got[4])
    assert [0.3] == got[5:]


def test_a_broken_pool_is_no_endless_story(marks):
    with WarmExecutor(ProcessPoolExecutor(1, mp_context=get_context("spawn"))) as executor:
        call = itertools.repeat({0: 99})
        got = executor.map(
            *(many.deadly, range(6), itertools.repeat(marks), call),
            chunksize=2,
            retries=2,
            return_exceptions=True,
        )
        assert {"BrokenProcessPool"} == {type(each).__name__ for each in got}


def test_a_function_that_ends_its_worker_is_told_of(kept_workers):
    with WarmExecutor(LocalExecutor(workers=kept_workers)) as executor:
        done = executor.everywhere(many.exits, workers=2, timeout=20)
        assert (0, 2) == (len(done.ready), done.missing)
        assert "WorkerLost: Task failure due to loss of worker" in str(done)
        assert 4 == executor.submit(many.double, 2).result(PATIENCE)


def test_several_maps_share_an_executor(warm):
    pairs = zip(warm.map(many.double, range(200)), warm.map(many.picky, [1] * 200), strict=True)
    assert [(2 * each, 1) for each in range(200)] == list(pairs)
    inner = warm.map(many.double, range(50))
    assert [4 * each for each in range(50)] == list(warm.map(many.double, inner))


# Wrong usage


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunksize": 0}, "chunksize=0"),
        ({"chunksize": "many"}, "chunksize='many'"),
        ({"retries": -1}, "retries=-1"),
        ({"ahead": 0}, "ahead=0"),
        ({"timeout": "a"}, "timeout='a'"),
        ({"key": "count"}, "the name of one of them: number"),
    ],
)
def test_wrong_options_are_named(warm, options, message):
    with pytest.raises(UsageError, match=message):
        warm.map(many.double, [1], **options)


def test_wrong_executors_and_functions_are_named(warm):
    with pytest.raises(UsageError, match="needs an executor"):
        WarmExecutor(many.double)
    with pytest.raises(UsageError, match="is a WarmExecutor already"):
        WarmExecutor(warm)
    for wrong in ("double", None):
        with pytest.raises(UsageError, match=f"{wrong!r} is no function"):
            warm.submit(wrong, 1)
    with pytest.raises(UsageError, match="at least one iterable"):
        warm.map(many.double)
    with pytest.raises(UsageError, match="cannot tell items apart"):
        list(warm.map(many.double, [1], key=lambda number: [number]))


def test_somebody_must_know_how_many_workers_there_are(kept_workers):
    with WarmExecutor(LocalExecutor(workers=kept_workers)) as executor:
        assert executor.prewarm(many.model, "x").complete
    with pytest.raises(UsageError, match="give workers=N"):
        require_count(None, None)


def test_a_with_block_that_fails_waits_for_nothing(kept_workers):
    begin = time.monotonic()

    def fail():
        with WarmExecutor(LocalExecutor(workers=kept_workers)) as executor:
            executor.submit(many.double, 1).result()
            for _ in range(40):
                executor.submit(many.takes, 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert time.monotonic() - begin < 30


def test_receipts_of_several_clients_go_into_one_file(tmp_path):
    path = tmp_path / "run.jsonl"
    for _ in range(2):
        with WarmExecutor(ThreadPoolExecutor(1), receipts=path) as executor:
            list(executor.map(many.double, range(10)))
    assert 20 == Report.load(path, path).figures().calls
    assert 0o600 == path.stat().st_mode & 0o777


def test_a_cut_off_line_costs_no_other_receipts(tmp_path, caplog):
    path = tmp_path / "receipts.jsonl"
    for numbers in (range(2), range(3)):
        with WarmExecutor(ThreadPoolExecutor(1), receipts=path) as executor:
            assert len(numbers) == len([*executor.map(many.double, numbers, chunksize=1)])
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])  # as a full disk, or a power cut, leaves it
    assert 3 == len([*read_records([path])])
    assert ["line 2 was cut off", "line 5 was cut off"] == [
        record.getMessage().partition(": ")[2].partition(",")[0] for record in caplog.records
    ]
