"""What a task's traceback tells of the exception that it raised."""

import sys
import traceback

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.errors import raised, remote_type


class OursError(ValueError):
    """A user's own."""

    class InnerError(KeyError):
        """Its name has a dot."""


def plain():
    raise OursError


def with_a_message_like_a_traceback():
    message = "a: b\nTraceback (most recent call last):\n  File\nKeyError: c"
    raise OursError(message)


def caused():
    try:
        plain()
    except OursError as error:
        message = "two\nlines"
        raise RuntimeError(message) from error


def in_a_handler():
    try:
        plain()
    except OursError:
        raise OursError.InnerError  # noqa: B904 - it is what is tested


def noted():
    error = OursError("message")
    error.__notes__ = ["KeyError: no"]
    raise error


def syntax():
    compile("x = = 1", "file", "exec")


def group():
    raise ExceptionGroup("many", [OursError("a"), KeyError("b")])  # noqa: F821


def caused_group():
    try:
        plain()
    except OursError as error:
        raise ExceptionGroup("many", [error]) from error  # noqa: F821


def failure(function):
    try:
        function()
    except BaseException as error:
        return TaskExecutionFailed("".join(traceback.format_exception(error)))
    raise AssertionError


NAME = f"{__name__}.OursError"
AT_LEAST_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no groups")


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (plain, NAME),
        (with_a_message_like_a_traceback, NAME),
        (caused, "RuntimeError"),
        (in_a_handler, f"{NAME}.InnerError"),
        (noted, NAME),
        (syntax, "SyntaxError"),
        pytest.param(group, "ExceptionGroup", marks=AT_LEAST_3_11),
        pytest.param(caused_group, "ExceptionGroup", marks=AT_LEAST_3_11),
    ],
)
def test_name(function, name):
    assert remote_type(failure(function)) == name


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (OursError, True),
        (ValueError, True),
        (Exception, True),
        (KeyError, False),
        ((KeyError, OursError), True),
        ((), False),
    ],
)
def test_types(kinds, expected):
    assert raised(failure(plain), kinds) is expected


@pytest.mark.parametrize("text", ["", "MaxResultSizeExceeded(1, 2)", "KeyError: no traceback"])
def test_text_without_a_traceback(text):
    assert remote_type(TaskExecutionFailed(text)) is None
    assert not raised(TaskExecutionFailed(text), KeyError)


def test_errors_of_this_process():
    assert remote_type(OursError()) is None
    assert raised(OursError(), ValueError)
    assert not raised(OursError(), KeyError)
