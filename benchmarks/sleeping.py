"""A call that takes a millisecond, where a process pool finds it."""

import time


def millisecond(number: int) -> int:
    """Take a millisecond."""
    time.sleep(0.001)
    return number
