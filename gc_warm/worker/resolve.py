"""How a worker finds the function that a payload means."""

from __future__ import annotations

import functools
import importlib
import json
from typing import Any, cast

from gc_warm.worker.self_contained import SelfContained


def find(target: str, made: str | None) -> SelfContained[..., Any]:
    """Return the function that a payload means; its module is imported, if it was not.

    Args:
        target: ``module:qualified.name``, or any name if the function is made here; followed by
            ``!`` and the name of a form (see `gc_warm.worker.wrapped`) where that was sent.
        made: What makes it if it is no attribute of a module: see `gc_warm.worker.definitions`.
    """
    place, _, form = target.partition("!")
    found: Any
    if made is None:
        module, _, path = place.partition(":")
        found = functools.reduce(getattr, path.split("."), importlib.import_module(module))
    else:
        remake = importlib.import_module("gc_warm.worker.definitions.remake")
        found = remake.make(json.loads(made))
    if not isinstance(found, SelfContained):
        found = SelfContained(found)
    if form:
        found = importlib.import_module("gc_warm.worker." + form).Form(found)
    return cast("SelfContained[..., Any]", found)
