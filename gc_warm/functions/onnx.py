"""Run any ONNX model, with a session that stays warm.

The worker needs ``onnxruntime``, or ``onnxruntime-gpu`` to use its GPU, and ``numpy``.

    predict("/models/price.onnx", {"features": [[3.0, 120.0]]})   # {"price": array([[...]])}

The first call for a model loads and optimises it. Later calls in the same worker only run it,
until the file changes.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gc_warm import RequirementError, self_contained, warm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession, NodeArg

# ONNX Runtime's names of the element types that numpy has.
_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(string)": "object",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
}


@warm(maxsize=4)
def session(
    path: str,
    size: int,
    mtime_ns: int,
    providers: tuple[str, ...] | None,
    threads: int | None,
) -> InferenceSession:
    """Load a model.

    Args:
        path: Absolute path of the model's file.
        size: Its size in bytes.
        mtime_ns: When it was last modified. Size and time are not used here: they make a changed
            file a different key, and so a new session.
        providers: As for `predict`.
        threads: As for `predict`.

    Returns:
        The session, which any number of threads may use at once.
    """
    del size, mtime_ns
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # a worker reports to nobody
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _share_of_cores()
    chosen = _choose_providers(providers, onnxruntime.get_available_providers())
    if "CUDAExecutionProvider" in chosen and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # since 1.21: finds CUDA's libraries where pip has put them
    made: InferenceSession = onnxruntime.InferenceSession(path, options, providers=chosen)
    _require_providers(providers or (), made.get_providers())
    return made


def _onnxruntime() -> Any:
    """Import ONNX Runtime, which any of several packages may contain.

    `requires=` names one package, and would refuse a worker that has one of the others.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise RequirementError(
            "This worker lacks what the function requires: onnxruntime, or onnxruntime-gpu to use "
            "its GPU.\nOn your own endpoint, install one of them in its worker_init:\n"
            "    pip install onnxruntime"
        ) from error
    return onnxruntime


@self_contained(requires=["numpy"])
def predict(
    model_path: str | os.PathLike[str],
    inputs: Mapping[str, Any],
    *,
    outputs: str | Sequence[str] | None = None,
    providers: str | Sequence[str] | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Run a model on named inputs.

    A worker keeps the sessions of the four models it used last. Only the model's own file is
    watched for changes, not the files of external data that it may name.

    Args:
        model_path: Path of the model's file, as the worker sees it.
        inputs: The value of each input, by name: an array of exactly the model's type, or a
            (nested) list of numbers that the type can hold, or of strings.
        outputs: Name or names of the outputs to return; by default all. Choose if they are large:
            Globus Compute limits a result to 10 MB.
        providers: ONNX Runtime's execution provider, or several, best first. By default CUDA if the
            worker's ONNX Runtime has it, then the CPU.
        threads: Threads for one operator on the CPU. By default ``OMP_NUM_THREADS``, or else the
            cores of the machine divided by the workers on it.

    Returns:
        The outputs by name: arrays, or lists and dictionaries if the model makes sequences or maps.

    Raises:
        FileNotFoundError: The worker has no such file.
        TypeError: ``inputs`` is not a mapping.
        ValueError: An input, output or provider is unknown, or an input is missing or of the wrong
            type or shape. The message says what the model expects.
    """
    if not isinstance(inputs, Mapping):
        raise TypeError(f"inputs must be a dict of named arrays, not {type(inputs).__name__}.")
    path = os.path.abspath(model_path)  # noqa: PTH100  (links stay: external data lies beside them)
    found = _require_file(path)
    chosen = None if providers is None else _listed(providers)
    model = session(path, found.st_size, found.st_mtime_ns, chosen, threads)
    feed = _prepare_inputs(model, inputs)
    names = _choose_outputs(model, None if outputs is None else _listed(outputs))
    return dict(zip(names, model.run(names, feed), strict=True))


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _require_file(path: str) -> os.stat_result:
    try:
        return os.stat(path)  # noqa: PTH116  (like the path above)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"There is no ONNX model {path!r} on {platform.node()}, where this task runs."
        ) from None


def _share_of_cores() -> int:
    """Return how many cores this worker may keep busy."""
    if wanted := os.environ.get("OMP_NUM_THREADS"):  # set by schedulers, and by Parsl's affinity
        return int(wanted.split(",")[0])
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("PARSL_WORKER_COUNT", "1")))


def _choose_providers(asked: Sequence[str] | None, available: Sequence[str]) -> list[str]:
    """Return the providers to use, best first."""
    if asked is None:
        usual = ("CUDAExecutionProvider", "CPUExecutionProvider")
        return [name for name in usual if name in available]
    if unknown := [name for name in asked if name not in available]:
        raise ValueError(f"This worker has no {_names(unknown)}, but {_names(available)}.")
    return list(asked)


def _require_providers(asked: Sequence[str], used: Sequence[str]) -> None:
    """Refuse what ONNX Runtime only logs: it uses the CPU if a provider cannot be loaded."""
    if unusable := [name for name in asked if name not in used]:
        raise RequirementError(
            f"ONNX Runtime cannot use {_names(unusable)} on {platform.node()}, where this task "
            "runs: no GPU is visible, or libraries are missing. For NVIDIA's, install them in the "
            "endpoint's worker_init:\n    pip install 'onnxruntime-gpu[cuda,cudnn]'"
        )


def _prepare_inputs(model: InferenceSession, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Check the inputs against what the model expects."""
    required = {node.name: node for node in model.get_inputs()}
    known = required | {node.name: node for node in model.get_overridable_initializers()}
    missing = [name for name in required if name not in inputs]
    unknown = [name for name in inputs if name not in known]
    if missing or unknown:
        expected = "; ".join(map(_describe, required.values()))
        raise ValueError(
            f"The model's inputs are {expected}."
            + (f" Missing: {_names(missing)}." if missing else "")
            + (f" Unknown: {_names(unknown)}." if unknown else "")
        )
    return {name: _prepare(known[name], value) for name, value in inputs.items()}


def _prepare(node: NodeArg, value: Any) -> Any:
    """Return a value as the array that an input expects; refuse any that means something else."""
    import numpy as np

    if node.type not in _DTYPES:
        return value  # a sequence, a map or a type that numpy lacks: left to ONNX Runtime
    dtype = np.dtype(_DTYPES[node.type])
    array = value if isinstance(value, np.ndarray) else _to_array(node, value, dtype)
    is_text = dtype.kind == "O" and array.dtype.kind == "U"
    if not (array.dtype == dtype or is_text) or not _fits(array.shape, node.shape):
        given = f"{array.dtype} {list(array.shape)}"
        raise ValueError(f"The model expects {_describe(node)}, but was given {given}.")
    return array


def _to_array(node: NodeArg, value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Turn a list into an array, unless that would round whole numbers or parse text."""
    import numpy as np

    if dtype.kind == "O":
        return np.asarray(value, dtype=object)
    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of unequal lengths
        raise ValueError(f"The model expects {_describe(node)}: {error}") from None
    if array.dtype.kind in "biuf":
        with np.errstate(invalid="ignore", over="ignore"):
            cast = array.astype(dtype)
        if dtype.kind == "f" or np.array_equal(array, cast):
            return cast
    raise ValueError(f"The model expects {_describe(node)}, which cannot hold the values given.")


def _fits(shape: tuple[int, ...], expected: Sequence[int | str | None]) -> bool:
    """Compare a shape with a model's, whose named and unknown dimensions may be of any size."""
    if not expected:  # a single number, or a model that leaves the shape open
        return True
    return len(shape) == len(expected) and all(
        size == wanted
        for size, wanted in zip(shape, expected, strict=True)
        if isinstance(wanted, int)
    )


def _choose_outputs(model: InferenceSession, asked: Sequence[str] | None) -> list[str]:
    names = [node.name for node in model.get_outputs()]
    if asked is None:
        return names
    if unknown := [name for name in asked if name not in names]:
        raise ValueError(f"The model has no output {_names(unknown)}, but {_names(names)}.")
    return list(asked)


def _describe(node: NodeArg) -> str:
    """Name an input with its type and shape, such as ``'x': float32 [batch, 4]``."""
    described = f"{node.name!r}: {_DTYPES.get(node.type, node.type)}"
    sizes = ", ".join("?" if size is None else str(size) for size in node.shape)
    return f"{described} [{sizes}]" if sizes else described


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
