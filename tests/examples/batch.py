"""A batch program, here bc: it cannot be kept running, but what it starts from can."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gc_warm import self_contained, warm

# Stands for what is slow to fetch: the program itself, basis sets, potentials, tables.
NEWTON = """
define s(a, x) {
  auto n
  while ((x * x - a) ^ 2 > 10 ^ -24) { x = (x + a / x) / 2; n = n + 1 }
  print x, " ", n, "\\n"
}
scale = 20
"""


@warm
def workplace() -> Iterator[Path]:
    """A folder of this worker's own, with what every run reads, fetched once."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "newton.bc").write_text(NEWTON)
        Path(folder, "restart").write_text("1")
        yield Path(folder)


@self_contained
def square_root(number: float) -> tuple[float, int]:
    """Run the program once, from where the last run in this worker ended."""
    restart = workplace() / "restart"
    done = subprocess.run(
        ["bc", "-q", "newton.bc"],
        input=f"s({number}, {restart.read_text()})\nquit\n",
        cwd=workplace(),
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    root, steps = done.stdout.split()[:2]
    restart.write_text(root)
    return float(root), int(steps)
