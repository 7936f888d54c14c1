"""A function that was made under one Python runs under every other."""

from __future__ import annotations

import json
import os
import pickletools
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import gc_warm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).parents[2]
VERSIONS = ["3.10", "3.11", "3.12", "3.13"]
STRATEGIES = [
    *("DillCode", "DillCodeSource", "DillCodeTextInspect", "PureSourceTextInspect"),
    *("PureSourceDill", "CombinedCode", "AllCodeStrategies"),
]

MODULE = """
from __future__ import annotations
import functools
from dataclasses import dataclass
from enum import Enum
from gc_warm import self_contained, warm
import travelling_helper

calls = 0

class Kind(Enum):
    A = 1

@dataclass
class Answer:
    calls: int
    kind: Kind
    name: str

@warm
def model(name: str) -> str:
    return f"{name!r} {'quoted'} {{}}"

@self_contained
def work() -> Answer:
    global calls
    calls += 1
    return Answer(calls, Kind.A, model("x")).calls

@self_contained
def add(n):
    def inner():
        return n + work.function()
    return self_contained(inner)

made = add.function(1000)
partial = self_contained(functools.partial(travelling_helper.double, 21))
"""

MAKE = """
import json, sys
from globus_compute_sdk import serialize
import travelling
payloads = []
for name in json.loads(sys.argv[1]):
    serializer = serialize.ComputeSerializer(strategy_code=getattr(serialize, name))
    functions = travelling.work, travelling.made, travelling.partial
    payloads += [serializer.serialize(function) for function in functions]
print(json.dumps(payloads))
"""

RUN = """
import json, sys, tempfile, uuid
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_endpoint.engines.helper import execute_task
from globus_compute_sdk.serialize import ComputeSerializer
serializer = ComputeSerializer()
answers = []
for payload in json.load(sys.stdin):
    buffers = [payload, serializer.serialize(()), serializer.serialize({})]
    task = Task(task_id=uuid.uuid4(), task_buffer=serializer.pack_buffers(buffers))
    with tempfile.TemporaryDirectory() as folder:
        packed = execute_task(messagepack.pack(task), uuid.uuid4(), run_dir=folder)
    result = messagepack.unpack(packed)
    answers.append(result.data if result.is_error else serializer.deserialize(result.data))
print(json.dumps(answers))
"""


def find_python(version):
    """Find a Python by its version: pyenv's newest, or one on the path."""
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True)
    return str(found[0]) if found else shutil.which(f"python{version}")


@pytest.fixture(scope="session")
def pythons(tmp_path_factory):
    """Make for each Python of this machine a virtual environment like an endpoint's."""
    folder = tmp_path_factory.mktemp("pythons")

    def make(version):
        base = find_python(version)
        if base is None:
            return None
        python = folder / version / "bin" / "python"
        subprocess.run([base, "-m", "venv", folder / version], check=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
        wanted = ["-c", REPOSITORY / "constraints.txt", "globus-compute-endpoint"]
        subprocess.run([*pip, *wanted], check=True)
        return python

    with ThreadPoolExecutor(2) as pool:
        made = dict(zip(VERSIONS, pool.map(make, VERSIONS), strict=True))
    return {version: python for version, python in made.items() if python is not None}


def run(python, program, *arguments, given="", folder, path=""):
    environment = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    ended = subprocess.run(
        [python, "-c", program, *arguments],
        input=given,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment, "PYTHONPATH": path},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def payloads(pythons, tmp_path_factory):
    """Make the functions' payloads under each Python."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "travelling.py").write_text(MODULE)
    (folder / "travelling_helper.py").write_text("def double(x): return 2 * x\n")
    (folder / "ours").mkdir()
    (folder / "ours" / "gc_warm").symlink_to(Path(gc_warm.__file__).parent)
    path = f"{folder}:{folder / 'ours'}"
    return {
        version: run(python, MAKE, json.dumps(STRATEGIES), folder=folder, path=path)
        for version, python in pythons.items()
    }


@pytest.mark.parametrize("there", VERSIONS)
@pytest.mark.parametrize("here", VERSIONS)
def test_made_here_and_run_there(pythons, payloads, here, there, tmp_path):
    if not {here, there} <= set(pythons):
        pytest.skip(f"Python {here} or {there} is not on this machine")
    made = payloads[here]
    answers = run(pythons[there], RUN, given=json.dumps(made), folder=tmp_path)
    calls = iter(range(1, 100))
    expected = []
    for _ in STRATEGIES:
        expected += [next(calls), 1000 + next(calls), 42]
    assert expected == answers


def test_the_machine_has_this_python(pythons):
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in pythons


def test_no_payload_holds_code_objects(payloads):
    for made in payloads.values():
        pickled = [text[3:] for text in made if text.startswith("01\n")]
        assert pickled
        for text in pickled:
            opcodes = list(pickletools.genops(_decode(text)))
            words = {value for _, value, _ in opcodes if isinstance(value, str)}
            assert not {"CodeType", "_create_code", "dill._dill"} & words


def _decode(text):
    import base64

    return base64.decodebytes(text.encode())
