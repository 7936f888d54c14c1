"""Folders with endpoints' configs, by their paths or by the names of samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    import os


# Where gc-warm is installed, and in its own checkout.
_SAMPLES = [Path(__file__).parents[above] / "endpoint_configs" for above in (2, 3)]


def find_config(config: str | os.PathLike[str], root: Path) -> Path:
    """Return the folder of an endpoint's config.

    Args:
        config: The folder; or the name of one in the project's ``endpoint_configs``, or of one of
            gc-warm's samples.
        root: Where the project is.

    Raises:
        UsageError: There is none.
    """
    samples = [root / "endpoint_configs", *_SAMPLES]
    for folder in (Path(config), root / config, *(each / config for each in samples)):
        if (folder / "user_config_template.yaml.j2").is_file():
            return folder.resolve()
    known = sorted({path.parent.name for each in samples for path in each.glob("*/*.yaml.j2")})
    named = f", nor one of {', '.join(known)}" if known else ""
    raise UsageError(f"{str(config)!r} is no folder with a user_config_template.yaml.j2{named}.")
