import shutil
from pathlib import Path

from gc_warm import node_folder


@node_folder
def staged(source: str, release: str, folder: Path) -> None:
    shutil.copytree(source, folder / "data")  # once per node, not once per worker


shared = Path("shared").resolve()  # such as /lustre/project/data
shared.mkdir()
(shared / "part-1.csv").write_text("1,2\n3,4\n")

print([each.name for each in (staged(str(shared), "2026-11") / "data").iterdir()])
