"""Sources to a payload: what a self-contained function becomes when it is serialized.

The payload is a chain of calls of builtins and the standard library, so that unpickling it needs
nothing but Python: no code objects, none of our classes. Written as Python it reads::

    sys.modules.get(boot, functools.partial(eval, _RUN_BOOT))(names)

A warm worker has the boot module's ``load`` under the name ``boot``, and it is called at once. In
a fresh worker the text of the boot module is run first.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import io
import json
import tokenize
import zlib
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gc_warm
from gc_warm.errors import ShippingError
from gc_warm.shipping.sources import Source, carried_sources

if TYPE_CHECKING:
    from collections.abc import Callable

# Evaluated in a fresh worker with the names of the payload: boot, text, digest, data, target.
_RUN_BOOT = (
    "exec(compile(__import__('zlib').decompress(text), boot, 'exec'), {'__name__': boot})"
    " or __import__('sys').modules[boot](locals())"
)


class _Call:
    """A call that is made when the payload is unpickled."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._parts = (function, args)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._parts

    def __call__(self, *args: Any) -> _Call:
        return _Call(self, *args)


def reduce_function(function: Callable[..., Any], target: str) -> tuple[Any, ...]:
    """Return what pickle needs to rebuild a self-contained function anywhere.

    Args:
        function: The user's function.
        target: ``module:qualified.name`` of what the payload shall become.

    Raises:
        ShippingError: The function's module cannot be carried.
    """
    try:
        digest, data = make_bundle(function.__module__)
    except ShippingError as error:
        raise ShippingError(f"{target} cannot be self-contained. {error}") from error
    boot, text = _boot()
    names = {"boot": boot, "text": text, "digest": digest, "data": data, "target": target}
    run_boot = _Call(_standard("functools", "partial"), eval, _RUN_BOOT)
    load = _Call(_Call(methodcaller, "get", boot, run_boot), _standard("sys", "modules"))
    return load, (names,)


def _standard(module: str, name: str) -> _Call:
    """Name something of the standard library; dill would refer to some of it through itself."""
    return _Call(getattr, _Call(importlib.import_module, module), name)


def make_bundle(module: str) -> tuple[str, bytes]:
    """Return the hash and the compressed text of what a module's functions carry.

    Args:
        module: Full name of the module.
    """
    sources = carried_sources(module)
    ours = {name: source for name, source in sources.items() if name.startswith("gc_warm.worker.")}
    runtime = {**carried_sources("gc_warm"), **ours}
    identities = _identities({**sources, **runtime})
    manifest = {
        "version": gc_warm.__version__,
        "runtime": sorted(runtime),
        "modules": {
            name: {
                "identity": identities[name],
                "source": _without_comments(source.text) if name in runtime else source.text,
                "file": source.file,
                "package": source.package,
            }
            for name, source in sorted({**sources, **runtime}.items())
        },
    }
    text = json.dumps(manifest, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest(), zlib.compress(text, 9)


def _identities(sources: dict[str, Source]) -> dict[str, str]:
    """Hash each module together with every carried module that it reaches."""
    return {name: _hash_of(sources[other] for other in _reach(name, sources)) for name in sources}


def _reach(name: str, sources: dict[str, Source]) -> list[str]:
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting.extend(sources[module].needs & sources.keys())
    return [name, *sorted(reached - {name})]


def _hash_of(sources: Any) -> str:
    digest = hashlib.sha256()
    for source in sources:
        digest.update(json.dumps([source.name, source.text, source.package]).encode())
    return digest.hexdigest()[:32]


@functools.lru_cache(maxsize=1)
def _boot() -> tuple[str, bytes]:
    text = _without_comments(Path(__file__).with_name("boot.py").read_text(encoding="utf-8"))
    data = text.encode()
    return f"_gc_warm_boot_{hashlib.sha256(data).hexdigest()[:16]}", zlib.compress(data, 9)


@functools.lru_cache(maxsize=64)
def _without_comments(text: str) -> str:
    """Blank out our own comments and docstrings: a third of the size, and the same line numbers."""
    lines = text.splitlines(keepends=True)
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            _blank(lines, token, "")
        elif token.type == tokenize.STRING and previous in _BEFORE_DOCSTRING:
            _blank(lines, token, "''")
        if token.type not in {tokenize.NL, tokenize.COMMENT}:
            previous = token.type
    return "".join(lines)


_BEFORE_DOCSTRING = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


def _blank(lines: list[str], token: tokenize.TokenInfo, instead: str) -> None:
    """Replace a token's text, keeping the number of lines."""
    (first, start), (last, end) = token.start, token.end
    tail = lines[last - 1][end:]
    lines[first - 1] = (lines[first - 1][:start] + instead).rstrip(" ") + (
        tail if first == last else "\n"
    )
    for number in range(first, last - 1):
        lines[number] = "\n"
    if first != last:
        lines[last - 1] = tail
