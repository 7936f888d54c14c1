"""``gc-warm completion``: what makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from gc_warm.commands.shared.command import Command

COMPLETE_VARIABLE = "_GC_WARM_COMPLETE"
"""With this in its environment, gc-warm answers a shell instead of running a command."""


@click.command(
    cls=Command,
    examples=[
        'eval "$(gc-warm completion bash)"       # in ~/.bashrc',
        'eval "$(gc-warm completion zsh)"        # in ~/.zshrc',
        "gc-warm completion fish | source        # in ~/.config/fish/config.fish",
    ],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands.

    Options, their choices, and the names of registered functions are completed, too.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "gc-warm", COMPLETE_VARIABLE).source())
