import tempfile
from pathlib import Path

import numpy as np

from gc_warm import WarmProcess, serve_command

# --8<-- start
PROGRAM = """
import numpy

def double(path):
    array = numpy.load(path, mmap_mode="r+")
    array *= 2
    return float(array.sum())
"""


def double(program: WarmProcess, array: np.ndarray) -> np.ndarray:
    with program.shared(array.nbytes) as folder:
        path = folder / "array.npy"
        np.save(path, array)
        print("sum:", program.call(str(path)))
        return np.load(path)
    # --8<-- end


with tempfile.TemporaryDirectory() as place:
    (Path(place) / "doubler.py").write_text(PROGRAM)
    with WarmProcess(serve_command("doubler:double", path=place)) as program:
        print(double(program, np.arange(5.0)))
