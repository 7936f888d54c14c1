"""Warm all workers before the first call, and look at them."""

from lab_models import forget, model

from gc_warm import LocalExecutor, WarmExecutor

with WarmExecutor(LocalExecutor(workers=2)) as executor:
    warmed = executor.prewarm(model, "small", timeout=60)
    print(warmed.complete, warmed.missing, warmed.failures)

    for worker in executor.stats():
        for info in worker["states"].values():
            print([entry["arguments"] for entry in info["entries"]])

    cleared = executor.everywhere(forget)
    print(len(cleared.ready), "cleared")
