"""Make workers fail, and see what the user of an endpoint would see."""

import os

from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm import LocalExecutor, Workers

# --8<-- start
with Workers(2) as workers:
    with LocalExecutor(workers=workers, max_retries_on_system_failure=1) as executor:
        first = executor.submit(os.getpid).result()
        executor.faults.kill_worker(first)
        print(executor.submit(os.getpid).result() != first)
    with LocalExecutor(workers=workers) as executor:
        executor.faults.memory_limit(600_000_000)
        try:
            executor.submit(bytes, 800_000_000).result()
        except TaskExecutionFailed as error:
            print("MemoryError" in str(error))
# --8<-- end
