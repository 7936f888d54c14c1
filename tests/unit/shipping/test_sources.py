"""Which modules travel with a function."""

from __future__ import annotations

import importlib
import sys

import pytest

from gc_warm.errors import ShippingError
from gc_warm.shipping.sources import carried_sources, is_carried


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
    assert not {"gc_warm.worker.warm", "gc_warm.worker.process"} & set(carried_sources(["plain"]))
    assert "gc_warm.worker.state" in carried_sources(["by_name"])
    assert {"gc_warm.worker.process", "gc_warm.worker.exchange"} <= set(
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
