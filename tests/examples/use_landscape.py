from landscape import highest

from gc_warm import LocalExecutor


def ask(executor: LocalExecutor) -> str:
    try:
        receipted = executor.submit(highest.receipted).result()
    except Exception as error:
        return str(error).split()[-1]
    return f"{receipted.value}, with {receipted.receipt.cold_starts} cold starts"


with LocalExecutor(workers=1, worker_env={"GC_TASK_TIMEOUT": "0.6"}) as executor:
    for number in range(1, 6):
        print(f"task {number}: {ask(executor)}")
