"""What all commands share: how they end, and examples that keep their lines in ``--help``."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


class Exit(enum.IntEnum):
    """What a command exits with; docs/commands.md shows the same table."""

    OK = 0
    FAILED = 1  # something was found, or a call, a worker, a file or the service failed
    USAGE = 2  # an argument or option is wrong, or names what does not exist
    INTERRUPTED = 130  # Ctrl-C


class Command(click.Command):
    """A command whose help ends with examples, each on a line of its own.

    Args:
        examples: Command lines, as one would type them.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are: wrapped, they could not be copied."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in self.examples))
        super().format_epilog(ctx, formatter)


class Group(Command, click.Group):
    """Several commands under one name, with examples."""
