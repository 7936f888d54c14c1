"""Workers that are right by construction, and some that are wrong: they try the harness itself."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any

from . import answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from .sessions import Answer


class Twin:
    """Call a function in a copy of this process, made when the function was sent."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[int, int, int]] = {}

    def load(self, key: int, payload: bytes, function: Callable[..., Any]) -> Answer:
        there, back = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                with os.fdopen(there[0], "rb") as stream:
                    arguments = pickle.load(stream)
                with os.fdopen(back[1], "wb") as stream:
                    pickle.dump(answers.answer(function, arguments), stream)
            finally:
                os._exit(0)
        os.close(there[0])
        os.close(back[1])
        self._copies[key] = pid, there[1], back[0]
        return "loaded", ""

    def call(self, key: int, arguments: bytes) -> Answer:
        pid, there, back = self._copies.pop(key)
        os.write(there, arguments)
        os.close(there)
        with os.fdopen(back, "rb") as stream:
            reply: Answer = pickle.load(stream)
        os.waitpid(pid, 0)
        return reply

    def run(self, payload: bytes, arguments: bytes, function: Callable[..., Any]) -> Answer:
        self.load(0, payload, function)
        return self.call(0, arguments)


class Late(Twin):
    """Call a function as it is when the next one is sent, or at the end: wrong."""

    def run(self, payload: bytes, arguments: bytes, function: Callable[..., Any]) -> Answer:
        answers.answer(function, pickle.loads(arguments))
        return answers.answer(function, pickle.loads(arguments))
