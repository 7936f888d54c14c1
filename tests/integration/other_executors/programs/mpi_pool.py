"""`mpi4py.futures`: to be run by ``mpiexec -n 3 python -m mpi4py.futures``."""

from functools import partial

import client_side
from mpi4py.futures import MPIPoolExecutor


def run() -> None:
    lab, folder = client_side.begin()
    use, reuse = lab.use, lab.reuse
    from gc_warm import self_contained

    with MPIPoolExecutor() as executor:
        futures = [executor.submit(use, folder, n) for n in range(20)]
        submitted = [future.result() for future in futures]
        mapped = list(executor.map(use, [folder] * 20, range(20)))
        reused = list(executor.map(reuse, submitted))
        made = list(executor.map(self_contained(partial(lab.scaled, 2, folder)), range(20)))
    client_side.report(submit=submitted, map=mapped, reuse=reused, made=made)


if __name__ == "__main__":
    run()
