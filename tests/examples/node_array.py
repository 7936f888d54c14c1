from pathlib import Path

import numpy as np

from gc_warm import node_folder, warm


@node_folder
def table(size: int, folder: Path) -> None:
    np.save(folder / "table.npy", np.arange(size, dtype=np.float64) ** 2)


@warm
def squares(size: int) -> np.ndarray:
    return np.load(table(size) / "table.npy", mmap_mode="r")


print(squares(1_000_000)[1000])
print(type(squares(1_000_000)).__name__, squares(1_000_000).nbytes)
