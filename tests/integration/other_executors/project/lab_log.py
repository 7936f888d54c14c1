"""Another module of the user's project, which travels because `lab` imports it."""

import os
from pathlib import Path


def note(folder: str, what: str) -> None:
    """Note a build: one line each, from whatever process."""
    with (Path(folder) / "builds").open("a", encoding="utf-8") as log:
        log.write(f"{what} {os.getpid()}\n")
