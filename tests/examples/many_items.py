"""Many items of two models, on two workers."""

from lab_models import classify

from gc_warm import LocalExecutor, WarmExecutor

items = [("small" if number % 3 else "large", number) for number in range(300)]

with WarmExecutor(LocalExecutor(workers=2)) as executor:
    results = executor.starmap(classify, items, key="name")
    print([*results][:3])

    figures = executor.report().figures()
    print(figures.calls, "calls,", "few" if figures.cold <= 4 else "many", "cold starts")
