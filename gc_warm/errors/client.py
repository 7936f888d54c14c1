"""What goes wrong on the client: with local workers, and with the service."""

from gc_warm.errors import GcWarmError, UsageError


class WorkerStartError(GcWarmError):
    """A local worker process could not be started; the message holds what it printed."""


class WorkerLostError(GcWarmError):
    """A local worker process died while it was running a task.

    Args:
        pid: Process id of the worker that died.
        reason: How it ended, such as ``"was killed by SIGKILL"``.
        printed: The last lines that it printed during this task.
    """

    def __init__(self, pid: int, reason: str, printed: str = "") -> None:
        super().__init__(pid, reason, printed)
        self.pid = pid
        self.reason = reason
        self.printed = printed

    def __str__(self) -> str:
        message = f"Worker process {self.pid} {self.reason} while it was running this task."
        if self.printed:
            message += f"\nThe last lines that it printed:\n{self.printed}"
        return message


class UnsupportedFaultError(UsageError):
    """What runs the tasks cannot fail in this way; the message says why."""


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


class CallError(GcWarmError):
    """A call failed on its worker, with an error that cannot be brought here as it is.

    Args:
        kind: The name of its class.
        text: What it said.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.text = text

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class RemoteTraceback(GcWarmError):  # noqa: N818 - it is the cause of an error, not one itself
    """Where on its worker a call failed: the cause of the error that comes back.

    Args:
        text: The traceback.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"
