from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["counter", "filetype", "onnx", "probe", "program"])
def test_a_client_needs_no_library_of_the_workers(name):
    program = (
        "import sys\n"
        "missing = ('magika', 'numpy', 'onnx', 'onnxruntime')\n"
        "sys.modules.update(dict.fromkeys(missing))\n"  # importing them fails
        f"import gc_warm.functions.{name}\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True)
