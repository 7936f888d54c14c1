"""What several commands are given: a function by name, and values as JSON."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gc_warm.errors import UsageError
from gc_warm.worker.task import SelfContained

if TYPE_CHECKING:
    from collections.abc import Callable


def find_callable(path: str) -> Callable[..., Any]:
    """Import what ``MODULE:NAME`` means, as ``python -m`` would find it.

    Raises:
        UsageError: It cannot be imported, or not be called.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise UsageError(f"{path!r} is no MODULE:FUNCTION, such as mylab.models:classify.")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise UsageError(f"Cannot find {name!r}: {error}.") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"Cannot import {module_name!r}: {reason}.") from error
    if not callable(found):
        raise UsageError(f"{path} is no function, but {found!r}.")
    return cast("Callable[..., Any]", found)


def find_self_contained(path: str) -> SelfContained[..., Any]:
    """Import the self-contained function that ``MODULE:NAME`` means.

    Raises:
        UsageError: It cannot be imported, or is not self-contained.
    """
    found = find_callable(path)
    if not isinstance(found, SelfContained):
        raise UsageError(f"{path} is not self-contained: put @self_contained above it.")
    return found


def parse_json(option: str, text: str, kind: type[object]) -> Any:
    """Parse what is given to an option.

    Raises:
        UsageError: It is no JSON, or not of the kind.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} is not JSON: {error}.") from error
    if not isinstance(value, kind):
        expected = "a list" if kind is list else "an object"
        raise UsageError(f"{option} must be {expected} in JSON, not {text}.")
    return value
