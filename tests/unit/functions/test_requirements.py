"""A worker that lacks a package says which, and how to install it, before anything else."""

import subprocess

import dill
import pytest

from gc_warm.functions import filetype, onnx

# A worker whose packages are hidden: what a bare endpoint says.
PROGRAM = """
import importlib.metadata, sys
hidden = {"magika", "numpy", "onnxruntime", "onnxruntime-gpu"} - set(sys.argv[1:])
version = importlib.metadata.version
def look(name):
    if name in hidden:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name) if name != "numpy" else "2.0"
importlib.metadata.version = look
sys.modules.update(dict.fromkeys(hidden))
import dill
try:
    function, args = dill.loads(sys.stdin.buffer.read())
    function(*args)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("function", "args", "there", "said"),
    [
        (filetype.identify, [[]], [], "magika>=1.0.1 (missing)"),
        (onnx.predict, ["/dev/null", {}], [], "numpy (missing)"),
        (onnx.predict, ["/dev/null", {}], ["numpy"], "onnxruntime, or onnxruntime-gpu"),
    ],
)
def test_a_missing_package_is_named(endpoint_python, function, args, there, said):
    done = subprocess.run(
        [endpoint_python, "-c", PROGRAM, *there],
        input=dill.dumps((function, args)),
        capture_output=True,
        cwd="/",
        timeout=60,
        check=True,
    )
    answer = done.stdout.decode()
    assert answer.startswith("RequirementError This worker lacks what the function requires: ")
    assert said in answer
    assert "pip install" in answer
