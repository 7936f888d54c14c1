"""What must be installed on a worker."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm import self_contained
from gc_warm.errors import ShippingError

HEAD = "from gc_warm import self_contained\n"


def test_all_that_is_missing_or_old_is_named_before_anything_is_imported(project, one_worker):
    text = (
        HEAD
        + """
import no_such_package

@self_contained(requires=["no-such-package>=2", "dill>=99", "packaging", "x; python_version<'3'"])
def work():
    return 1
"""
    )
    (project.folder / "no_such_package.py").write_text("")
    module = project({"needy.py": text})
    with pytest.raises(TaskExecutionFailed) as caught:
        one_worker.submit(module.work).result()
    message = str(caught.value)
    dill = importlib.metadata.version("dill")
    assert "RequirementError: This worker lacks" in message
    assert f"no-such-package>=2 (missing), dill>=99 (it has {dill})." in message
    assert "pip install 'no-such-package>=2' 'dill>=99' 'packaging'" in message
    assert '"requirements": "no-such-package>=2\\ndill>=99\\n' in message


def test_what_is_there_is_used(project, one_worker):
    text = (
        HEAD
        + """
@self_contained(requires=["dill>=0.1", "packaging"])
def work():
    import dill
    return dill.__name__
"""
    )
    assert "dill" == one_worker.submit(project({"needy.py": text}).work).result()


def test_the_client_prints_the_requirements(project):
    text = HEAD + "@self_contained(requires=['dill>=0.1', 'rich'])\ndef work(): pass\n"
    assert "dill>=0.1\nrich\n" == project({"needy.py": text}).work.requirements()


def test_a_function_of_an_installed_package_requires_it():
    import packaging.version

    assert "packaging\n" == self_contained(packaging.version.parse).requirements()


def test_nonsense_is_refused(project):
    text = HEAD + "@self_contained(requires=['not a requirement'])\ndef work(): pass\n"
    with pytest.raises(ShippingError, match="is no PEP 508 requirement"):
        project({"needy.py": text}).work.source()


@pytest.mark.parametrize("option", ["modules", "requires", "data"])
@pytest.mark.parametrize("value", ["numpy", 5, [5]])
def test_options_are_lists_of_texts(option, value):
    with pytest.raises(ValueError, match=f"{option} must be a list of texts"):
        self_contained(len, **{option: value})


def test_the_requirements_file_is_what_pip_reads(project, tmp_path):
    text = HEAD + "@self_contained(requires=['packaging>=20', 'dill'])\ndef work(): pass\n"
    file = tmp_path / "requirements.txt"
    file.write_text(project({"needy.py": text}).work.requirements())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index"]
    ended = subprocess.run(
        [*pip, "--dry-run", "-r", file], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
