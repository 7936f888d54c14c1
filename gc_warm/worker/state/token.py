"""Who is at work: known by a frame, because nothing else ends for certain when a call does.

CPython (all versions) delivers an injected exception between any two bytecodes, also inside a
``finally``; so no clean-up code can be relied on to say that a build or a teardown was cut off.
"""

from __future__ import annotations

import sys
import threading


class Token:
    """Lives as long as the frame of whoever builds or tears down, which makes it.

    Attributes:
        thread: Where that is; 0 until it begins.
    """

    __slots__ = ("__weakref__", "_frame", "thread")

    def __init__(self) -> None:
        self.take()

    def take(self) -> None:
        """Make it stand for the caller's caller from now on."""
        self.thread = threading.get_ident()
        # Its identity will do: as long as the token lives, nothing else can have it.
        self._frame = id(sys._getframe(2))  # noqa: SLF001

    def at_work(self) -> bool:
        """Return whether the frame that holds it is still running, or has yet to begin."""
        if not self.thread:
            return True
        frame = sys._current_frames().get(self.thread)  # noqa: SLF001
        while frame is not None:
            if id(frame) == self._frame:
                return True
            frame = frame.f_back
        return False
