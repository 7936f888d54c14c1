"""What tests on a GPU share. They run whenever a machine has one, and are skipped elsewhere."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from gc_warm import LocalExecutor

NO_GPU = "needs an NVIDIA GPU, and PyTorch that can use it"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            item.add_marker(pytest.mark.may_skip(reason=NO_GPU))


@pytest.fixture(scope="session")
def models():
    """As a module of a user's project is: found by its name."""
    spec = importlib.util.spec_from_file_location(
        "gpu_models", Path(__file__).with_name("gpu_models.py")
    )
    module = sys.modules["gpu_models"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def gpu(models):
    """Skip where there is no GPU. The client itself must not use it: its memory counts, too."""
    if shutil.which("nvidia-smi") is None or importlib.util.find_spec("torch") is None:
        pytest.skip(NO_GPU)
    with LocalExecutor(workers=1) as executor:
        if not executor.submit(models.sees_gpu).result():
            pytest.skip(NO_GPU)


@pytest.fixture
def one_worker():
    with LocalExecutor(workers=1) as executor:
        yield executor


@pytest.fixture
def two_workers():
    with LocalExecutor(workers=2) as executor:
        yield executor
