"""The names of the SDK's classes, and what they take."""

import inspect
from concurrent.futures import Executor as StandardExecutor

import globus_compute_sdk
import pytest

from gc_warm.local.client import LocalClient
from gc_warm.local.executor import LocalExecutor

THEIRS = globus_compute_sdk.Executor
PUBLIC = sorted(
    name for name in dir(THEIRS) if not name.startswith("_") or name in {"__enter__", "__exit__"}
)


def parameters(function):
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(function).parameters.values()
    ]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name(name):
    theirs, ours = (inspect.getattr_static(each, name) for each in (THEIRS, LocalExecutor))
    assert isinstance(ours, property) == isinstance(theirs, property)
    if isinstance(theirs, property):
        assert (ours.fset is None) == (theirs.fset is None)
    else:
        assert parameters(theirs) == parameters(ours)


def test_constructor():
    theirs = [each for each in parameters(THEIRS) if each[0] != "kwargs"]
    ours = parameters(LocalExecutor)
    assert theirs == ours[: len(theirs)]
    assert {inspect.Parameter.KEYWORD_ONLY} == {kind for _, kind, _ in ours[len(theirs) :]}


def test_unknown_option():
    for executor in (THEIRS, LocalExecutor):
        with pytest.raises(TypeError, match="no_such_option"):
            executor(no_such_option=1)


def test_is_an_executor():
    assert issubclass(LocalExecutor, StandardExecutor)


def test_client_is_the_sdks():
    assert issubclass(LocalClient, globus_compute_sdk.Client)


def test_attributes_that_are_set(executor):
    for name in ("client", "label", "batch_size", "api_burst_limit", "api_burst_window_s"):
        assert hasattr(executor, name)


@pytest.mark.parametrize(
    ("option", "given", "kept"),
    [
        ("batch_size", 0, 1),
        ("api_burst_limit", 100, 8),
        ("api_burst_window_s", 0, 1),
        ("amqp_port", 443, 443),
        ("label", "mine", "mine"),
    ],
)
def test_option_is_kept_within_bounds(kept_workers, option, given, kept):
    with LocalExecutor(workers=kept_workers, **{option: given}) as executor:
        assert kept == getattr(executor, option)
