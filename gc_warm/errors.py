"""Every exception that gc-warm raises.

All derive from `GcWarmError`, so one ``except`` catches them, and all survive pickling, so they
arrive whole when a worker raises them. Wrong usage is also a `ValueError`.
"""


class GcWarmError(Exception):
    """The root of all errors raised by gc-warm."""


class UsageError(GcWarmError, ValueError):
    """An argument or option is wrong; the message names it and says what is expected."""


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


class ShippingError(UsageError):
    """A function cannot be made self-contained; the message says why."""


class ClashError(GcWarmError):
    """A carried module has the name of a different module that the worker already has."""


class RequirementError(GcWarmError):
    """A worker lacks packages that a function requires; the message names all of them."""


class WorkerStartError(GcWarmError):
    """A local worker process could not be started; the message holds what it printed."""


class WorkerLostError(GcWarmError):
    """A local worker process died while it was running a task.

    Args:
        pid: Process id of the worker that died.
        reason: How it ended, such as ``"was killed by SIGKILL"``.
        stderr_tail: The last lines it wrote to standard error.
    """

    def __init__(self, pid: int, reason: str, stderr_tail: str = "") -> None:
        super().__init__(pid, reason, stderr_tail)
        self.pid = pid
        self.reason = reason
        self.stderr_tail = stderr_tail

    def __str__(self) -> str:
        message = f"Worker process {self.pid} {self.reason} while it was running this task."
        if self.stderr_tail:
            message += f"\nThe end of its standard error:\n{self.stderr_tail}"
        return message


class CapacityError(GcWarmError):
    """A state alone is larger than its group may be."""


class WarmTimeoutError(GcWarmError, TimeoutError):
    """Waiting for a place, or for another's build, took too long; the message says who holds it."""


class RegistryError(GcWarmError):
    """The service, or the manifest, refuses; the message says why and what to do."""


class UnknownFunctionError(RegistryError):
    """The service does not know a function that the manifest remembers.

    Args:
        function_id: The function's id.
    """

    def __init__(self, function_id: str) -> None:
        super().__init__(function_id)
        self.function_id = function_id

    def __str__(self) -> str:
        return (
            f"The service does not know the function {self.function_id}: it was deleted, or "
            "belongs to someone else. Register it anew: gc-warm register MODULE:FUNCTION --again."
        )


class ProgramError(GcWarmError):
    """The root of what goes wrong with an external program that is kept running.

    Args:
        command: The program and its arguments, as one would type them.
        reason: What happened, such as ``"was killed by SIGSEGV"``; it continues ``"Program …"``.
        stderr_tail: The last lines it wrote to standard error.
    """

    def __init__(self, command: str, reason: str, stderr_tail: str = "") -> None:
        super().__init__(command, reason, stderr_tail)
        self.command = command
        self.reason = reason
        self.stderr_tail = stderr_tail

    def __str__(self) -> str:
        message = f"Program `{self.command}` {self.reason}."
        if self.stderr_tail:
            message += f"\nThe last that it wrote:\n{self.stderr_tail}"
        return message


class ProgramMissingError(ProgramError):
    """There is no such program on this machine; the message shows where it was looked for."""


class ProgramStartError(ProgramError):
    """A program could not be started, or did not become ready."""


class ProgramDiedError(ProgramError):
    """A program ended before it had answered."""


class ProgramTimeoutError(ProgramError):
    """A program did not answer in time; it was stopped, and the next call gets a fresh one."""


class ProgramCancelledError(ProgramError):
    """A call was cancelled, or its program closed, before it was answered."""


class ProgramRestartsError(ProgramError):
    """A program failed so often that it is not started again for a while."""


class ProgramOutputError(ProgramError):
    """What a program wrote is no answer: too long, or not in the agreed form."""


class RequestFailedError(GcWarmError):
    """A program answered a request with an error of its own; it is still running.

    Args:
        command: The program and its arguments.
        type_name: What kind of error, if the program says so, such as ``"ZeroDivisionError"``.
        text: The program's words.
        traceback: Where it happened in the program, if it says so.
    """

    def __init__(self, command: str, type_name: str, text: str, traceback: str = "") -> None:
        super().__init__(command, type_name, text, traceback)
        self.command = command
        self.type_name = type_name
        self.text = text
        self.traceback = traceback

    def __str__(self) -> str:
        words = f"{self.type_name}: {self.text}" if self.type_name else self.text
        message = f"Program `{self.command}` answered with an error: {words}"
        if self.traceback:
            message += f"\nIts own traceback:\n{self.traceback}"
        return message
