"""Which modules travel with a function."""

from __future__ import annotations

import importlib
import shutil
import sys
import time

import pytest

from gc_warm.errors import ShippingError
from gc_warm.shipping.sources import carried_sources, distributions_of, is_carried, is_installed


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a function that writes modules of a project and makes them importable."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(modules):
        for name, text in modules.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_imports_are_followed_also_inside_functions(project):
    project(
        {
            "alpha.py": "import beta\ndef f():\n    from gamma import g\n    import json, numpy\n",
            "beta.py": "import sys\nfrom delta import *\n",
            "gamma.py": "def g(): pass\n",
            "delta.py": "import alpha\n",
        }
    )
    assert set(carried_sources(["alpha"])) == {"alpha", "beta", "gamma", "delta"}


def test_relative_imports_and_the_packages_above_are_followed(project):
    project(
        {
            "lab/__init__.py": "",
            "lab/sub/__init__.py": "",
            "lab/sub/work.py": "from . import near\nfrom .. import top\nfrom ..other import x\n",
            "lab/sub/near.py": "",
            "lab/top.py": "",
            "lab/other.py": "x = 1\n",
            "lab/unused.py": "",
        }
    )
    found = carried_sources(["lab.sub.work"])
    assert set(found) == {"lab", "lab.sub", "lab.sub.work", "lab.sub.near", "lab.top", "lab.other"}
    assert found["lab"].package
    assert not found["lab.top"].package


@pytest.mark.parametrize("name", ["json", "numpy", "globus_compute_sdk", "no_such_module", "sys"])
def test_the_standard_library_and_installed_distributions_stay_behind(name):
    assert not is_carried(name)


STANDARD = ["sys", "os.path", "json.decoder", "zlib", "_socket", "xml.etree.ElementTree"]


@pytest.mark.parametrize("name", [*STANDARD, "numpy", "numpy.linalg"])
def test_what_comes_with_python_or_a_distribution_is_installed(name):
    assert is_installed(name)
    assert not is_carried(name)


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("statistics.py", "import statistics"),
        ("profile.py", "def f():\n    from profile import run"),
        ("this.py", "try:\n    import this\nexcept ImportError:\n    pass"),
        ("test.py", "from test import case"),
        ("test/__init__.py", "import test.cases"),
    ],
)
def test_a_module_named_as_a_standard_one_is_refused(project, monkeypatch, file, statement):
    monkeypatch.delitem(sys.modules, file[:-3], raising=False)
    project({file: "case = run = 1\n", "test/cases.py": "", "user.py": f"{statement}\n"})
    with pytest.raises(ShippingError, match=rf"/{file} cannot be carried: .* Rename yours"):
        carried_sources(["user"])


def test_a_module_named_as_a_standard_one_that_is_not_used_does_no_harm(project, monkeypatch):
    monkeypatch.delitem(sys.modules, "statistics", raising=False)
    text = "from lab import statistics\n"
    project({"statistics.py": "", "lab/statistics.py": "", "user.py": text})
    assert {"user", "lab", "lab.statistics"} == set(carried_sources(["user"]))


def test_an_installed_module_named_as_a_standard_one_stays_behind(project, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "statistics", raising=False)
    project({"site-packages/statistics.py": "", "user.py": "import statistics\n"})
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    assert {"user"} == set(carried_sources(["user"]))


@pytest.mark.parametrize("zipped", [False, True], ids=["in folders", "in an archive"])
def test_namespaces_in_namespaces_are_found_without_importing_them(
    project, monkeypatch, tmp_path, zipped
):
    text = "import outer.inner.deep.leaf\n"
    project({"flat/outer/inner/deep/leaf.py": "", "flat/user.py": text})
    place = tmp_path / "flat"
    archive = shutil.make_archive(str(tmp_path / "all"), "zip", place)
    monkeypatch.syspath_prepend(archive if zipped else place)
    expected = {"outer", "outer.inner", "outer.inner.deep", "outer.inner.deep.leaf", "user"}
    assert expected == set(carried_sources(["user"]))
    assert not expected & sys.modules.keys()


def test_a_namespace_in_a_package_that_is_not_imported_is_found(project):
    project({"lab/__init__.py": "", "lab/space/leaf.py": "", "user.py": "import lab.space.leaf\n"})
    assert {"lab", "lab.space", "lab.space.leaf", "user"} == set(carried_sources(["user"]))


def test_many_modules_of_one_distribution_are_asked_for_once():
    begin = time.monotonic()
    found = {distributions_of(f"numpy.part{number}") for number in range(200)}
    assert {("numpy",)} == found
    assert time.monotonic() - begin < 5  # each would take 0.1 s


def test_a_module_that_cannot_be_parsed_is_named(project):
    project({"broken.py": "def f(:\n"})
    with pytest.raises(ShippingError, match="'broken' cannot be read"):
        carried_sources(["broken"])


def test_a_public_name_of_ours_that_is_imported_late_brings_its_module(project):
    project(
        {
            "plain.py": "from gc_warm import self_contained\ndef f(m):\n    m.warm, m.group()\n",
            "by_name.py": "import gc_warm as gw\n@gw.warm\ndef model(): pass\n",
            "process.py": "def f():\n    from gc_warm import WarmProcess\n",
        }
    )
    assert not {"gc_warm.worker.warm", "gc_warm.worker.program.process"} & set(
        carried_sources(["plain"])
    )
    assert "gc_warm.worker.state" in carried_sources(["by_name"])
    assert {"gc_warm.worker.program.process", "gc_warm.worker.program.exchange"} <= set(
        carried_sources(["process"])
    )


def test_what_is_imported_for_type_checkers_stays_behind(project):
    project(
        {
            "typed.py": "import typing\nif typing.TYPE_CHECKING:\n    import types_only\n"
            "else:\n    import really\n",
            "types_only.py": "",
            "really.py": "",
        }
    )
    assert {"typed", "really"} == set(carried_sources(["typed"]))


def test_what_is_imported_for_others_than_type_checkers_is_carried(project):
    text = "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import really\n"
    project({"typed.py": text, "really.py": ""})
    assert {"typed", "really"} == set(carried_sources(["typed"]))
