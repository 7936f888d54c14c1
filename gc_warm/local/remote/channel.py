"""What a client and its processes say to each other: frames over a socket."""

from __future__ import annotations

import json
import struct
import threading
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

GRACE_SECONDS = 1.0
"""Time between SIGTERM and SIGKILL, as HTEX gives its workers."""

FAILURE = b"!"
"""First byte of an answer that is an error's text; a packed result never starts so."""

_SIZE = struct.Struct("!Q")
_REQUEST_HEAD = struct.Struct("!16s16sI")
_SMALL_FRAME = 1 << 16


class Channel:
    """Frames over a socket: each its size, then its bytes. Any thread may send; one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._received = bytearray()

    def fileno(self) -> int:
        """Return the socket's descriptor; -1 if it was closed."""
        return self._connection.fileno()

    def send(self, *parts: bytes) -> bool:
        """Send one frame; return whether all of it was sent."""
        size = sum(map(len, parts))
        pieces = [_SIZE.pack(size), *parts]
        if size < _SMALL_FRAME:
            pieces = [b"".join(pieces)]  # one system call, and one wake-up of the reader
        try:
            with self._lock:
                for piece in pieces:
                    self._connection.sendall(piece)
        except OSError:
            return False
        return True

    def receive(self) -> bytes | None:
        """Return the next frame, or None when the other side has gone."""
        frame, self._received = self._received, bytearray()
        try:
            self._fill(frame, _SIZE.size)
            end = _SIZE.size + _SIZE.unpack_from(frame)[0]
            self._fill(frame, end)
        except (EOFError, OSError):
            return None
        if len(frame) > end:
            self._received = frame[end:]
        return bytes(memoryview(frame)[_SIZE.size : end])

    def _fill(self, frame: bytearray, size: int) -> None:
        """Receive until a frame has at least this size; a small one takes one system call."""
        while len(frame) < size:
            data = self._connection.recv(_SMALL_FRAME)
            if not data:
                raise EOFError
            frame += data

    def shut(self, how: int) -> None:
        """Shut down one side, or both, as `socket.shutdown` does, in any state."""
        try:
            self._connection.shutdown(how)
        except OSError:
            return

    def close(self) -> None:
        """Close this process's copy of the socket."""
        self._connection.close()


def join_request(
    task_id: uuid.UUID, endpoint_id: uuid.UUID, options: dict[str, Any], body: bytes
) -> bytes:
    """Join what `execute_task` is to be called with into one frame."""
    packed = json.dumps(options).encode() if options else b""
    return _REQUEST_HEAD.pack(task_id.bytes, endpoint_id.bytes, len(packed)) + packed + body


def split_request(frame: bytes) -> tuple[uuid.UUID, uuid.UUID, dict[str, Any], bytes]:
    """Undo `join_request`."""
    task_id, endpoint_id, size = _REQUEST_HEAD.unpack_from(frame)
    start = _REQUEST_HEAD.size + size
    options = json.loads(frame[_REQUEST_HEAD.size : start]) if size else {}
    return uuid.UUID(bytes=task_id), uuid.UUID(bytes=endpoint_id), options, frame[start:]
