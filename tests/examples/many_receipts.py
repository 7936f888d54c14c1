"""What one call cost, and what it printed."""

from concurrent.futures import ThreadPoolExecutor

from gc_warm import WarmExecutor


def greet(name: str) -> int:
    print("hello", name)
    return len(name)


with WarmExecutor(ThreadPoolExecutor(2), output=True) as executor:
    future = executor.submit(greet, "world")
    print(future.result())
    print(future.receipt.cold_starts, future.receipt.seconds < 1, repr(future.receipt.output))
