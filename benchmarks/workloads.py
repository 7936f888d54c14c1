"""What `cases` measures: real kinds of state, each used warm and built for every call."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from gc_warm import WarmProcess, node_folder, self_contained, warm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@warm
def magika() -> Any:
    """Load Magika, on one thread."""
    os.environ["ORT_INTRA_OP_NUM_THREADS"] = "1"
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    from magika import Magika

    return Magika()


@self_contained
def identify(path: str) -> str:
    """Return the type of a file."""
    return str(magika().identify_path(path).output.label)


@self_contained
def identify_cold(path: str) -> str:
    """Return the type of a file, as a function does that loads its model itself."""
    return str(magika.__wrapped__().identify_path(path).output.label)


@warm
def chgnet() -> Any:
    """Load CHGNet, a universal interatomic potential, on one thread of the CPU."""
    import torch
    from chgnet.model import CHGNet

    torch.set_num_threads(1)
    return CHGNet.load(use_device="cpu", verbose=False)


def _energy(model: Any, length: float) -> float:
    from pymatgen.core import Structure

    half = length / 2
    cell = [[0, half, half], [half, 0, half], [half, half, 0]]
    salt = Structure(cell, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    return float(model.predict_structure(salt, task="e")["e"])


@self_contained
def energy(length: float) -> float:
    """Return the energy of rock salt with a lattice constant in ångström, in eV per atom."""
    return _energy(chgnet(), length)


@self_contained
def energy_cold(length: float) -> float:
    """Return the same, as a function does that loads its model itself."""
    return _energy(chgnet.__wrapped__(), length)


def _transformer() -> Any:
    from torch import nn

    layer = nn.TransformerEncoderLayer(2048, nhead=16, dim_feedforward=8192, batch_first=True)
    return nn.TransformerEncoder(layer, num_layers=8)


@node_folder
def weights(folder: Path) -> None:
    """Write 1.5 GB of weights, once: for any two workers the same."""
    import torch

    torch.manual_seed(0)
    torch.save(_transformer().state_dict(), folder / "weights.pt")


@warm
def transformer() -> Any:
    """Load a transformer onto the GPU."""
    import torch

    path = weights() / "weights.pt"
    with torch.device("meta"):
        model = _transformer()
    model.load_state_dict(torch.load(path, map_location="cuda", mmap=True), assign=True)
    return model.eval()


def _encode(model: Any, number: int) -> float:
    import torch

    with torch.no_grad():
        return float(model(torch.full((1, 128, 2048), number / 500, device="cuda")).sum())


@self_contained
def encode(number: int) -> float:
    """Return the sum of what a transformer makes of 128 equal vectors."""
    return _encode(transformer(), number)


@self_contained
def encode_cold(number: int) -> float:
    """Return the same, as a function does that loads its model itself."""
    return _encode(transformer.__wrapped__(), number)


@warm
def octave() -> Iterator[WarmProcess]:
    """Start Octave."""
    with WarmProcess(["octave-cli"], framing="octave", timeout=120) as program:
        yield program


@self_contained
def condition(size: int) -> str:
    """Return the condition number of a Hilbert matrix."""
    answer: str = octave().call(f"cond(hilb({size}))")
    return answer.strip()


@self_contained
def condition_cold(size: int) -> str:
    """Return the same, as a function does that starts its program itself."""
    with contextlib.contextmanager(octave.__wrapped__)() as program:
        answer: str = program.call(f"cond(hilb({size}))")
        return answer.strip()
