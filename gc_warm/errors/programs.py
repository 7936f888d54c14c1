"""What goes wrong with external programs that are kept running."""

from gc_warm.errors import GcWarmError


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
            message += f"\nThe last lines that it wrote:\n{self.stderr_tail}"
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
