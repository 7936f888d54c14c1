"""Each disguise: what a library does to a self-contained function with it, and without it.

A test that fails here says that a disguise is no longer necessary.
"""

from __future__ import annotations

import inspect
import linecache
import pickle
import sys
import types

import cloudpickle
import dill.source
import pytest

from gc_warm import self_contained
from gc_warm.functions.counter import increase_count
from gc_warm.shipping.disguise.launcher import launcher_of


def test_dill_reads_the_text_that_travels():
    assert increase_count.source() == dill.source.getsource(increase_count)


def test_dill_would_read_the_text_of_the_module_that_it_finds():
    function = self_contained(increase_count.function)
    function.__module__ = str(function.__module__)
    assert function.source() != dill.source.getsource(function)


def test_inspect_reads_the_text_that_travels():
    assert isinstance(increase_count, types.FunctionType)
    assert increase_count.source() == inspect.getsource(increase_count)


def test_inspect_would_not_read_the_source_of_what_is_no_function(monkeypatch):
    monkeypatch.delitem(sys.modules, "gc_warm.shipping.disguise.function_class")
    with pytest.raises(TypeError, match="was expected"):
        inspect.getsource(increase_count)


def test_cloudpickle_sends_what_travels():
    function = self_contained(lambda: 1)
    assert pickle.dumps(function, 4) == cloudpickle.dumps(function, 4)


def test_cloudpickle_would_take_apart_the_function_that_it_sees(monkeypatch):
    function = self_contained(lambda: 1)
    deceived = types.SimpleNamespace(class_of=lambda _: types.FunctionType)
    monkeypatch.setitem(sys.modules, "gc_warm.shipping.disguise.function_class", deceived)
    made = pickle.loads(cloudpickle.dumps(function))
    assert types.FunctionType is type(made)
    assert made() is None


def test_inspect_would_look_for_the_file_of_the_launcher():
    launcher = launcher_of(increase_count)
    del linecache.cache[launcher.__code__.co_filename]
    with pytest.raises(OSError, match="could not get source"):
        inspect.getsource(launcher)
