import os
import shutil
import sqlite3
from pathlib import Path

from gc_warm import node_folder


@node_folder(mutable=True)
def kernels(release: str, folder: Path) -> None:
    """Begin empty, or with what was compiled elsewhere."""


@node_folder
def database(source: str, folder: Path) -> None:
    shutil.copy(source, folder / "copy.sqlite")


def use_compiled_kernels() -> None:
    folder = str(kernels("torch 2.9, H100"))
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # before torch is imported
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder


with sqlite3.connect("species.sqlite") as writer:
    writer.execute("create table species (name)")
    writer.execute("insert into species values ('Parus major')")
writer.close()

copy = database("species.sqlite") / "copy.sqlite"
reader = sqlite3.connect(f"file:{copy}?mode=ro&immutable=1", uri=True)
print(reader.execute("select name from species").fetchall())
reader.close()
use_compiled_kernels()
print(Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).is_dir())
