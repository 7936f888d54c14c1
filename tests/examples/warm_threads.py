import threading
import time
from concurrent.futures import ThreadPoolExecutor

from gc_warm import warm

builds = 0


@warm
def table() -> list[int]:
    global builds  # noqa: PLW0603
    builds += 1
    time.sleep(0.1)
    return [1, 2, 3]


barrier = threading.Barrier(8)


def ask(_: int) -> int:
    barrier.wait()
    return id(table())


with ThreadPoolExecutor(8) as pool:
    answers = set(pool.map(ask, range(8)))
print(f"8 threads, {builds} build, {len(answers)} table")
