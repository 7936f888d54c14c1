"""One bad item among many."""

from lab_models import classify

from gc_warm import LocalExecutor, WarmExecutor

names, numbers = ["small"] * 4, [1, -2, 3, 4]

with WarmExecutor(LocalExecutor(workers=2)) as executor:
    for result in executor.map(classify, names, numbers, return_exceptions=True):
        print(repr(result))
