"""What goes wrong with warm states."""

from gc_warm.errors import GcWarmError, UsageError


class UnhashableArgumentError(UsageError):
    """An argument of a warm initialiser cannot be part of a key.

    Args:
        initialiser: Name of the initialiser.
        argument: Path of the offending value, such as ``options`` or ``config.layers``.
        type_name: Its type.
        advice: What to pass instead.
    """

    def __init__(self, initialiser: str, argument: str, type_name: str, advice: str) -> None:
        super().__init__(initialiser, argument, type_name, advice)
        self.initialiser = initialiser
        self.argument = argument
        self.type_name = type_name
        self.advice = advice

    def __str__(self) -> str:
        return (
            f"Argument {self.argument!r} of warm initialiser {self.initialiser!r} is a "
            f"{self.type_name}, which cannot be part of a key: {self.advice}."
        )


class RecursiveBuildError(GcWarmError):
    """An initialiser asked for the very state that it is building."""


class CapacityError(GcWarmError):
    """A state alone is larger than its group may be."""


class WarmTimeoutError(GcWarmError, TimeoutError):
    """Waiting for a place, or for another's build, took too long; the message says who holds it."""


class BusyError(GcWarmError):
    """A signal handler or a destructor asked for a state where its own thread was finding one."""
