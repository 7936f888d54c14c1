"""Tell which exception a task has raised."""

# --8<-- start
from globus_compute_sdk.errors import TaskExecutionFailed
from solve import NoConvergenceError, solve

from gc_warm import LocalExecutor
from gc_warm.errors import raised, remote_type

with LocalExecutor() as executor:
    try:
        answer = executor.submit(solve, 5).result()
    except TaskExecutionFailed as error:
        if not raised(error, NoConvergenceError):
            raise
        print("try more steps:", remote_type(error))
        answer = executor.submit(solve, 50).result()
print(answer)
# --8<-- end
