"""A kernel in C that is compiled where it runs, for the processor that is there."""

import ctypes
import subprocess
import tempfile
from pathlib import Path

from gc_warm import self_contained, warm

SOURCE = """
double energy(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) sum += 1 / ((x[i] - x[j]) * (x[i] - x[j]));
    return sum;
}
"""


@warm
def kernel(flags: str) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "kernel.c"), Path(folder, "kernel.so")
        source.write_text(SOURCE)
        command = ["cc", *flags.split(), "-shared", "-fPIC", "-o", library, source]
        subprocess.run(command, check=True)
        loaded = ctypes.CDLL(str(library))  # stays loaded when its file is gone
    loaded.energy.restype = ctypes.c_double
    return loaded


@self_contained
def energy(positions: list[float], flags: str = "-O3 -march=native") -> float:
    array = (ctypes.c_double * len(positions))(*positions)
    return float(kernel(flags).energy(array, len(positions)))
