from gc_warm import LocalExecutor
from gc_warm.functions.program import ask

with LocalExecutor(workers=1) as executor:
    print(executor.submit(ask, ["sqlite3"], "select 6 * 7;", framing="sqlite3").result(), end="")
