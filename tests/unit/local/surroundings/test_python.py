"""Which packages workers have: those that a bare endpoint would have."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.errors import UsageError
from gc_warm.local.executor import LocalExecutor
from gc_warm.local.surroundings.packages import (
    FOR_WORKERS,
    Installed,
    Need,
    find_installed,
    hidden_from_workers,
)
from gc_warm.local.surroundings.python import make_python

# Which are hidden


def installed(**needs):
    """Distributions: what each needs, as ``name``, ``name[extra]`` or ``name`` for ``:extra``."""
    found = {}
    for name, texts in needs.items():
        parsed = []
        for text in texts.split():
            wanted, _, by = text.partition(":")
            wanted, _, extras = wanted.rstrip("]").partition("[")
            parsed.append(Need(wanted, frozenset(extras.split(",")) - {""}, by))
        distribution = name.replace("_", "-")
        found[distribution] = Installed(distribution, needs=tuple(parsed))
    return found


def test_what_only_we_need():
    found = installed(gc_warm="rich starlette:service", rich="pygments", pygments="", starlette="")
    assert {"gc-warm", "rich", "pygments", "starlette"} == hidden_from_workers(found)


def test_what_others_need_too():
    found = installed(gc_warm="rich", rich="pygments", pygments="", mylab="pygments")
    assert {"gc-warm", "rich"} == hidden_from_workers(found)


@pytest.mark.parametrize("extra", sorted(FOR_WORKERS))
def test_what_workers_are_to_have(extra):
    found = installed(gc_warm=f"numpy:{extra} numpy:test", numpy="")
    assert {"gc-warm"} == hidden_from_workers(found)


def test_extra_that_is_not_installed():
    found = installed(gc_warm="cachetools:test hypothesis:test", cachetools="")
    assert {"gc-warm"} == hidden_from_workers(found)


def test_extras_of_others():
    found = installed(
        gc_warm="web[fast]:service", web="loop:fast slow:slow", loop="", slow="", mylab="web"
    )
    assert {"gc-warm", "loop"} == hidden_from_workers(found)


def test_packages_that_are_wanted_bring_what_they_need():
    found = installed(gc_warm="rich pytest:test", rich="pygments", pygments="", pytest="pluggy")
    found |= installed(pluggy="")
    assert {"gc-warm", "rich", "pygments"} == hidden_from_workers(found, ["pytest"])
    assert {"pytest", "pluggy"} == hidden_from_workers(found, ["gc-warm"])


def test_circles():
    found = installed(gc_warm="a", a="b", b="a gc-warm[service]")
    assert {"gc-warm", "a", "b"} == hidden_from_workers(found)


def test_editable_project_is_hidden_and_what_it_needs_is_not():
    found = installed(gc_warm="numpy:test", numpy="", mylab="numpy")
    found["mylab"] = Installed("mylab", needs=(Need("numpy"),), editable=True)
    assert {"gc-warm", "mylab"} == hidden_from_workers(found)


def test_without_us():
    assert set() == hidden_from_workers(installed(numpy=""))


def test_metadata_is_read(tmp_path):
    folder = tmp_path / "My_Lab-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: My_Lab\nRequires-Dist: plain\nRequires-Dist: two.words>=1\n"
        "Requires-Dist: with[One,two] ; python_version > '3' and extra == 'Big'\n\n"
        "Requires-Dist: prose\n"
    )
    (folder / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    needs = (Need("plain"), Need("two-words"), Need("with", frozenset({"one", "two"}), "big"))
    expected = Installed("my-lab", str(folder), needs, editable=True)
    assert {"my-lab": expected} == find_installed([str(tmp_path)])


# What is made of them, in a virtual environment that has projects in all states


def distribution(library, name, *files, editable=False, needs=""):
    folder = library / f"{name}-1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{needs}")
    for file in files:
        path = library / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    if editable:
        (folder / "direct_url.json").write_text('{"dir_info": {"editable": true}}')


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment that makes a bare one; run code in either."""
    root = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
    library = Path(sysconfig.get_path("purelib", "posix_prefix", vars={"base": str(root / "venv")}))
    for name in ("checkout", "elsewhere"):
        (root / name).mkdir()
        (root / name / f"of_{name}.py").touch()
    distribution(library, "plain", "plain/__init__.py", "plain.pth", "../../../bin/plain-tool")
    (library / "plain.pth").write_text("import os; os.environ['PLAIN'] = 'was here'\n")
    distribution(library, "edited", "__editable__edited.pth", editable=True)
    (library / "__editable__edited.pth").write_text(f"{root / 'checkout'}\n")
    (library / "written-by-hand.pth").write_text(f"{root / 'elsewhere'}\n")
    (library / "old.egg-link").write_text(f"{root / 'elsewhere'}\n")
    distribution(
        library,
        "gc_warm",
        "gc_warm_tool.py",
        needs="Requires-Dist: brought\nRequires-Dist: space\n",
    )
    distribution(
        library, "brought", "brought.py", "_brought/__init__.py", "../../../bin/brought-tool"
    )
    distribution(library, "space", "shared/ours.py")
    distribution(library, "other", "shared/theirs.py")
    programs = root / "venv" / "bin"
    for name in ("plain-tool", "brought-tool"):
        (programs / name).write_text(
            f"#!{programs}/python\nimport sys; print(sys.prefix, sys.argv)\n"
        )
        (programs / name).chmod(0o755)
    (programs / "compiled").symlink_to("/bin/true")

    def run(python, code, **options):
        return subprocess.run(
            [python, "-c", code], check=True, text=True, capture_output=True, cwd=root, **options
        ).stdout

    def make(name, packages=()):
        # The code under test is what this environment's own Python runs.
        code = (
            f"import sys; sys.path.append({str(Path(__file__).parents[4])!r})\n"
            "from pathlib import Path\nfrom gc_warm.local.surroundings.python import make_python\n"
            f"print(make_python(Path({str(root / name)!r}), {packages!r}))"
        )
        return run(root / "venv" / "bin" / "python", code).strip()

    return root, make, run


MODULES = [
    *("plain", "of_checkout", "of_elsewhere", "gc_warm_tool", "brought", "_brought"),
    "shared.theirs",
]
LOOK = f"""
import importlib.util, json
def has(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
print([name for name in {MODULES} if has(name)])
"""


def test_modules(environment):
    root, make, run = environment
    assert run(root / "venv/bin/python", LOOK).split() == str(MODULES).split()
    assert run(make("modules"), LOOK) == "['plain', 'shared.theirs']\n"


def test_packages_that_workers_have_nevertheless(environment):
    _, make, run = environment
    seen = run(make("nevertheless", ("Gc_Warm", "edited")), LOOK)
    assert seen == f"{[name for name in MODULES if name != 'of_elsewhere']}\n"


def test_metadata_says_the_same(environment):
    _, make, run = environment
    code = "import importlib.metadata as m; print(sorted(d.name for d in m.distributions()))"
    assert run(make("metadata"), code) == "['other', 'plain']\n"


def test_startup_file_of_a_package_is_run(environment):
    _, make, run = environment
    assert run(make("startup"), "import os; print(os.environ.get('PLAIN'))") == "was here\n"


def test_programs(environment):
    root, make, _ = environment
    folder = Path(make("programs")).parent
    names = {path.name for path in folder.iterdir()}
    assert {"compiled", "plain-tool", "python", "python3"} < names
    assert not {"brought-tool", "activate"} & names
    said = subprocess.run(
        ["plain-tool", "a b"],
        env={"PATH": f"{folder}:/bin"},
        check=True,
        text=True,
        capture_output=True,
    ).stdout
    assert said == f"{folder.parent} ['{root}/venv/bin/plain-tool', 'a b']\n"


def test_programs_that_tasks_start_see_the_same(environment):
    _, make, run = environment
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LOOK!r}])"
    assert run(make("children"), code) == "['plain', 'shared.theirs']\n"


def test_removing_it_removes_links_only(environment, tmp_path):
    make_python(tmp_path / "python")
    subprocess.run(["rm", "-r", tmp_path / "python"], check=True)
    assert Path(pytest.__file__).exists()


# In workers


def test_workers_have_no_gc_warm_and_no_pytest(executor, tasks):
    for name in ("gc_warm", "gc_warm.local", "pytest", "hypothesis", "starlette"):
        with pytest.raises(TaskExecutionFailed, match=f"No module named '{name.split('.')[0]}'"):
            executor.submit(tasks.import_module, name).result()


def test_workers_have_what_endpoints_need_and_what_functions_need(executor, tasks):
    for name in ("globus_compute_endpoint", "parsl", "numpy", "onnxruntime"):
        assert "site-packages" in executor.submit(tasks.import_module, name).result()


def test_clients_programs_are_not_found(executor):
    prefix = executor.submit(sysconfig.get_path, "data").result()
    for name in ("python", "globus-compute-endpoint"):
        assert executor.submit(shutil.which, name).result() == f"{prefix}/bin/{name}"
    found = executor.submit(shutil.which, "pytest").result() or ""
    assert not found.startswith((prefix, sysconfig.get_path("scripts")))


def test_worker_packages(make_executor, tasks):
    executor = make_executor(workers=1, worker_packages=["gc-warm", "pytest"])
    assert executor.submit(tasks.import_module, "gc_warm.local").result()
    assert executor.submit(tasks.import_module, "pytest").result()


def test_worker_python_has_all_that_it_has(make_executor, tasks):
    executor = make_executor(workers=1, worker_python=sys.executable)
    assert executor.submit(tasks.import_module, "gc_warm.local").result()
    assert executor.submit(tasks.import_module, "pytest").result()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"worker_packages": ["no-such-thing"]}, "worker_packages: no-such-thing is not installed"),
        ({"worker_packages": "gc-warm"}, "must be a sequence of names"),
        ({"worker_packages": ["pytest"], "worker_python": sys.executable}, "has what it has"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(UsageError, match=message):
        LocalExecutor(**options)
