"""The shell that makes the workers' environment: once, however many blocks start at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gc_warm import endpoint_config

CONFIGS = Path(__file__).parents[3] / "endpoint_configs"
FOLDERS = ["pbs-gpu", "slurm-cpu", "slurm-gpu", "workstation-gpu"]


def worker_init(folder):
    options = {"account": "a"} if folder in {"pbs-gpu", "slurm-gpu"} else {}
    config = CONFIGS / folder
    text = endpoint_config.render(
        config / "user_config_template.yaml.j2", config / "user_config_schema.json", options
    )
    return yaml.safe_load(text)["engine"]["provider"]["worker_init"]


def test_all_folders_make_it_in_the_same_way():
    parts = {worker_init(folder).partition("# The workers'")[2] for folder in FOLDERS}
    assert 1 == len({part.partition("# Without its environment")[0] for part in parts})


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
    endpoint = programs / "globus-compute-endpoint"
    endpoint.touch(0o755)
    sleep = programs / "sleep"  # what would wait says so, and does not
    sleep.write_text('#!/bin/sh\necho "sleeps $1"\n')
    sleep.chmod(0o755)
    scontrol = programs / "scontrol"
    scontrol.write_text('#!/bin/sh\necho "scontrol $*"\n')
    scontrol.chmod(0o755)
    (tmp_path / "requirements.txt").touch()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("WORKER_ENV", str(tmp_path / "a folder" / "env"))
    monkeypatch.setenv("WORKER_REQUIREMENTS", str(tmp_path / "requirements.txt"))
    return tmp_path


@pytest.mark.slow
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


def run(script, **variables):
    return subprocess.run(
        ["bash", "-c", script + "\necho started\n"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_site_comes_first(site, monkeypatch):
    (site / "setup.sh").write_text(
        "module() { echo $*; }\nmodule load conda\nexport WORKER_ENV=x\n"
    )
    monkeypatch.setenv("WORKER_SETUP", str(site / "setup.sh"))
    monkeypatch.setenv("WORKER_ENV", "")
    for folder in FOLDERS:
        assert "load conda\nstarted\n" == run(worker_init(folder)).stdout


# What becomes of the job, by its name: the first one fails the tasks, a later one must not be
# followed by others.
LATER = {
    "slurm-cpu": ["", "scontrol requeuehold 7\nsleeps 60\n"],
    "slurm-gpu": ["", "scontrol requeuehold 7\nsleeps 60\n"],
    "pbs-gpu": ["", "sleeps 900\n"],
    "workstation-gpu": ["sleeps 60\n", "sleeps 60\n"],
}


@pytest.mark.slow("makes environments")
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("broken", ["requirements", "setup", "program"])
def test_a_broken_environment_starts_no_workers_and_no_avalanche(site, monkeypatch, folder, broken):
    if broken == "requirements":
        monkeypatch.setenv("WORKER_REQUIREMENTS", str(site / "missing.txt"))
    else:
        monkeypatch.setenv("WORKER_ENV", "")
        (site / "setup.sh").write_text("PATH=/usr/bin:/bin\n" if broken == "setup" else "")
        monkeypatch.setenv("WORKER_SETUP", str(site / "setup.sh"))
        (site / "bin" / "globus-compute-endpoint").unlink()
        tools = site / "bin"
        if broken == "setup":
            (site / "setup.sh").write_text(f"PATH={tools}:/usr/bin:/bin\n")
        else:
            monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    for block, said in enumerate(LATER[folder]):
        name = f"parsl.GlobusComputeEngine.block-{block}.17"
        done = run(worker_init(folder), SLURM_JOB_NAME=name, SLURM_JOB_ID="7", PBS_JOBNAME=name)
        assert (1, said) == (done.returncode, done.stdout[-len(said) or len(done.stdout) :])
        assert "No globus-compute-endpoint" in done.stderr
        assert "started" not in done.stdout
