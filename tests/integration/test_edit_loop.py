"""Working on a function beside a real model: only edits of its initialiser build it again."""

from __future__ import annotations

import importlib
import itertools
import os
import sys

import pytest

from gc_warm import LocalExecutor

pytest.importorskip("magika")

MODULE = """
import os
from pathlib import Path

from magika import Magika

from gc_warm import self_contained, stats, warm

LOG = Path({log!r})


@warm
def identifier():
    with LOG.open("a") as log:
        print("built by {initialiser}", os.getpid(), file=log)
    yield Magika()
    with LOG.open("a") as log:
        print("torn down", os.getpid(), file=log)


@self_contained
def identify(text):
    found = identifier().identify_bytes(text).output.label
    info = stats()["states"]
    [mine] = [info[name] for name in info if info[name]["currsize"]]
    return {number}, found, mine["handed_over"], os.getpid()
"""


@pytest.mark.slow("those of tests/unit/shipping/test_handing_over.py are quick")
def test_ten_edits_of_a_function_and_one_of_its_models_initialiser(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    log = tmp_path / "log"
    numbers = itertools.count()

    def edit(initialiser):
        number = next(numbers)
        text = MODULE.format(log=str(log), initialiser=initialiser, number=number)
        (tmp_path / "edited_model.py").write_text(text)
        sys.modules.pop("edited_model", None)
        importlib.invalidate_caches()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return number, importlib.import_module("edited_model").identify

    with LocalExecutor(workers=1) as executor:
        for _ in range(11):
            number, identify = edit("the first")
            answer = executor.submit(identify, b"#!/bin/sh\nset -e\necho hello\n").result()
            assert (number, "shell", min(number, 1)) == answer[:3]
        worker = answer[3]
        assert [f"built by the first {worker}"] == log.read_text().splitlines()
        number, identify = edit("the second")
        assert (number, "shell", 0, worker) == executor.submit(
            identify, b"#!/bin/sh\nset -e\necho hello\n"
        ).result()
    assert worker != os.getpid()
    assert [
        f"built by the first {worker}",
        f"torn down {worker}",
        f"built by the second {worker}",
        f"torn down {worker}",
    ] == log.read_text().splitlines()
