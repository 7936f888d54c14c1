"""joblib, whose default backend is a loky of its own."""

from functools import partial

import client_side
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor


def run() -> None:
    lab, folder = client_side.begin()
    use, reuse = lab.use, lab.reuse
    from gc_warm import self_contained

    called = Parallel(n_jobs=2)(delayed(use)(folder, n) for n in range(20))
    reused = Parallel(n_jobs=2)(delayed(reuse)(used) for used in called)
    scaled = self_contained(partial(lab.scaled, 2, folder))
    made = Parallel(n_jobs=2)(delayed(scaled)(n) for n in range(20))
    get_reusable_executor().shutdown()
    client_side.report(delayed=called, reuse=reused, made=made)


if __name__ == "__main__":
    run()
