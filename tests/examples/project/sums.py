"""A user's module: sums of the first numbers."""

from gc_warm import self_contained, warm


@warm
def table(size: int) -> list[int]:
    """Add up: slow, so done once in each worker."""
    sums = [0]
    for number in range(size):
        sums.append(sums[-1] + number)
    return sums


@self_contained
def sum_below(number: int) -> int:
    return table(10_000)[number]


def plain_sum(number: int) -> int:
    return sum(range(number))
