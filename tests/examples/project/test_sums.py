import time

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed
from sums import plain_sum, sum_below


def test_it_runs_where_the_project_is_not_installed(gc_executor):
    assert gc_executor.submit(sum_below, 5).result() == 10


@pytest.mark.gc_workers(1)
def test_the_table_is_made_once(gc_executor):
    receipts = [gc_executor.submit(sum_below.receipted, n).result().receipt for n in range(5)]
    assert [receipt.cold_starts for receipt in receipts] == [1, 0, 0, 0, 0]


def test_a_plain_function_fails_here_as_it_would_there(gc_executor):
    with pytest.raises(TaskExecutionFailed, match="No module named 'sums'"):
        gc_executor.submit(plain_sum, 5).result()


def test_what_happens_when_a_worker_is_lost(gc_executor, gc_faults):
    future = gc_executor.submit(time.sleep, 60)
    gc_faults.kill_worker()
    with pytest.raises(TaskExecutionFailed, match="WorkerLost"):
        future.result()
    assert gc_executor.submit(sum_below, 5).result() == 10
