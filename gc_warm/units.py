"""Numbers with their units, as people write them; and the size that Globus Compute limits."""

from __future__ import annotations

MAX_SUBMISSION_BYTES = 10 * 2**20
"""The web services refuse a function, or a submission with its arguments, that is larger."""


def duration(seconds: float | None) -> str:
    """Return a time with a unit that suits it: ``3.2 ms``, ``90 s``, ``2 h``; ``-`` for None."""
    if seconds is None:
        return "-"
    for limit, factor, unit in (
        (1e-3, 1e6, "µs"),
        (1, 1e3, "ms"),
        (120, 1, "s"),
        (7200, 1 / 60, "min"),
        (172_800, 1 / 3600, "h"),
    ):
        if seconds < limit:
            return f"{_rounded(seconds * factor)} {unit}"
    return f"{_rounded(seconds / 86_400)} days"


def amount(size: float) -> str:
    """Return a number of bytes with a unit that suits it: ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def counted(number: int, one: str, more: str | None = None) -> str:
    """Return a number with its noun, such as ``1 call`` or ``2,000 calls``."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004
