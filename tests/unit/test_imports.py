"""Who may import whom (DESIGN.md, section 3), by importing and by reading.

Importing each module in a fork of a fresh interpreter shows what it really loads; reading shows
what stands inside functions, too.
"""

import ast
import graphlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

import gc_warm

PACKAGE = Path(gc_warm.__file__).parent

# Each area of gc_warm, and the areas it may use besides itself.
ARROWS = {
    "": {"errors", "worker"},
    "errors": set(),
    "worker": {"errors"},
    "shipping": {"errors", "worker"},
    "functions": set(),
    "endpoint_config": set(),
    "units": set(),
    "client": {"errors", "worker", "shipping", "units"},
    "local": {"errors", "worker", "shipping", "endpoint_config"},
    "checks": {"errors", "worker", "shipping", "endpoint_config", "units"},
    "demo": {"errors", "worker", "functions", "client", "local", "endpoint_config", "units"},
    "commands": {
        *("errors", "worker", "shipping", "functions", "client", "local", "checks", "demo"),
        *("endpoint_config", "units"),
    },
    "cli": {"errors", "client", "commands", "units"},
    "pytest_plugin": {
        *("errors", "worker", "shipping", "functions", "client", "local", "checks"),
        *("endpoint_config", "units"),
    },
    "__main__": {"cli"},
}
# Importing anything runs gc_warm/__init__.py first, and public names may ship a function.
LOADED_BY_ALL = {"", "errors", "worker"}
LOADED_BESIDES = {"functions": {"shipping"}, "demo": {"shipping"}}

# None where an area may use what it likes.
THIRD_PARTY = {"": set(), "errors": set(), "worker": set(), "shipping": {"packaging"}}

# Imports inside functions that do not follow the arrows, each with its reason.
EXCEPTIONS = {
    (
        "gc_warm.worker.self_contained",
        "shipping",
    ): "a function is made self-contained on the client",
    ("gc_warm.worker.state.warm", "shipping"): "an initialiser is checked on the client",
}
# Processes are started with these, so they end one; all others leave that to the command line.
MAY_EXIT = {
    *("gc_warm.cli", "gc_warm.__main__", "gc_warm.checks.loader"),
    *(f"gc_warm.local.remote.{name}" for name in ("fork_server", "host", "worker")),
    "gc_warm.worker.program.serve",
}
MAY_PRINT = {"gc_warm.cli", "gc_warm.local.output"}

# What `import gc_warm` must not load: a worker pays for each at every start.
HEAVY = {
    *("argparse", "asyncio", "concurrent", "ctypes", "decimal", "difflib", "email", "html"),
    *("http", "importlib.metadata", "logging.config", "logging.handlers", "multiprocessing"),
    *("pydoc", "sqlite3", "ssl", "tarfile", "unittest", "urllib.request", "xml", "zipfile"),
}


def modules() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = list(modules())


def area(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "gc_warm"


def third_party(names: set[str]) -> set[str]:
    return {top for name in names if (top := name.partition(".")[0]) not in KNOWN}


KNOWN = {*sys.stdlib_module_names, "gc_warm", "__main__", "__mp_main__"}


def test_every_part_of_the_package_has_its_arrows():
    assert set() == {area(module) for module in MODULES} - set(ARROWS)


# By importing

# Each in a fork of an interpreter that is fresh, but for what it was told to import first.
LOAD = """
import os, sys
first, modules = (text.split() for text in sys.argv[1:])
for name in first:
    __import__(name)
for name in modules:
    if os.fork():
        os.wait()
        continue
    before = set(sys.modules)
    try:
        __import__(name)
        print(name, *sorted(set(sys.modules) - before), flush=True)
    finally:
        os._exit(0)
"""
# Importing __main__ runs it.
LOADABLE = [name for name in MODULES if not name.endswith("__main__")]
# What others publish, and many modules of ours import: where any of it is allowed, it comes first.
SLOW_TO_IMPORT = ("globus_compute_endpoint.endpoint.endpoint", "pytest", "rich.table", "uvicorn")


def load(modules: list[str], first: Sequence[str] = ()) -> dict[str, set[str]]:
    """Import each module in an interpreter of its own; return the names of all that this loads."""
    run = subprocess.run(
        [sys.executable, "-c", LOAD, " ".join(first), " ".join(modules)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = {name: set(loaded) for name, *loaded in map(str.split, run.stdout.splitlines())}
    assert set(found) == set(modules), run.stderr
    return found


@pytest.fixture(scope="module")
def loaded_by() -> dict[str, set[str]]:
    strict = [name for name in LOADABLE if area(name) in THIRD_PARTY]
    others = [name for name in LOADABLE if area(name) not in THIRD_PARTY]
    return load(strict) | load(others, SLOW_TO_IMPORT)


@pytest.mark.parametrize("module", LOADABLE)
def test_loads_only_what_it_may(loaded_by, module):
    loaded = loaded_by[module]
    here = area(module)
    may = {here} | ARROWS.get(here, set()) | LOADED_BY_ALL | LOADED_BESIDES.get(here, set())
    wrong = {name for name in loaded if is_ours(name) and area(name) not in may}
    if here in THIRD_PARTY:
        wrong |= third_party(loaded) - THIRD_PARTY[here]
    assert set() == wrong


def test_importing_gc_warm_is_cheap(loaded_by):
    loaded = loaded_by["gc_warm"]
    assert set() == {name for name in loaded if name in HEAVY or name.partition(".")[0] in HEAVY}


# By reading


class Import(NamedTuple):
    target: str  # the module
    name: str | None  # what is taken from it; None where it is imported itself
    line: int
    in_function: bool
    for_types: bool  # under `if TYPE_CHECKING:`

    def __str__(self) -> str:
        what = f"from {self.target} import {self.name}" if self.name else f"import {self.target}"
        return f"line {self.line}: {what}"


def parse(module: str) -> ast.Module:
    path = PACKAGE.parent.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(module: str, tree: ast.AST) -> Iterator[Import]:
    yield from _imports(module, tree, in_function=False, for_types=False)


def _imports(module: str, node: ast.AST, *, in_function: bool, for_types: bool) -> Iterator[Import]:
    for name, target in _targets(module, node):
        yield Import(target, name, node.lineno, in_function, for_types)
    in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    type_block = _statements_for_types(node)
    for child in ast.iter_child_nodes(node):
        yield from _imports(
            module, child, in_function=in_function, for_types=for_types or child in type_block
        )


def _statements_for_types(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return list(node.body)
    return []


def _targets(module: str, node: ast.AST) -> Iterator[tuple[str | None, str]]:
    match node:
        case ast.Import():
            yield from ((None, alias.name) for alias in node.names)
        case ast.ImportFrom():
            source = _absolute(module, node)
            for alias in node.names:
                # `from package import module` imports the module.
                whole = f"{source}.{alias.name}"
                yield (None, whole) if whole in MODULES else (alias.name, source)
        case ast.Call(args=[ast.Constant(value=str(name)), *_]) if ast.unparse(node.func) in {
            "__import__",
            "import_module",
            "importlib.import_module",
        }:
            yield None, name


def _absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    is_package = any(name.startswith(module + ".") for name in MODULES)
    package = module if is_package else module.rpartition(".")[0]
    return importlib.util.resolve_name("." * node.level + (node.module or ""), package)


@pytest.mark.parametrize("module", MODULES)
def test_names_only_what_it_may(module):
    assert [] == [
        str(found) for found in imports(module, parse(module)) if not allowed(module, found)
    ]


def allowed(module: str, found: Import) -> bool:
    here, there = area(module), area(found.target)
    if not is_ours(found.target):
        allowed_here = THIRD_PARTY.get(here)
        return (
            found.for_types or allowed_here is None or third_party({found.target}) <= allowed_here
        )
    if here == "functions":
        return found.target == "gc_warm" and (not found.name or found.name in gc_warm.__all__)
    if module == "gc_warm" and found.for_types:
        return True  # the names that it imports on first use
    if found.target == "gc_warm":
        return here in {"cli", "pytest_plugin"} or found.name in {None, "__version__"}
    if (module, there) in EXCEPTIONS:
        return found.in_function or found.for_types
    return there == here or there in ARROWS.get(here, set())


# A receipt is made of a self-contained function, by that function.
MAY_GO_BACK = {("gc_warm.worker.self_contained", "gc_warm.worker.receipted")}


def test_what_travels_has_no_circles_of_imports():
    """Those for type checkers count: who wants to understand a module reads what it names."""
    inside = [module for module in MODULES if area(module) == "worker"]
    graph = {
        module: {
            target
            for found in imports(module, parse(module))
            for target in [f"{found.target}.{found.name}", found.target]
            if target in inside and target != module and (module, target) not in MAY_GO_BACK
        }
        for module in inside
    }
    assert len(inside) == len([*graphlib.TopologicalSorter(graph).static_order()])


CALLS_THAT_PRINT = {"print", "pprint", "pprint.pprint", "sys.stdout.write", "sys.stderr.write"}
EXITS = {"exit", "quit", "sys.exit", "os._exit", "SystemExit"}


@pytest.mark.parametrize("module", sorted({*MODULES} - MAY_PRINT))
def test_prints_nothing(module):
    assert [] == calls(module, CALLS_THAT_PRINT)


@pytest.mark.parametrize("module", sorted({*MODULES} - MAY_EXIT))
def test_never_exits(module):
    assert [] == calls(module, EXITS)


def calls(module: str, names: set[str]) -> list[str]:
    found = []
    for node in ast.walk(parse(module)):
        match node:
            case ast.Call(func=called) | ast.Raise(exc=ast.Name() as called):
                if ast.unparse(called) in names:
                    found.append(f"line {node.lineno}: {ast.unparse(called)}")
    return found


# The rules themselves, tried on modules that break them


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gc_warm.errors", "import gc_warm.worker.state"),
        ("gc_warm.worker.state", "import numpy"),
        ("gc_warm.worker.state", "def f():\n import numpy"),
        ("gc_warm.worker.state", "from gc_warm.shipping import bundle"),
        ("gc_warm.worker.scope", "from .. import local"),
        ("gc_warm.worker.self_contained", "from gc_warm.shipping.bundle import pack"),
        ("gc_warm.shipping.bundle", "from gc_warm.local.executor import LocalExecutor"),
        ("gc_warm.functions.counter", "from gc_warm.worker.state import warm"),
        ("gc_warm.functions.counter", "from gc_warm import errors"),
        ("gc_warm.local.executor", "from gc_warm.client.executor import WarmExecutor"),
        ("gc_warm.local.executor", "import importlib\nimportlib.import_module('gc_warm.cli')"),
        ("gc_warm.client.report", "from gc_warm import pytest_plugin"),
        ("gc_warm.client.report", "from gc_warm import warm"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert [False] == [
        allowed(module, found)
        for found in imports(module, ast.parse(source))
        if is_ours(found.target) or third_party({found.target})
    ]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gc_warm.worker.state", "import threading\nfrom gc_warm.errors import GcWarmError"),
        ("gc_warm.worker.state", "if TYPE_CHECKING:\n from typing_extensions import Self"),
        ("gc_warm.worker.self_contained", "def f():\n from gc_warm.shipping.bundle import pack"),
        ("gc_warm.functions.onnx", "import numpy\nfrom gc_warm import warm, self_contained"),
        ("gc_warm.commands.run", "from gc_warm.local.executor import LocalExecutor"),
    ],
)
def test_a_right_import_is_left_alone(module, source):
    assert all(allowed(module, found) for found in imports(module, ast.parse(source)))
