"""What stays warm, written in each way, from each place, by each strategy: one build per worker."""

from __future__ import annotations

import collections
import json
import textwrap

import nbclient
import nbformat
import pytest

pytestmark = pytest.mark.slow

STRATEGIES = (
    *("DillCode", "PureSourceTextInspect", "PureSourceDill", "AllCodeStrategies"),
    *("CombinedCode", "DillCodeSource", "DillCodeTextInspect"),
)
FORMS = """
import functools
import os
from dataclasses import dataclass
from gc_warm import self_contained, warm

builds = 0
model = None

@dataclass(frozen=True)
class Config:
    name: str
    size: int = 3

def build(name):
    global builds
    builds += 1
    return {"name": name, "build": builds}

@self_contained
def by_global(config):
    global model
    if model is None:
        model = build("global")
    return os.getpid(), model["build"]

@functools.lru_cache(maxsize=1)
def cached(config):
    return build(config.name)

@self_contained
def by_lru_cache(config):
    return os.getpid(), cached(config)["build"]

@warm
def state(config):
    return build(config.name)

@self_contained
def by_warm(config):
    return os.getpid(), state(config)["build"]

@warm
def torn_down(config):
    made = build(config.name)
    yield made
    made.clear()

@self_contained
def by_generator(config):
    return os.getpid(), torn_down(config)["build"]
"""
RUN = """
import json
from globus_compute_sdk import serialize
from gc_warm import LocalExecutor

answers = {{}}
for strategy in {strategies}:
    serializer = serialize.ComputeSerializer(strategy_code=getattr(serialize, strategy))
    with LocalExecutor(workers=2, worker_python={python!r}) as executor:
        executor.serializer = serializer
        for function in {functions}:
            futures = [executor.submit(function, Config("a")) for _ in range(8)]
            answers[f"{{strategy}} {{function.__name__}}"] = [f.result() for f in futures]
print("ANSWERS" + json.dumps(answers))
"""
NAMES = ("by_global", "by_lru_cache", "by_warm", "by_generator")


def check(output):
    answers = json.loads(output.partition("ANSWERS")[2])
    assert {f"{strategy} {name}" for strategy in STRATEGIES for name in NAMES} == set(answers)
    for case, each in answers.items():
        seen = collections.defaultdict(set)
        for pid, build in each:
            seen[pid].add(build)
        assert all(len(builds) == 1 for builds in seen.values()), (case, each)


def run_text(python, prefix=""):
    functions = f"[{', '.join(prefix + name for name in NAMES)}]"
    return RUN.format(strategies=STRATEGIES, python=str(python), functions=functions)


def test_in_a_module(run_script, endpoint_python, tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "forms.py").write_text(FORMS)
    check(run_script("from forms import *\nimport forms\n" + run_text(endpoint_python, "forms.")))


def test_in_a_script(run_script, endpoint_python):
    main = textwrap.indent(run_text(endpoint_python), "    ")
    check(run_script(f'{FORMS}\nif __name__ == "__main__":\n{main}'))


@pytest.mark.parametrize("kernel", ["python3"])
def test_in_a_notebook(endpoint_python, tmp_path, kernel):
    cells = [FORMS, run_text(endpoint_python)]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in cells],
        metadata={"kernelspec": {"name": kernel, "display_name": "", "language": "python"}},
    )
    resources = {"metadata": {"path": tmp_path}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    check("".join(each.get("text", "") for each in notebook.cells[1].outputs))
