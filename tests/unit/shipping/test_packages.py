"""Packages, zipped modules and data files in a worker that has none of them."""

from __future__ import annotations

import importlib
import os
import sys
import zipfile
from pathlib import Path

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm import LocalExecutor
from gc_warm.errors import ShippingError
from gc_warm.shipping.bundle import _below
from gc_warm.shipping.sources import is_carried

HEAD = "from gc_warm import self_contained\n"


def test_every_kind_of_import(project, one_worker):
    work = project(
        {
            "helper.py": "value = 'helper'\n",
            "lab/__init__.py": "from .top import value as top_value\n",
            "lab/top.py": "value = 'top'\n",
            "lab/sub/__init__.py": "",
            "lab/sub/near.py": "from . import work\nvalue = 'near'\n",  # circular
            "lab/sub/late.py": "value = 'late'\n",
            "space/inner.py": "value = 'namespace'\n",  # no __init__.py
            "lab/sub/work.py": HEAD
            + """
import helper
import space.inner
from . import near
from .. import top_value
from ..top import value as again

@self_contained
def work():
    from lab.sub.late import value
    return helper.value, space.inner.value, near.value, top_value, again, value
""",
        }
    ).work
    expected = ("helper", "namespace", "near", "top", "top", "late")
    assert expected == one_worker.submit(work).result()


def test_a_namespace_that_the_worker_has_a_part_of(project, endpoint_python, tmp_path):
    theirs = tmp_path / "theirs" / "space"
    theirs.mkdir(parents=True)
    (theirs / "installed.py").write_text("value = 'theirs'\n")
    text = (
        HEAD
        + """
import space.mine

@self_contained
def work():
    import space.installed
    return space.mine.value, space.installed.value
"""
    )
    module = project({"space/mine.py": "value = 'mine'\n", "work.py": text})
    with LocalExecutor(
        workers=1, worker_python=endpoint_python, worker_path=[theirs.parent]
    ) as executor:
        assert ("mine", "theirs") == executor.submit(module.work).result()


def test_zipped_modules(project, one_worker, monkeypatch):
    archive = project.folder / "zipped.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_helper.py", "value = 'zipped'\n")
        file.writestr(
            "zipped_work.py",
            HEAD
            + "import zipped_helper\n@self_contained\ndef work(): return zipped_helper.value\n",
        )
    monkeypatch.syspath_prepend(archive)
    module = importlib.import_module("zipped_work")
    assert "zipped" == one_worker.submit(module.work).result()


DATA = (
    HEAD
    + """
import pkgutil
from importlib import resources

@self_contained(data=["labels.txt", "more/*.bin"])
def read():
    folder = resources.files("lab")
    with (folder / "labels.txt").open() as stream:
        first = stream.readline()
    with resources.as_file(folder / "labels.txt") as path:
        copied = path.read_text()
    return (
        first,
        copied,
        resources.read_text("lab", "labels.txt"),
        folder.joinpath("more", "a.bin").read_bytes(),
        pkgutil.get_data("lab", "more/a.bin"),
        sorted(each.name for each in folder.iterdir()),
        [each.is_dir() for each in folder.iterdir()],
    )

@self_contained
def forgot():
    return resources.files("lab").joinpath("labels.txt").read_text()
"""
)


@pytest.fixture
def lab(project):
    (project.folder / "lab" / "more").mkdir(parents=True)
    (project.folder / "lab" / "labels.txt").write_bytes(b"cat\r\ndog\n")
    (project.folder / "lab" / "more" / "a.bin").write_bytes(b"\0\1")
    return project({"lab/__init__.py": "", "lab/data.py": DATA})


def test_data_files_that_are_listed_travel(lab, one_worker):
    both = b"\0\1"
    text = "cat\ndog\n"
    expected = ("cat\n", text, text, both, both, ["labels.txt", "more"], [False, True])
    assert expected == one_worker.submit(lab.read).result()


def test_data_files_that_are_not_listed_are_named(lab, one_worker):
    with pytest.raises(TaskExecutionFailed, match=r"labels.txt did not travel.*data=\["):
        one_worker.submit(lab.forgot).result()


def test_a_change_of_data_is_a_new_version(lab, project, one_worker):
    assert "cat\n" == one_worker.submit(lab.read).result()[0]
    before = lab.read.source()
    (project.folder / "lab" / "labels.txt").write_text("cow\n")
    assert before != lab.read.source()


@pytest.mark.parametrize("name", ["more/b.bin", "more/deep/c.bin"])
def test_data_that_is_added_is_a_new_version(lab, project, name):
    path = project.folder / "lab" / name
    os.utime(project.folder / "lab" / "more", (1, 1))  # however coarse the clock of files is
    before = lab.read.source()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"new")
    after = lab.read.source()
    assert before != after
    path.unlink()
    assert before == lab.read.source() != after


def test_data_that_is_added_to_a_folder_in_a_folder_is_a_new_version(lab, project):
    deep = project.folder / "lab" / "more" / "deep"
    deep.mkdir()
    os.utime(deep, (1, 1))
    before = lab.read.source()
    (deep / "c.bin").write_bytes(b"new")
    assert before != lab.read.source()


def test_only_folders_that_a_pattern_reaches_are_searched(tmp_path):
    for name in ("more/deep", "most", "other/deep", ".hidden", "__pycache__"):
        (tmp_path / name).mkdir(parents=True)

    def searched(pattern):
        places = [Path(place).relative_to(tmp_path) for place, _ in _below(tmp_path, pattern)]
        return {place.as_posix() for place in places}

    assert {"."} == searched("labels.txt")
    assert {".", "more", "more/deep"} == searched("more/*.bin")
    assert {".", "more", "more/deep", "most"} == searched("mo*.bin")
    assert {".", "more", "more/deep", "most", "other", "other/deep"} == searched("*")


def test_data_in_a_folder_whose_name_looks_like_a_pattern(project, monkeypatch):
    folder = project.folder / "run [1]"
    folder.mkdir()
    (folder / "labels.txt").write_text("cat")
    text = HEAD + "@self_contained(data=['*.txt'])\ndef f(): pass\n"
    (folder / "bracketed.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    importlib.import_module("bracketed").f.source()  # and is not told that nothing matches


def test_data_lies_beside_the_function_and_not_beside_what_it_needs(project, one_worker):
    (project.folder / "lab").mkdir()
    (project.folder / "lab" / "labels.txt").write_text("cat")
    text = """
import pkgutil
import aaa

def make(kind):
    @self_contained(data=["*.txt"])
    def inner():
        return pkgutil.get_data("lab", "labels.txt"), kind.__name__
    return inner

work = [make(aaa.Thing)]
"""
    files = {"aaa.py": "class Thing: pass\n", "lab/__init__.py": "", "lab/late.py": HEAD + text}
    (work,) = project(files).work
    assert (b"cat", "Thing") == one_worker.submit(work).result()


def test_data_that_is_not_there_is_refused(project):
    module = project({"one.py": HEAD + "@self_contained(data=['no.txt'])\ndef f(): pass\n"})
    with pytest.raises(ShippingError, match=r"data='no.txt' matches no file"):
        module.f.source()


def test_modules_that_imports_do_not_show(project, one_worker):
    text = (
        HEAD
        + """
import importlib

@self_contained(modules=["plugin"])
def work():
    return importlib.import_module("plu" + "gin").value
"""
    )
    module = project({"plugin.py": "value = 3\n", "dynamic.py": text})
    assert 3 == one_worker.submit(module.work).result()


def test_a_module_to_carry_that_is_not_there_is_refused(project):
    module = project({"one.py": HEAD + "@self_contained(modules=['nope'])\ndef f(): pass\n"})
    with pytest.raises(ShippingError, match="modules='nope' cannot be carried"):
        module.f.source()


def test_a_function_of_a_module_named_as_a_standard_one_is_refused(project, monkeypatch):
    monkeypatch.delitem(sys.modules, "statistics", raising=False)
    module = project({"statistics.py": HEAD + "@self_contained\ndef f(): pass\n"})
    with pytest.raises(ShippingError, match=r"statistics\.py cannot be carried: .* Rename yours"):
        module.f.source()


def test_a_compiled_module_of_the_project_is_refused(project):
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (project.folder / f"fast{suffix}").write_bytes(b"")
    text = "def f():\n    import fast\n"
    module = project({"one.py": HEAD + "@self_contained\n" + text})
    with pytest.raises(ShippingError, match="imports 'fast', which is compiled"):
        module.f.source()


def test_an_editable_install_is_carried_and_an_installed_one_is_not(project, monkeypatch):
    project({"site-packages/installed_thing.py": "", "editable_thing.py": ""})
    monkeypatch.syspath_prepend(project.folder / "site-packages")
    assert is_carried("editable_thing")
    assert not is_carried("installed_thing")


def test_finding_modules_imports_none(project):
    text = "def f():\n    import other.deep\n"
    module = project(
        {
            "other/__init__.py": "raise RuntimeError('imported')\n",
            "other/deep.py": "",
            "one.py": HEAD + "@self_contained\n" + text,
        }
    )
    assert "other" not in sys.modules
    module.f.source()
    assert "other" not in sys.modules


def test_namespaces_in_namespaces_that_are_imported_late(project, one_worker):
    text = "@self_contained\ndef f():\n    import outer.inner.leaf as leaf\n    return leaf.value\n"
    module = project({"outer/inner/leaf.py": "value = 3\n", "one.py": HEAD + text})
    assert "outer" not in sys.modules
    assert 3 == one_worker.submit(module.f).result()


def test_any_folder_of_that_name_on_the_worker_does_no_harm(project, endpoint_python, tmp_path):
    (tmp_path / "theirs" / "models").mkdir(parents=True)
    module = project({"models.py": HEAD + "@self_contained\ndef work(): return __name__\n"})
    with LocalExecutor(
        workers=1, worker_python=endpoint_python, worker_path=[tmp_path / "theirs"]
    ) as executor:
        assert "models" == executor.submit(module.work).result()


def test_a_module_named_as_an_installed_distribution_is_refused(project, endpoint_python, tmp_path):
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "helper_lib.py").write_text("value = 'theirs'\n")
    text = HEAD + "import helper_lib\n@self_contained\ndef work(): return helper_lib.value\n"
    module = project({"helper_lib.py": "value = 'mine'\n", "shadowing.py": text})
    with (
        LocalExecutor(
            workers=1, worker_python=endpoint_python, worker_path=[installed]
        ) as executor,
        pytest.raises(TaskExecutionFailed, match=r"ClashError.*site-packages/helper_lib\.py"),
    ):
        executor.submit(module.work).result()
