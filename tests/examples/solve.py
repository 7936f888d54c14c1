"""A function that raises an exception of its own."""

from gc_warm import self_contained


class NoConvergenceError(ValueError):
    """The solver gave up."""


@self_contained
def solve(steps: int) -> int:
    if steps < 10:
        raise NoConvergenceError(f"not within {steps} steps")
    return steps
