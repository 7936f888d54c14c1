"""Which modules of Python's standard library mention some words?"""

import re
import sysconfig
from collections import defaultdict
from pathlib import Path

from gc_warm import self_contained, warm


@warm
def index() -> dict[str, set[str]]:
    """Read the standard library: this is the expensive part."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in Path(sysconfig.get_path("stdlib")).glob("*.py"):
        for word in re.findall(r"\w+", path.read_text(encoding="utf-8").lower()):
            found[word].add(path.stem)
    return found


@self_contained
def search(text: str) -> list[str]:
    """Return the modules that mention all of these words."""
    return sorted(set.intersection(*(index().get(word, set()) for word in text.lower().split())))
