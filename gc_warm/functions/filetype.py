"""Identify what is in files, with a deep-learning model that stays warm.

The model is Magika, whose weights come with its PyPI package: the worker needs ``magika``. The
first call in a worker imports it and loads the model, which takes about half a second; after
that, a file takes some milliseconds.

    identify(["/data/one.bin", "/data/gone"])

    [{"path": "/data/one.bin", "label": "png", "group": "image", "mime_type": "image/png",
      "score": 0.99}, {"path": "/data/gone", "error": "No such file or directory"}]
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from gc_warm import self_contained, warm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from magika import Magika
    from magika.types import MagikaResult

# How many files the model gets at once. More take longer for each file, and more memory.
BATCH_SIZE = 8

_KINDS = {
    stat.S_IFDIR: "directory",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
}


@warm
def model() -> Magika:
    """Load the model, to run on one thread.

    It is the workers that run in parallel. If each of them used all cores, too, two workers on two
    cores would need three times as long for each file. To choose otherwise, set
    ``ORT_INTRA_OP_NUM_THREADS`` in the endpoint's ``worker_init``.

    Returns:
        The model, which any number of threads may use at once.
    """
    os.environ.setdefault("ORT_INTRA_OP_NUM_THREADS", "1")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # a worker reports to nobody
    from magika import Magika

    return Magika()


@self_contained(requires=["magika>=1.0.1"])
def identify(paths: Sequence[str | os.PathLike[str]]) -> list[dict[str, Any]]:
    """Identify the type of each file by its content.

    Only regular files are opened, and symbolic links are followed. No path spoils the others: one
    that cannot be identified has an ``error`` in place of a type.

    Args:
        paths: Paths of files, as the worker sees them.

    Returns:
        One dictionary for each path, in the same order. It holds the ``path`` and either

        - ``label`` (such as ``"python"``, or ``"empty"`` for a file without content), ``group``
          (``"code"``), ``mime_type`` (``"text/x-python"``) and ``score`` (how sure the model is,
          from 0 to 1), or
        - ``error``: why it could not be identified, in words.

    Raises:
        TypeError: ``paths`` is one path instead of a list of them.
    """
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(f"identify() takes a list of paths, not one path: identify([{paths!r}]).")
    answers = [_examine(path) for path in paths]
    files = [answer for answer in answers if "error" not in answer]
    if files:
        magika = model()
        for start in range(0, len(files), BATCH_SIZE):
            _identify_batch(magika, files[start : start + BATCH_SIZE])
    return answers


def _examine(path: object) -> dict[str, Any]:
    """Begin the answer for a path: with an error, if it is no regular file."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return {"path": repr(path), "error": f"Not a path, but of type {type(path).__name__}"}
    name = os.fsdecode(path)
    problem = _problem(name)
    return {"path": name, "error": problem} if problem else {"path": name}


def _problem(path: str) -> str | None:
    """Return why a path must not be opened; opening a named pipe would block for ever."""
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)  # noqa: PTH116  (a Path would rename "a//b")
    except FileNotFoundError as error:
        return "Broken symbolic link" if os.path.islink(path) else error.strerror  # noqa: PTH114
    except (OSError, ValueError) as error:  # ValueError: the path holds a null character
        return _reason(error)
    if kind != stat.S_IFREG:
        return f"Not a file, but a {_KINDS.get(kind, 'special file')}"
    return None if os.access(path, os.R_OK) else "Permission denied"


def _identify_batch(magika: Magika, batch: list[dict[str, Any]]) -> None:
    """Complete the answers of a batch; if it fails, one by one, so that one fails alone."""
    try:
        results = magika.identify_paths([answer["path"] for answer in batch])
    except Exception as error:  # noqa: BLE001  (it becomes the answer)
        if len(batch) == 1:
            batch[0]["error"] = _reason(error)
            return
        for answer in batch:
            _identify_batch(magika, [answer])
        return
    for answer, result in zip(batch, results, strict=True):
        answer.update(_describe(result))


def _describe(result: MagikaResult) -> dict[str, Any]:
    """Turn a result into plain data."""
    if not result.ok:
        return {"error": str(result.status).replace("_", " ").capitalize()}
    found = result.output
    return {
        "label": str(found.label),
        "group": found.group,
        "mime_type": found.mime_type,
        "score": float(result.score),
    }


def _reason(error: Exception) -> str:
    """Return an error in words, without the number and the path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
