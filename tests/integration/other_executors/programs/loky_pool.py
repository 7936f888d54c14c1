"""loky."""

from functools import partial

import client_side
from loky import get_reusable_executor


def run() -> None:
    lab, folder = client_side.begin()
    use, reuse = lab.use, lab.reuse
    from gc_warm import self_contained

    executor = get_reusable_executor(max_workers=2)
    futures = [executor.submit(use, folder, n) for n in range(20)]
    submitted = [future.result() for future in futures]
    mapped = list(executor.map(use, [folder] * 20, range(20)))
    reused = list(executor.map(reuse, submitted))
    made = list(executor.map(self_contained(partial(lab.scaled, 2, folder)), range(20)))
    executor.shutdown()
    client_side.report(submit=submitted, map=mapped, reuse=reused, made=made)


if __name__ == "__main__":
    run()
