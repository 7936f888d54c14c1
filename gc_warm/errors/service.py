"""What goes wrong with the stand-in for the web services."""

from gc_warm.errors import GcWarmError


class BrokerStartError(GcWarmError):
    """The broker cannot listen where it was told to; the message says why."""


class AmqpError(GcWarmError):
    """The broker refuses what a peer asks, and closes its channel or connection.

    Args:
        code: The reply code, one of AMQP's.
        text: What is wrong.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"The broker refuses that with code {self.code}: {self.text}"
