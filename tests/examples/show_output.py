"""What workers print is shown, and kept."""

# --8<-- start
import sys
import tempfile
from pathlib import Path

from gc_warm import LocalExecutor

sys.stderr = sys.stdout  # only for this page


def simulate(steps):
    print(f"{steps} steps")
    return steps / 10


with tempfile.TemporaryDirectory() as folder:
    with LocalExecutor(output=folder) as executor:
        executor.submit(simulate, 100).result()
    for path in Path(folder).iterdir():
        print(path.name, "has", path.read_text(), end="")
# --8<-- end
