"""Errors arrive whole: every one of them survives pickling."""

import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator

import pytest

import gc_warm
from gc_warm import GcWarmError, errors

# What a constructor's argument may be, by its annotation.
SENSIBLE = {
    "str": "some text",
    "str | None": "some text",
    "int": 7,
    "float": 0.5,
    "bool": True,
    "list[str]": ["one", "two"],
    "tuple[str, ...]": ("one", "two"),
    "Sequence[str]": ("one", "two"),
}


def import_all() -> None:
    for module in pkgutil.walk_packages(gc_warm.__path__, "gc_warm."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def family(root: type[GcWarmError]) -> Iterator[type[GcWarmError]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


import_all()
CLASSES = sorted({*family(GcWarmError)}, key=lambda error: error.__name__)


def make(error: type[GcWarmError]) -> GcWarmError:
    if not any("__init__" in vars(each) for each in error.__mro__ if issubclass(each, GcWarmError)):
        return error("Something went wrong.")
    parameters = list(inspect.signature(error).parameters.values())
    return error(*[SENSIBLE[inspect.formatannotation(each.annotation)] for each in parameters])


@pytest.mark.parametrize("error", CLASSES)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_survives_pickling(error, protocol):
    sent = make(error)
    sent.__notes__ = ["what add_note() adds"]
    arrived = pickle.loads(pickle.dumps(sent, protocol))
    assert type(sent) is type(arrived)
    assert str(sent) == str(arrived)
    assert sent.args == arrived.args
    assert vars(sent) == vars(arrived)


@pytest.mark.parametrize("error", CLASSES)
def test_says_something(error):
    assert str(make(error)).strip()


@pytest.mark.parametrize("error", CLASSES)
def test_keeps_each_argument_as_an_attribute(error):
    if "__init__" in vars(error):
        assert set(inspect.signature(error).parameters) <= set(vars(make(error)))


@pytest.mark.parametrize("error", CLASSES)
def test_lives_in_the_module_of_errors(error):
    assert error is getattr(errors, error.__name__)


@pytest.mark.parametrize("error", [*family(errors.UsageError)])
def test_wrong_usage_is_a_value_error(error):
    assert issubclass(error, ValueError)
