"""The command line: ``gc-warm``."""

from __future__ import annotations

import io
import platform
import sys
from importlib import metadata
from typing import Any

import click

from gc_warm import __version__
from gc_warm.commands.check import check
from gc_warm.commands.completion import COMPLETE_VARIABLE, completion
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
from gc_warm.commands.shared.command import Exit, Group
from gc_warm.commands.shared.show import KEPT, printable
from gc_warm.commands.submit import submit
from gc_warm.errors import GcWarmError, UsageError


def _show_versions(context: click.Context, _: click.Parameter, wanted: Any) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"gc-warm {__version__}\nPython {platform.python_version()}")
        for name in ("globus-compute-sdk", "globus-compute-endpoint"):
            click.echo(f"{name} {_version(name)}")
        context.exit()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "is not installed"


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    examples=[
        "gc-warm demo                                        # see what it is worth",
        "gc-warm run mylab.models:classify --args '[\"text\"]'  # try a function here",
        "gc-warm check mylab.models:classify                 # will it stay warm?",
        "gc-warm submit mylab.models:classify --endpoint ID --args '[\"text\"]'",
    ],
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_versions,
    help="Show the versions of gc-warm, Python and Globus Compute.",
)
def commands() -> None:
    """Keep expensive state warm on Globus Compute workers."""


for command in (
    *(check, completion, demo, doctor, functions, map_lines, node, program, register, run, serve),
    *(show_report, submit),
):
    commands.add_command(command)


def main() -> None:
    """Run the command line, and exit with what `Exit` says."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # it may be closed
            stream.reconfigure(errors="backslashreplace")  # not every terminal has every letter
    try:
        code = commands.main(
            prog_name="gc-warm", complete_var=COMPLETE_VARIABLE, standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        code = Exit.INTERRUPTED
    except (GcWarmError, OSError) as error:
        click.echo(f"Error: {printable(str(error), KEPT)}", err=True)
        code = Exit.USAGE if isinstance(error, UsageError) else Exit.FAILED
    sys.exit(code or Exit.OK)
