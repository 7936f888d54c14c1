"""How many primes are there below a number?"""

from itertools import accumulate
from math import isqrt

from gc_warm import self_contained, warm


@warm
def table(limit: int) -> list[int]:
    """Count the primes below every number. This is slow, so each worker does it once."""
    is_prime = [number >= 2 for number in range(limit)]
    for number in range(2, isqrt(limit) + 1):
        if is_prime[number]:
            for multiple in range(number * number, limit, number):
                is_prime[multiple] = False
    return list(accumulate(is_prime, initial=0))


@self_contained
def count_primes(below: int) -> int:
    return table(1_000_000)[below]
