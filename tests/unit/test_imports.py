"""The shape of the package: who may import whom, how large things are, and the page that shows it.

Importing each module in a fork of a fresh interpreter shows what it really loads; reading shows
what stands inside functions, too. Run as a program, this writes the tree and the arrows into
docs/architecture.md.
"""

import ast
import collections
import functools
import graphlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

import gc_warm

PACKAGE = Path(gc_warm.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
MAX_MODULES, MAX_LINES = 14, 400

# Each area of gc_warm, and the areas that it may use besides itself; docs/architecture.md shows it.
ARROWS = {
    "errors": "",
    "units": "",
    "logs": "",
    "endpoint_config": "",
    "worker": "errors",
    "": "errors worker",
    "functions": "",
    "shipping": "errors units worker",
    "client": "errors units worker shipping",
    "local": "errors units logs worker shipping endpoint_config",
    "checks": "errors units logs worker shipping endpoint_config",
    "demo": "errors units logs worker functions client local endpoint_config",
    "pytest_plugin": "errors units logs worker shipping functions client local checks"
    " endpoint_config",
    "commands": "errors units logs worker shipping functions client local checks demo"
    " endpoint_config",
    "cli": "errors units client commands",
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
    *("gc_warm.cli", "gc_warm.checks.loader"),
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


PATHS = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in PATHS}


def area(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "gc_warm"


def third_party(names: set[str]) -> set[str]:
    return {top for name in names if (top := name.partition(".")[0]) not in KNOWN}


KNOWN = {*sys.stdlib_module_names, "gc_warm", "__main__", "__mp_main__"}


def arrows(here: str) -> set[str]:
    return {*ARROWS.get(here, "").split()}


def test_every_area_has_its_arrows_which_make_no_circle():
    assert set() == {area(module) for module in MODULES} ^ set(ARROWS)
    order = graphlib.TopologicalSorter({here: arrows(here) for here in ARROWS}).static_order()
    assert len(ARROWS) == len([*order])


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


@pytest.mark.slow("imports each module in a fresh interpreter")
@pytest.mark.parametrize("module", LOADABLE)
def test_loads_only_what_it_may(loaded_by, module):
    loaded = loaded_by[module]
    here = area(module)
    may = {here} | arrows(here) | LOADED_BY_ALL | LOADED_BESIDES.get(here, set())
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


@functools.cache
def parse(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"), module)


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
    return there == here or there in arrows(here)


# A receipt is made of a self-contained function, by that function.
MAY_GO_BACK = {("gc_warm.worker.self_contained", "gc_warm.worker.receipted")}


def neighbours(module: str) -> set[str]:
    """Return the modules of its area that a module imports, for type checkers included."""
    found = {
        target
        for each in imports(module, parse(module))
        if not (MODULES[module].stem == "__init__" and each.for_types)  # what it hands on
        for target in (f"{each.target}.{each.name}", each.target)
        if target in MODULES and target != module and area(target) == area(module)
    }
    return {each for each in found if (module, each) not in MAY_GO_BACK}


def test_no_circles_of_imports():
    """Those for type checkers count: who wants to understand a module reads what it names."""
    graph = {module: neighbours(module) for module in MODULES}
    assert len(MODULES) == len([*graphlib.TopologicalSorter(graph).static_order()])


def test_no_folder_has_too_many_modules():
    sizes = collections.Counter(str(path.relative_to(PACKAGE).parent) for path in PATHS)
    assert set() == {name for name, size in sizes.items() if size > MAX_MODULES}


def test_no_module_is_too_long():
    lengths = {module: MODULES[module].read_text().count("\n") for module in MODULES}
    assert set() == {name for name, lines in lengths.items() if lines > MAX_LINES}


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


# The page


def tree(folder: Path = PACKAGE, depth: int = 0) -> Iterator[str]:
    """Yield the modules of a folder, below it, each with the first line of its docstring."""
    yield line(folder.name + "/", folder / "__init__.py", depth)
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.is_dir() and (path / "__init__.py").exists():
            yield from tree(path, depth + 1)
        elif path.suffix == ".py" and path.name != "__init__.py":
            yield line(path.name, path, depth + 1)


def line(name: str, path: Path, depth: int) -> str:
    told = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    return f"{'  ' * depth + name:32}{told.replace('``', '')}".rstrip()


def table() -> Iterator[str]:
    yield from ("| | may import |", "|---|---|")
    for here, there in ARROWS.items():
        listed = " ".join(f"`{each}`" for each in there.split()) or "nothing of ours"
        yield f"| `{here or '__init__'}` | {listed} |"


def drawn(page: str) -> str:
    """Return the page with the tree and the arrows of now."""
    for name, lines in (("tree", ["```text", *tree(), "```"]), ("arrows", [*table()])):
        shown = "\n".join([f"<!-- {name} -->", *lines, f"<!-- end of {name} -->"])
        page, count = re.subn(
            f"<!-- {name} -->.*?<!-- end of {name} -->",
            shown.replace("\\", r"\\"),
            page,
            flags=re.DOTALL,
        )
        assert 1 == count
    return page


def test_the_page_shows_the_tree_and_the_arrows():
    assert PAGE.read_text() == drawn(PAGE.read_text()), "run: python tests/unit/test_imports.py"


def test_the_page_names_modules_that_there_are():
    named = re.findall(r"`([\w/]+\.py)`", PAGE.read_text())
    assert [] == [each for each in named if not (PACKAGE / each).exists() and "test" not in each]


def test_every_module_says_what_it_is_in_one_line():
    assert [] == [each for each in tree() if not re.search(r"\S  +\S.*[.?!:]$", each)]


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
