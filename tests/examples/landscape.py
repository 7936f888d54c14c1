"""A landscape that takes longer to read than a task may take."""

import time

from gc_warm import self_contained, warm


@warm(background=True)
def landscape() -> list[int]:
    time.sleep(1.5)
    return [3, 1, 2]


@self_contained
def highest() -> int:
    return max(landscape())
