"""How many primes are there below a number?"""

from gc_warm import self_contained, warm


@warm
def table(limit: int) -> list[int]:
    """Count the primes below every number: slow, so done once in each worker."""
    is_prime = [number >= 2 for number in range(limit)]
    for number in range(2, int(limit**0.5) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = [False] * len(is_prime[number * number :: number])
    counts = [0]
    for prime in is_prime:
        counts.append(counts[-1] + prime)
    return counts


@self_contained
def count_primes(below: int) -> int:
    return table(1_000_000)[below]
