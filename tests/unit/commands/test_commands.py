"""The commands as processes: what they print, and how they exit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gc_warm.client.manifest import Entry, Manifest, Version

GC_WARM = Path(sys.executable).with_name("gc-warm")
CONFIGS = Path(__file__).parents[3] / "endpoint_configs"
COLD = "engine:\n  type: ThreadPoolEngine\n  max_workers: 2\n"
ID = "3f0d7a54-9c1e-4d34-8f5b-0c6a2f6f1a11"


def gc_warm(*arguments, cwd=None):
    return subprocess.run(
        [GC_WARM, *map(str, arguments)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_check_of_a_warm_folder():
    done = gc_warm("check", CONFIGS / "laptop")
    assert (0, "Nothing found: its workers stay warm.\n") == (done.returncode, done.stdout)


def test_check_of_a_cold_file(tmp_path):
    (tmp_path / "t.yaml").write_text(COLD)
    done = gc_warm("check", "t.yaml", cwd=tmp_path)
    assert 1 == done.returncode
    assert done.stdout.startswith("t.yaml:2: warning GW202: ")
    assert done.stdout.endswith("1 finding.\n")


def test_check_as_json(tmp_path):
    (tmp_path / "t.yaml").write_text(COLD)
    done = gc_warm("check", "t.yaml", "--json", cwd=tmp_path)
    [found] = json.loads(done.stdout)
    assert ("GW202", "t.yaml", 2, "warning") == tuple(
        found[name] for name in ("code", "file", "line", "severity")
    )


def test_check_takes_options_and_needs():
    done = gc_warm("check", CONFIGS / "slurm-cpu", "--state-gb", 14, "--build-seconds", 9000)
    assert 1 == done.returncode
    assert "GW207" in done.stdout
    assert "GW121" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["nothing"], [CONFIGS, "--options", "{"], [CONFIGS, "--options", "7"]]
)
def test_check_of_wrong_usage(arguments):
    done = gc_warm("check", *arguments)
    assert 2 == done.returncode
    assert "Traceback" not in done.stderr


def test_register_dry_run(tmp_path):
    target = "gc_warm.functions.counter:increase_count"
    done = gc_warm("register", target, "--dry-run", cwd=tmp_path)
    assert 0 == done.returncode
    assert f"{target}: would be registered, because it is new\n" == done.stdout
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "is no MODULE:FUNCTION"),
        (["no_such:x"], "Cannot import"),
        (["gc_warm.functions.counter:x"], "Cannot find"),
        (["os:getcwd"], "not self-contained"),
        (["a:b", "c:d", "--name", "x"], "--name is for one"),
    ],
)
def test_register_of_wrong_usage(tmp_path, arguments, message):
    done = gc_warm("register", *arguments, "--dry-run", cwd=tmp_path)
    assert 2 == done.returncode
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "functions.json"
    old = Version(ID.replace("3", "4"), "g", "2026-01-01T00:00:00Z")
    with Manifest(path).changing() as entries:
        entries["f"] = Entry("f", "m:f", Version(ID, "h", "2026-01-02T00:00:00Z"), (old,))
    return path


def test_functions_list_show_prune_and_allow(manifest):
    folder = manifest.parent
    assert f"{ID}  f  m:f  (1 older)\n" == gc_warm("functions", "list", cwd=folder).stdout
    shown = json.loads(gc_warm("functions", "show", "f", cwd=folder).stdout)
    assert ("f", ID, 1) == (shown["name"], shown["id"], len(shown["history"]))
    allowed = gc_warm("functions", "allow", cwd=folder).stdout
    assert f"allowed_functions:\n  - {ID}  # f\n" == allowed
    assert "forgotten" in gc_warm("functions", "prune", cwd=folder).stdout
    listed = json.loads(gc_warm("functions", "list", "--json", cwd=folder).stdout)
    assert [] == listed["f"]["history"]


def test_functions_show_of_an_unknown_name(manifest):
    done = gc_warm("functions", "show", "g", cwd=manifest.parent)
    assert (2, True) == (done.returncode, "has no function 'g'; it has: f." in done.stderr)
