import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from gc_warm import node_folder, warm

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "<u1"}


@node_folder
def weights(name: str, folder: Path) -> None:
    tensors = {"layer.weight": np.ones((3, 2), np.float32), "layer.bias": np.arange(3)}
    save_file(tensors, folder / "model.safetensors")  # or copy the file


def mapped(path: Path) -> dict[str, np.ndarray]:
    """Map the tensors of a file: a header's length, the header, the data."""
    data = np.memmap(path, mode="r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    found = {}
    for name, about in json.loads(data[8:start].tobytes()).items():
        if name != "__metadata__":
            first, last = (start + offset for offset in about["data_offsets"])
            found[name] = data[first:last].view(DTYPES[about["dtype"]]).reshape(about["shape"])
    return found


@warm
def model(name: str) -> dict[str, np.ndarray]:
    return mapped(weights(name) / "model.safetensors")


print(model("small")["layer.weight"].sum(), model("small")["layer.bias"].tolist())
print(type(model("small")["layer.bias"]).__name__)
