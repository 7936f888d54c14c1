"""Find what a shell script installs or downloads whenever it runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What takes minutes, or needs the network.
_COSTLY = re.compile(
    r"""(?x)
    \b(?:pip3?|pipx|uv\s+pip|uv|conda|mamba|micromamba|apt|apt-get|dnf|yum|npm|spack)
        \s+(?:\S+\s+)*?(?:install|create|sync|add|update)\b
    | \bconda\s+env\s+create\b
    | -m\s+(?:venv|virtualenv)\b | \b(?:virtualenv|uv\s+venv)\s
    | \bgit\s+clone\b
    | \b(?:curl|wget)\s
    | \b(?:docker|podman|apptainer|singularity)\s+(?:pull|build)\b
    | \b(?:huggingface-cli|hf)\s+download\b
    """
)
# What a command does stands at its beginning; to search all of a long one takes its square.
MAX_COMMAND = 2000
_OPENS = re.compile(r"^(?:if|case|elif)\b")
_CLOSES = re.compile(r"^(?:fi|esac)\b")


def unguarded(script: str) -> Iterator[str]:
    """Give each costly command that no condition precedes, in the words of the script."""
    depth = 0
    for line in _logical_lines(script[:100_000]):
        for part in re.split(r";|(?<![&>])&(?![&>])", line):
            command = part.strip().lstrip("({").strip()
            command = re.sub(r"^(?:then|else|do)\s+", "", command)
            if _OPENS.match(command):
                depth += 1
                continue
            if _CLOSES.match(command):
                depth = max(0, depth - 1)
                continue
            if not depth and _is_costly(command):
                yield command if len(command) < 70 else command[:67] + "..."  # noqa: PLR2004


def _is_costly(command: str) -> bool:
    first, alternative, _ = command.partition("||")
    if alternative and re.match(r"\s*(?:\[|test\b|command -v|type\b|which\b)", first):
        return False  # only where something is missing
    return bool(_COSTLY.search(command[:MAX_COMMAND]))


def _logical_lines(script: str) -> Iterator[str]:
    """Give lines without comments, with those that end in a backslash joined."""
    joined = re.sub(r"\\\n\s*", "", script)
    for line in joined.splitlines():
        code = re.sub(r"(?:^|\s)#.*$", "", line).strip()
        if code:
            yield code
