"""The Python that workers run: this one's packages, as a bare endpoint would have them.

It is a virtual environment of links. Not in it are the packages that `hidden_from_workers` names,
and what ``.pth`` files add that belong to no package.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import site
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gc_warm.errors import UsageError
from gc_warm.errors.client import WorkerStartError
from gc_warm.local.surroundings.packages import find_installed, hidden_from_workers, normal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gc_warm.local.surroundings.packages import Installed

_OWN = {"bin", "lib", "lib64", "pyvenv.cfg"}
_HEAD_BYTES = 256
_RUN_SCRIPT = """\
#!/bin/sh
exec "${{0%/*}}/python" {folder}/"${{0##*/}}" "$@"
"""


class Plan(NamedTuple):
    """What the environment consists of: names in it, and what they stand for."""

    library: dict[str, str]
    scripts: list[str]
    programs: dict[str, str]


def check_packages(packages: Sequence[str]) -> None:
    """Raise `UsageError` for distributions that are not installed here."""
    if isinstance(packages, str):
        raise UsageError(f"worker_packages={packages!r} must be a sequence of names.")
    if packages and (missing := {*map(normal, packages)} - find_installed(_site_folders()).keys()):
        raise UsageError(f"worker_packages: {', '.join(sorted(missing))} is not installed here.")


def make_python(folder: Path, packages: Sequence[str] = ()) -> str:
    """Make a Python that has what a bare endpoint would have.

    Args:
        folder: Where to; there must be nothing yet.
        packages: Distributions that it has although an endpoint would not.

    Returns:
        The path of its interpreter.
    """
    stamp = tuple((each, Path(each).stat().st_mtime_ns) for each in _site_folders())
    plan = _plan(stamp, frozenset(map(normal, packages)))
    # What a virtual environment is made of, by the standard library's own means.
    base = getattr(sys, "_base_executable", None) or sys.executable
    library = Path(sysconfig.get_path("purelib", "posix_prefix", vars={"base": str(folder)}))
    programs = folder / "bin"
    library.mkdir(parents=True)
    programs.mkdir()
    (folder / "pyvenv.cfg").write_text(
        f"home = {Path(base).parent}\ninclude-system-site-packages = false\n"
    )
    _link(library, plan.library)
    _link(programs, plan.programs)
    others = [each for each in os.scandir(sys.prefix) if each.name not in _OWN]
    _link(folder, {each.name: each.path for each in others})
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    _link(programs, dict.fromkeys(("python", "python3", version), base))
    runner = folder / "run-script"
    runner.write_text(_RUN_SCRIPT.format(folder=shlex.quote(sysconfig.get_path("scripts"))))
    runner.chmod(0o700)
    _link(programs, dict.fromkeys(plan.scripts, str(runner)))
    return str(programs / "python")


def find_python(python: str | os.PathLike[str] | None) -> str | None:
    """Return the absolute path of the workers' interpreter, if one was named.

    Raises:
        WorkerStartError: There is no such program.
    """
    if python is None:
        return None
    found = shutil.which(os.fspath(python))
    if found is None:
        raise WorkerStartError(f"worker_python={os.fspath(python)!r} is not a program.")
    return str(Path(found).absolute())  # not resolved: a virtual environment's python is a link


def _link(folder: Path, targets: Mapping[str, str]) -> None:
    for name, target in targets.items():
        os.symlink(target, f"{folder}/{name}")  # noqa: PTH211 - hundreds: four times as fast


def _site_folders() -> list[str]:
    """Return the folders in which this interpreter looks for packages."""
    folders = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return [each for each in dict.fromkeys(map(os.path.realpath, folders)) if Path(each).is_dir()]


@functools.lru_cache(maxsize=4)
def _plan(stamp: tuple[tuple[str, int], ...], packages: frozenset[str]) -> Plan:
    """Plan the environment; `stamp` differs when something has been installed or removed."""
    folders = [folder for folder, _ in stamp]
    installed = find_installed(folders)
    hidden = hidden_from_workers(installed, packages)
    kept = [each for name, each in installed.items() if name not in hidden]
    omitted = {entry for name in hidden for entry in installed[name].entries()}
    library: dict[str, str] = {}
    for folder in reversed(folders):  # the first has the last word
        library |= {each.name: each.path for each in os.scandir(folder)}
    doubtful = [name for name in omitted & library.keys() if not name.endswith("-info")]
    omitted -= {name for name in doubtful if _is_shared(library[name], kept)}
    omitted |= {name for name in library if name.endswith(".egg-link")}
    omitted |= {name for name in library if name.endswith(".pth") and not _is_of(name, kept)}
    scripts, programs = _programs({each for name in hidden for each in installed[name].programs()})
    return Plan(
        {name: path for name, path in library.items() if name not in omitted}, scripts, programs
    )


def _is_of(name: str, owners: Iterable[Installed]) -> bool:
    return any(f"\n{name}," in each.record for each in owners)


def _is_shared(path: str, owners: Iterable[Installed]) -> bool:
    """Return whether a folder is a namespace package that others have a part in, too."""
    if not os.path.isdir(path) or os.path.exists(f"{path}/__init__.py"):  # noqa: PTH110, PTH112
        return False
    part = f"\n{path.rpartition('/')[2]}/"
    return any(part in each.record for each in owners)


def _programs(hidden: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """Return the scripts that this Python runs, and the other programs beside it."""
    scripts: list[str] = []
    programs: dict[str, str] = {}
    folder = sysconfig.get_path("scripts")
    for entry in os.scandir(folder):
        if entry.name in hidden or entry.name.startswith(("python", "activate", "Activate")):
            continue
        if _is_script(entry.path, f"{folder}/python".encode()):
            scripts.append(entry.name)
        elif sys.prefix != sys.base_prefix:  # otherwise PATH leads there, too
            programs[entry.name] = entry.path
    return scripts, programs


def _is_script(path: str, python: bytes) -> bool:
    """Return whether a program is a script for a Python."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(b"#!") and python in head
