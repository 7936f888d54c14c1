"""Whether an endpoint's ``allowed_serializers`` lets workers load functions."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gc_warm.client.manifest import Entry

_FILES = ("user_config_template.yaml.j2", "user_config_template.yaml", "config.yaml")
_ALL_CODE = "globus_compute_sdk.*Code"
# A list in YAML, one item a line or all in one; templates are no YAML as a whole.
_LIST = re.compile(
    r"""^[ ]*allowed_serializers:[ ]*(?:\#.*)?
    (?: \[(?P<flow>[^\]]*)\] | \n(?P<block>(?:[ ]*(?:-.*|\#.*)?\n)+) )""",
    re.MULTILINE | re.VERBOSE,
)


def require_allowed(entries: Iterable[Entry], folder: Path) -> None:
    """Raise an error unless an endpoint's workers may load functions.

    Args:
        entries: The functions, as they are registered.
        folder: The endpoint's folder, or its template.

    Raises:
        UsageError: There is no endpoint's config, or it does not allow a function's strategy.
    """
    path = _template(folder)
    allowed = _allowed(path)
    if allowed is None or _ALL_CODE in allowed:
        return
    names = {each.rpartition(".")[2] for each in allowed}
    wrong = [each for each in entries if each.current.strategy not in names]
    if wrong:
        listed = ", ".join(f"{each.name} (by {each.current.strategy})" for each in wrong)
        raise UsageError(
            f"{path} does not allow the strategies of {listed}: every task would fail. It "
            f"allows {', '.join(sorted(names))}. Register with one of these: gc-warm "
            "register MODULE:FUNCTION --strategy NAME."
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
