"""Run the benchmarks: ``python -m benchmarks [GROUP]...``, of `GROUPS`; without any, all.

A part of a group runs by its function's name: ``python -m benchmarks maps.real_model``.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.measure import Ratio

GROUPS = ("hits", "calls", "programs", "nodes", "executors", "maps", "plugin", "service")
RESULTS = Path(__file__).with_name("results") / "latest.json"


def main(groups: list[str]) -> None:
    """Run groups of benchmarks, print the ratios, and write them as JSON."""
    unknown = {group.partition(".")[0] for group in groups} - set(GROUPS)
    if unknown:
        sys.exit(
            f"No benchmarks called {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}."
        )
    here = Path.cwd()
    ratios: list[Ratio] = []
    for group in groups or GROUPS:
        print(f"measuring {group} ...", file=sys.stderr)
        module, _, part = group.partition(".")
        ratios.extend(getattr(importlib.import_module(f"benchmarks.{module}"), part or "run")())
        os.chdir(here)  # tasks that ran in this process have gone elsewhere
    Console(width=120).print(table(ratios))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**machine(), "ratios": [r.as_dict() for r in ratios]}, indent=2))
    print(f"Written to benchmarks/results/{RESULTS.name}.")


def machine() -> dict[str, object]:
    """Say where it was measured."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
    }


def table(ratios: list[Ratio]) -> Table:
    """Lay the ratios out side by side."""
    result = Table(title=f"Python {platform.python_version()}, {os.cpu_count()} cores")
    for column in ("measured", "gc-warm", "other", "", "unit", "ratio", "target", "met"):
        result.add_column(column, justify="left" if column in {"measured", ""} else "right")
    for r in ratios:
        met = {None: "", True: "yes", False: "NO"}[r.met]
        ours, other, ratio = f"{r.ours:.3g}", f"{r.other:.3g}", f"{r.ratio:.2f}"
        result.add_row(r.name, ours, other, r.other_name, r.unit, ratio, r.target, met)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
