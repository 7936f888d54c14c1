"""`concurrent.futures.ProcessPoolExecutor`, with workers that are no copies of the client."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import client_side


def run(method: str) -> None:
    lab, folder = client_side.begin()
    use, reuse = lab.use, lab.reuse
    from gc_warm import self_contained

    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        futures = [executor.submit(use, folder, n) for n in range(20)]
        submitted = [future.result() for future in futures]
        mapped = list(executor.map(use, [folder] * 20, range(20)))
        reused = list(executor.map(reuse, submitted))
        made = list(executor.map(self_contained(partial(lab.scaled, 2, folder)), range(20)))
    client_side.report(submit=submitted, map=mapped, reuse=reused, made=made)


if __name__ == "__main__":
    run(sys.argv[4])
