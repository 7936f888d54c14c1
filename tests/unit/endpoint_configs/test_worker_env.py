"""The shell that makes the workers' environment: once, however many blocks start at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gc_warm.checks import rendering

CONFIGS = Path(__file__).parents[3] / "endpoint_configs"
FOLDERS = ["pbs-gpu", "slurm-cpu", "slurm-gpu", "workstation-gpu"]


def worker_init(folder):
    options = {"account": "a"} if folder in {"pbs-gpu", "slurm-gpu"} else {}
    config = CONFIGS / folder
    text = rendering.render(
        config / "user_config_template.yaml.j2", config / "user_config_schema.json", options
    )
    return yaml.safe_load(text)["engine"]["provider"]["worker_init"]


def test_all_folders_have_the_same():
    start = "# The workers' Python environment."
    assert 1 == len({worker_init(folder).partition(start)[2] for folder in FOLDERS})


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A python3 that counts the environments it makes, and nothing to install into them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    made = tmp_path / "made"
    made.touch()
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\necho "$@" >> {made}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "requirements.txt").touch()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("WORKER_ENV", str(tmp_path / "a folder" / "env"))
    monkeypatch.setenv("WORKER_REQUIREMENTS", str(tmp_path / "requirements.txt"))
    return tmp_path


def test_blocks_that_start_at_once_make_one_environment(site):
    script = worker_init("slurm-cpu") + "\ncommand -v python\n"
    blocks = [
        subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    used = {block.communicate(timeout=100)[0].splitlines()[-1] for block in blocks}
    assert {str(site / "a folder" / "env" / "bin" / "python")} == used
    assert 1 == len((site / "made").read_text().splitlines())


def test_without_a_folder_the_endpoints_own_is_used(site, monkeypatch):
    monkeypatch.setenv("WORKER_ENV", "")
    script = worker_init("slurm-cpu") + "\necho done\n"
    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, timeout=20, check=True
    )
    assert ("done\n", "") == (done.stdout, (site / "made").read_text())
