"""The command line: ``gc-warm``."""

from __future__ import annotations

import sys

import click

from gc_warm import __version__
from gc_warm.commands.check import check
from gc_warm.commands.demo import demo
from gc_warm.commands.doctor import doctor
from gc_warm.commands.functions import functions
from gc_warm.commands.map import map_lines
from gc_warm.commands.node import node
from gc_warm.commands.program import program
from gc_warm.commands.register import register
from gc_warm.commands.report import show_report
from gc_warm.commands.run import run
from gc_warm.commands.serve import serve
from gc_warm.commands.shared.command import Exit
from gc_warm.commands.shared.show import KEPT, printable
from gc_warm.commands.submit import submit
from gc_warm.errors import GcWarmError, UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gc-warm")
def commands() -> None:
    """Keep expensive state warm on Globus Compute workers."""


for command in (
    *(check, demo, doctor, functions, map_lines, node, program, register, run, serve),
    *(show_report, submit),
):
    commands.add_command(command)


def main() -> None:
    """Run the command line, and exit with what `Exit` says."""
    try:
        code = commands.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        code = Exit.INTERRUPTED
    except GcWarmError as error:
        click.echo(f"Error: {printable(str(error), KEPT)}", err=True)
        code = Exit.USAGE if isinstance(error, UsageError) else Exit.FAILED
    sys.exit(code or Exit.OK)
