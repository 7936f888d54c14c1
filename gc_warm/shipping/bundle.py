"""Sources to a bundle: what a self-contained function carries, and the hash that names it."""

from __future__ import annotations

import base64
import fnmatch
import functools
import hashlib
import json
import os
import re
import time
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement

import gc_warm
from gc_warm.errors import ShippingError
from gc_warm.shipping.shrink import shrink
from gc_warm.shipping.sources import (
    Source,
    carried_sources,
    distributions_of,
    is_carried,
    is_installed,
    packages_above,
)
from gc_warm.units import MAX_SUBMISSION_BYTES, amount

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gc_warm.shipping.definitions.graph import Slice
    from gc_warm.shipping.origin import Origin
    from gc_warm.worker.self_contained import SelfContained

WARNING_SIZE = 512 * 1024
_RESOURCES = ("resources", "pkgutil", "get_data")


@dataclass(frozen=True)
class Bundle:
    """What a function carries.

    Attributes:
        digest: Hash of its content.
        data: The content: compressed JSON.
        fingerprint: Hash of its content, whatever folders the files were in.
        sizes: How many bytes of source or data each module brings.
        files: The files that it was read from, each with its time and size.
    """

    digest: str
    data: bytes
    fingerprint: str
    sizes: dict[str, int]
    files: dict[str, tuple[int, int] | None]

    def is_current(self) -> bool:
        """Return whether the files are still the same."""
        return all(_stamp(file) == stamp for file, stamp in self.files.items())


def make_bundle(function: SelfContained[..., Any], origin: Origin) -> Bundle:
    """Read what a function needs, and pack it.

    Args:
        function: The function.
        origin: Where a worker finds it.

    Raises:
        ShippingError: Something cannot be carried, or all of it is more than the service takes;
            the message says what and why.
    """
    began = time.time_ns()
    sources = sources_of(function, origin)
    for pattern in function.data:
        _add_data(sources, origin, pattern)
    runtime = _runtime(origin, sources)
    everything = {**sources, **runtime}
    requires = [text for each in (function, *origin.inner) for text in each.requires]
    wanted = requirements_of(origin, requires)
    contents = {name: _content(source) for name, source in sources.items()}
    ours = sorted(runtime.items())
    manifest = {
        "version": gc_warm.__version__,
        "requires": wanted,
        "check": _text("presence.py") if wanted else "",
        "runtime": [name + "." * source.package for name, source in ours],
        "modules": {name: _entry(name, sources, contents) for name in sorted(sources)},
    }
    texts = [shrink(source.text or "") for _, source in ours]
    content = "\0".join(
        [_text("carried.py", "boot.py"), json.dumps(manifest, separators=(",", ":")), *texts]
    )
    bundle = Bundle(
        hashlib.sha256(content.encode()).hexdigest()[:32],
        _compressed(content.encode()),
        _fingerprint({**manifest, "texts": texts}),
        {name: _size(source) for name, source in sources.items()},
        {
            # What was written while it was read may be newer than what was read.
            file: None if stamp is not None and stamp[0] >= began else stamp
            for source in everything.values()
            for file in [source.file, *source.data, *source.folders]
            for stamp in [_stamp(file)]
        },
    )
    _check_size(bundle, function)
    return bundle


@functools.lru_cache(maxsize=16)
def _compressed(content: bytes) -> bytes:
    return zlib.compress(content, 9)


def requirements_of(origin: Origin, requires: Sequence[str]) -> list[str]:
    """Return what must be installed on a worker.

    That is what the user says, and the distributions that the function itself comes from.
    """
    wanted = {text: _name_in(text) for text in requires}
    for module in sorted(origin.needed):
        if is_installed(module) and not is_carried(module):
            for name in distributions_of(module):
                if name.lower() not in wanted.values():
                    wanted[name] = name.lower()
    return [*wanted]


def _name_in(requirement: str) -> str:
    try:
        return Requirement(requirement).name.lower()
    except InvalidRequirement as error:
        message = f"requires={requirement!r} is no PEP 508 requirement: {error}"
        raise ShippingError(message) from error


def sources_of(function: SelfContained[..., Any], origin: Origin) -> dict[str, Source]:
    """Return the modules of the user's that a function carries, by name, scripts among them.

    Raises:
        ShippingError: One of them cannot be carried.
    """
    modules = [name for each in (function, *origin.inner) for name in each.modules]
    roots = [name for name in origin.modules if is_carried(name)]
    for name in sorted(origin.modules - set(roots)):
        if not is_installed(name):
            raise ShippingError(
                f"The module {name!r} has no Python source in a project of yours: it was made "
                "without a file."
            )
    for name in modules:
        if not is_carried(name):
            raise ShippingError(
                f"modules={name!r} cannot be carried: it is not found, or is installed."
            )
    slices = [_source_of(part, roots) for part in origin.slices]
    above = [package for each in slices for package in packages_above(each.name)]
    sources = carried_sources([*roots, *above, *modules])
    return sources | {each.name: each for each in slices}


def _source_of(part: Slice, modules: Iterable[str]) -> Source:
    """Treat what is carried of a script as a module, whose text is in its parts."""
    ours = frozenset(name for name in modules if not name.startswith("gc_warm.worker"))
    return Source(part.space.module, "", part.space.file, package=False, needs=ours, part=part)


def _runtime(origin: Origin, sources: dict[str, Source]) -> dict[str, Source]:
    """Take our own modules from what is carried, and return all of them that a worker needs."""
    roots = ["gc_warm", "gc_warm.worker.resolve"]
    for name in [name for name in sources if name.partition(".")[0] == "gc_warm"]:
        if not name.startswith("gc_warm.functions"):
            roots.append(name)
            del sources[name]
    return carried_sources([*roots, *_imported_late(origin, sources)])


def _imported_late(origin: Origin, sources: dict[str, Source]) -> Iterator[str]:
    """Yield those modules of ours that only some functions need, and no import shows."""
    texts = [_whole_text(source) for source in sources.values()]
    if origin.made is not None or origin.slices:
        yield "gc_warm.worker.definitions.remake"
    if any("receipted" in text for text in [origin.target, origin.made or "", *texts]):
        yield "gc_warm.worker.receipted"
    if origin.target.endswith("!batched"):
        yield "gc_warm.worker.batched"
    if any(word in text for text in texts for word in _RESOURCES):
        yield "gc_warm.worker.resources"
    if any(".info" in text for text in texts):
        yield "gc_warm.worker.state.stats"
    if any("framing" in text for text in texts):
        yield "gc_warm.worker.program.known"
    if any("builds_per_node" in text for text in texts):
        yield "gc_warm.worker.node.turns"


def _fingerprint(manifest: dict[str, Any]) -> str:
    entries = manifest["modules"].items()
    modules = {name: entry.get("agreed", entry["identity"]) for name, entry in entries}
    return hashlib.sha256(json.dumps({**manifest, "modules": modules}).encode()).hexdigest()


def _whole_text(source: Source) -> str:
    return json.dumps(source.part.graphs) if source.part else source.text or ""


def _entry(name: str, sources: dict[str, Source], contents: dict[str, str]) -> dict[str, Any]:
    source = sources[name]
    entry: dict[str, Any] = {
        "identity": _identity(name, sources, contents),
        "source": source.text,
        "file": source.file,
        "package": source.package,
    }
    if source.part is not None:
        entry["script"] = source.part.space.identity
        entry["names"] = source.part.graphs
        entry["agreed"] = source.part.agreed | {
            f"import {need}": _identity(need, sources, contents)
            for need in sorted(source.needs & sources.keys())
        }
        entry["extra"] = source.part.extra
    if source.data:
        entry["data"] = {
            path: base64.b64encode(content).decode() for path, content in source.data.items()
        }
    return entry


def _identity(name: str, sources: dict[str, Source], contents: dict[str, str]) -> str:
    """Hash a module together with every carried module that it reaches."""
    reached: set[str] = set()
    new = {name}
    while new:
        reached |= new
        new = sources.keys() & set().union(*(sources[each].needs for each in new)) - reached
    text = "".join(contents[each] for each in (name, *sorted(reached - {name})))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _content(source: Source) -> str:
    """Hash what a module itself is."""
    part = [source.part.space.identity, *source.part[2:]] if source.part else None
    folder = Path(source.file).parent
    data = sorted(
        (os.path.relpath(path, folder), hashlib.sha256(content).hexdigest())
        for path, content in source.data.items()
    )
    what = [source.name, source.text, source.package, part, data]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _add_data(sources: dict[str, Source], origin: Origin, pattern: str) -> None:
    """Add data files to the package that they lie in."""
    home = sources.get(origin.home) or next(iter(sources.values()))
    folder = Path(home.file).parent.absolute()
    found = []
    for place, files in _below(folder, pattern):
        home.folders.add(place)
        found += files
    if not found:
        raise ShippingError(f"data={pattern!r} matches no file in {folder}.")
    packages_last = sorted(sources.values(), key=lambda source: source.package)
    owners = {Path(source.file).parent.absolute(): source for source in packages_last}
    for path in found:
        owner = next(owners[above] for above in path.parents if above in owners)
        if owner.part is not None:
            raise ShippingError(
                f"data={pattern!r}: the files of a script belong to no module that could read "
                "them. Move the function to a module, or read the file here and pass what it holds."
            )
        owner.data[str(path)] = path.read_bytes()


def _below(folder: Path, pattern: str) -> Iterator[tuple[str, list[Path]]]:
    """Yield each folder in which files of a pattern may lie, with those that do."""
    wanted = PurePath(pattern).as_posix()
    fixed = re.split(r"[*?[]", wanted)[0]
    for root, folders, files in os.walk(folder):
        above = Path(root, "_").relative_to(folder).as_posix()[:-1]
        folders[:] = [
            name
            for name in folders
            if name != "__pycache__"
            and name[0] != "."
            and (fixed.startswith(f"{above}{name}/") or f"{above}{name}/".startswith(fixed))
        ]
        yield root, [Path(root, name) for name in files if fnmatch.fnmatch(above + name, wanted)]


def _check_size(bundle: Bundle, function: SelfContained[..., Any]) -> None:
    """Warn of a large bundle, and refuse one that the service would not take."""
    size = len(bundle.data) * 4 // 3
    if size < WARNING_SIZE:
        return
    largest = sorted(bundle.sizes.items(), key=lambda item: -item[1])[:3]
    names = ", ".join(f"{name} ({amount(each)})" for name, each in largest)
    if size > MAX_SUBMISSION_BYTES:
        raise ShippingError(
            f"It would carry {amount(size)} with every task, and Globus Compute takes at most "
            f"{amount(MAX_SUBMISSION_BYTES)}. The largest: {names}. Put large data where workers "
            "can read it."
        )
    warnings.warn(
        f"{function.__module__}:{function.__qualname__} carries {amount(size)} with every task; "
        f"the largest modules are {names}",
        stacklevel=2,
    )


def _size(source: Source) -> int:
    return len(_whole_text(source)) + sum(map(len, source.data.values()))


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116  (as quick as can be: for every file, at every use)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=4)
def _text(*names: str) -> str:
    """Return modules of this package as one text that travels."""
    files = map(Path(__file__).with_name, names)
    return shrink("\n".join(file.read_text(encoding="utf-8") for file in files))
