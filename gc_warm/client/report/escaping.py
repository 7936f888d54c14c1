"""Text that users, or workers, have written, made harmless in HTML and SVG."""

from __future__ import annotations

import html
import re

# XML has no way to write these, nor halves of surrogate pairs.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
# These turn the text around them; a name could show as another.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")


def escape(text: str) -> str:
    """Return text as it can stand in an element, or in an attribute between quotes."""
    return html.escape(_TURNING.sub("\ufffd", _FORBIDDEN.sub("\ufffd", text)))
