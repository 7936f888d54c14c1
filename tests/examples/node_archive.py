import shutil
import tarfile
from pathlib import Path

from gc_warm import node_folder


@node_folder(maxbytes=50_000_000_000, max_age=7 * 86400)
def unpacked(archive: str, folder: Path) -> None:
    shutil.unpack_archive(archive, folder)


Path("notes.txt").write_text("one\ntwo\n")
with tarfile.open("notes.tar.gz", "w:gz") as tar:
    tar.add("notes.txt")

print((unpacked("notes.tar.gz") / "notes.txt").read_text().split())
