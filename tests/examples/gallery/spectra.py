"""A large array that all workers of a node share: written once, mapped by each of them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gc_warm import node_folder, self_contained, warm


@node_folder
def library(size: int, folder: Path) -> None:
    """Fill the folder: only one process of the node does, and the others wait for it."""
    lines = np.random.default_rng(1).normal(size=(size, 100))
    np.save(folder / "spectra.npy", lines / np.linalg.norm(lines, axis=1, keepdims=True))


@warm
def spectra(size: int) -> NDArray[np.float64]:
    mapped: NDArray[np.float64] = np.load(library(size) / "spectra.npy", mmap_mode="r")
    return mapped


@self_contained(requires=["numpy"])
def closest(number: int, size: int) -> int:
    """Return the number of the spectrum that is most like this one."""
    likeness = spectra(size) @ spectra(size)[number]
    likeness[number] = -1
    return int(likeness.argmax())
