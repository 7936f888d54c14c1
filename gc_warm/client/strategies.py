"""The SDK's serialization strategies, for functions and for data, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from globus_compute_sdk.serialize import ComputeSerializer

CODE_STRATEGIES = (
    *("DillCode", "PureSourceTextInspect", "PureSourceDill", "AllCodeStrategies"),
    *("CombinedCode", "DillCodeSource", "DillCodeTextInspect"),
)
DATA_STRATEGIES = ("DillDataBase64", "JSONData", "AllDataStrategies")
DEFAULT_CODE, DEFAULT_DATA = CODE_STRATEGIES[0], DATA_STRATEGIES[0]


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
