"""Functions for many calls, as a user's module has them."""

import logging
import os
import signal
import sys
import time
import warnings
from pathlib import Path

from gc_warm import self_contained, warm


class UnluckyError(Exception):
    def __init__(self, number, why):
        super().__init__(f"{number}: {why}")
        self.number = number


@warm
def model(name):
    if name == "broken":
        raise OSError("no such model")
    return {"name": name}


@self_contained
def use(name, number):
    return model(name)["name"], number


@self_contained
def double(number):
    return 2 * number


@self_contained
def first(values):
    return next(iter(values))


def unmarked(number):
    return 3 * number


def times(factor):
    return lambda number: factor * number


@self_contained
def picky(number):
    if number % 10 == 3:
        raise ValueError(f"{number} ends with 3")
    return number


@self_contained
def leaves(number):
    if number == 3:
        sys.exit(number)
    if number == 4:
        raise GeneratorExit("of a user")
    if number == 5:
        raise KeyboardInterrupt("of a user")
    return number


class SpeechlessError(Exception):
    def __str__(self):
        raise ValueError("no words")


@self_contained
def speechless(number):
    raise SpeechlessError(number)


@self_contained
def unlucky(number):
    raise UnluckyError(number, "on purpose")


@self_contained
def takes(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:  # what is injected into a thread must find it awake
        time.sleep(0.01)
    return seconds


@self_contained
def speak(length):
    print("printed")  # noqa: T201
    logging.getLogger("some.logger").warning("logged")
    warnings.warn("warned", stacklevel=1)
    sys.stdout.write("é" * length)
    raise ValueError("after all that")


@self_contained
def quiet():
    return "nothing said"


@self_contained
def cannot_be_sent(number):
    return (each for each in ()) if number == 2 else number


@self_contained
def megabytes(count):
    return bytes(int(count * 1e6))


@self_contained
def deadly(number, marks, kills):
    """Kill the worker for some items, each as often as there are kills for it."""
    done = len([*Path(marks).iterdir()])
    if number in kills and done < kills[number]:
        Path(marks, str(done)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@self_contained
def pid():
    return os.getpid()


class CallableError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@self_contained
def raises(kind):
    if kind == "chained":
        raise ValueError("outer") from KeyError("inner")
    if kind == "deep":
        return _deep(500)
    raise CallableError


def _deep(number):
    return _deep(number - 1) if number else 1 / 0


@self_contained
def exits():
    os._exit(3)


@self_contained
def calls(function):
    return function(20)
