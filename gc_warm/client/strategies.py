"""The SDK's serialization strategies, and which of them an endpoint allows."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from globus_compute_sdk.serialize import ComputeSerializer

CODE_STRATEGIES = (
    *("DillCode", "PureSourceTextInspect", "PureSourceDill", "AllCodeStrategies"),
    *("CombinedCode", "DillCodeSource", "DillCodeTextInspect"),
)
DATA_STRATEGIES = ("DillDataBase64", "JSONData", "AllDataStrategies")
DEFAULT_CODE, DEFAULT_DATA = CODE_STRATEGIES[0], DATA_STRATEGIES[0]

_FILES = ("user_config_template.yaml.j2", "user_config_template.yaml", "config.yaml")
_ALL_CODE = "globus_compute_sdk.*Code"
# A list in YAML, one item a line or all in one; templates are no YAML as a whole.
_LIST = re.compile(
    r"""^[ ]*allowed_serializers:[ ]*(?:\#.*)?
    (?: \[(?P<flow>[^\]]*)\] | \n(?P<block>(?:[ ]*(?:-.*|\#.*)?\n)+) )""",
    re.MULTILINE | re.VERBOSE,
)


def serializer(code: str = DEFAULT_CODE, data: str = DEFAULT_DATA) -> ComputeSerializer:
    """Return the SDK's serializer with these strategies.

    Args:
        code: Class name of the strategy for functions.
        data: Class name of the strategy for arguments.

    Raises:
        UsageError: There is no such strategy.
    """
    from globus_compute_sdk import serialize

    require_code(code)
    if data not in DATA_STRATEGIES:
        raise UsageError(f"{data!r} is no strategy for data; one of: {', '.join(DATA_STRATEGIES)}.")
    return serialize.ComputeSerializer(getattr(serialize, code), getattr(serialize, data))


def require_code(name: str) -> None:
    """Raise an error unless a name is that of a strategy for functions.

    Raises:
        UsageError: It is not.
    """
    if name not in CODE_STRATEGIES:
        known = ", ".join(CODE_STRATEGIES)
        raise UsageError(f"{name!r} is no serialization strategy for functions; one of: {known}.")


def require_allowed(strategies: Mapping[str, str], folder: Path) -> None:
    """Raise an error unless an endpoint's workers may load functions.

    Args:
        strategies: The functions' strategies, by the functions' names.
        folder: The endpoint's folder, or its template.

    Raises:
        UsageError: There is no endpoint's config, or it does not allow a function's strategy.
    """
    path = _template(folder)
    allowed = _allowed(path)
    if allowed is None or _ALL_CODE in allowed:
        return
    names = {each.rpartition(".")[2] for each in allowed}
    wrong = [f"{name} (by {used})" for name, used in strategies.items() if used not in names]
    if wrong:
        raise UsageError(
            f"{path} does not allow the strategies of {', '.join(wrong)}: every task would fail. "
            f"It allows {', '.join(sorted(names))}. Register with one of these: "
            "gc-warm register MODULE:FUNCTION --strategy NAME."
        )


def _template(folder: Path) -> Path:
    files = [*(folder / name for name in _FILES), folder]
    found = next((path for path in files if os.path.isfile(path)), None)  # noqa: PTH113  (long names)
    if found is None:
        raise UsageError(f"{folder} has no {_FILES[0]}.")
    return found


def _allowed(path: Path) -> set[str] | None:
    """Return the import paths that are listed; None without a list, which allows all."""
    try:
        found = _LIST.search(path.read_text(encoding="utf-8") + "\n")
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read {path}: {error}.") from error
    if found is None:
        return None
    return set(re.findall(r"[\w.*]+\.[\w*]+", re.sub(r"#.*", "", found["flow"] or found["block"])))
