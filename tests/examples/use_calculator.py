from calculator import calculate

from gc_warm import LocalExecutor

with LocalExecutor(workers=1) as executor:
    print(executor.submit(calculate, "x = 2 ^ 100").result(), end="")
    print(executor.submit(calculate, "x\nx + 1").result(), end="")
