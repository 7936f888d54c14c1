"""Work that needs a seat of a licence server: one per worker, returned when the worker ends."""

import socket
from types import TracebackType

from gc_warm import self_contained, warm


class NoSeatError(Exception):
    """All seats are taken."""


@warm(retry_after=30)
class Seat:
    """A seat. If the server has none, calls fail at once for 30 seconds without asking again."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = socket.create_connection((host, port), timeout=10)
        self.number = self._connection.recv(16).decode()
        if self.number == "none":
            self._connection.close()
            raise NoSeatError(f"{host}:{port} has no seat left.")

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()  # the server counts the seat as free


@self_contained
def solve(size: int, host: str, port: int) -> str:
    return f"{size} equations with seat {Seat(host, port).number}"


@self_contained
def give_back() -> None:
    Seat.clear()
