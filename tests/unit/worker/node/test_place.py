"""Where it is, and that nobody else could have put anything there."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gc_warm import node_folder, self_contained
from gc_warm.errors import NodeFolderError
from gc_warm.functions.probe import probe
from gc_warm.worker.node import lock, place
from gc_warm.worker.node.entry import entries
from gc_warm.worker.node.stats import clear

NOBODY = 65534


@node_folder
def weights(folder: Path):
    (folder / "weights").write_text("w")


def test_names_the_user_and_the_node(base):
    boot = Path("/proc/sys/kernel/random/boot_id")
    here = f"{os.uname().nodename}-{boot.read_text()[:8] if boot.exists() else ''}"
    assert base / f"gc-warm-{os.geteuid()}" / here == place.root()


@pytest.mark.parametrize("name", place.OF_SCHEDULERS)
def test_is_in_the_schedulers_scratch_if_there_is_one(name, monkeypatch, tmp_path):
    monkeypatch.delenv("GC_WARM_NODE_DIR")
    monkeypatch.setenv(name, str(tmp_path))
    assert tmp_path == place.base()
    monkeypatch.setenv(name, str(tmp_path / "of another node"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert tmp_path == place.base()


def test_a_relative_folder_is_refused_for_tasks_run_in_folders_of_their_own(monkeypatch):
    monkeypatch.setenv("GC_WARM_NODE_DIR", "~/scratch")
    with pytest.raises(NodeFolderError, match="must be an absolute path, not '~/scratch'"):
        weights()
    assert "must be an absolute path" in probe()["node"]["error"]


@pytest.mark.parametrize("scratch", ["", "relative", "/nonexistent"])
def test_a_scratch_that_cannot_be_used_is_no_place(monkeypatch, tmp_path, scratch):
    monkeypatch.delenv("GC_WARM_NODE_DIR")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relative").mkdir()
    monkeypatch.setenv("SLURM_TMPDIR", scratch)
    assert Path(tempfile.gettempdir()).resolve() == place.base()


def test_a_folder_may_have_any_name(monkeypatch, tmp_path):
    odd = tmp_path / "a b\nü%s{}'\""
    monkeypatch.setenv("GC_WARM_NODE_DIR", str(odd))
    assert odd in weights().parents


def test_all_is_private(base):
    old = os.umask(0)
    try:
        weights()
    finally:
        os.umask(old)
    for above, folders, _ in os.walk(base):
        for each in folders:
            assert 0o700 == (Path(above) / each).stat().st_mode & 0o777


@pytest.mark.parametrize("planted", ["link", "file", "open folder", "foreign folder"])
@pytest.mark.parametrize("level", ["user", "node", "folders", "entry"])
def test_what_another_could_have_planted_is_refused(base, tmp_path, planted, level):
    weights()
    here = place.path()
    entry = next(iter(entries())).path
    there = {"user": here.parent, "node": here, "folders": here / "folders", "entry": entry}[level]
    there.rename(tmp_path / "moved")
    victim = tmp_path / "victim"
    victim.mkdir(0o700)
    (victim / "1").mkdir()
    match planted:
        case "link":
            there.symlink_to(victim)
        case "file":
            there.touch()
        case "open folder":
            there.mkdir()
            there.chmod(0o777)
        case "foreign folder":
            if os.geteuid():
                pytest.skip("only root can give files away")
            there.mkdir(0o700)
            os.chown(there, NOBODY, NOBODY)
    with pytest.raises(NodeFolderError, match="GC_WARM_NODE_DIR"):
        weights()
    clear()
    assert (victim / "1").is_dir()


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_in_which_others_can_replace_ours_is_refused(base, mode):
    base.mkdir()
    base.chmod(mode)
    with pytest.raises(NodeFolderError, match="others could replace what you put there"):
        weights()
    base.chmod(0o1777)
    assert weights().is_dir()


AS_ANOTHER = """
import os, sys
from pathlib import Path
from gc_warm import node_folder, self_contained

@node_folder
def weights(folder: Path):
    (folder / "weights").write_text(str(os.getuid()))

# Once as root: what this imports, another user may not be able to read.
user, base = int(sys.argv[1]), os.environ["GC_WARM_NODE_DIR"]
os.environ["GC_WARM_NODE_DIR"] = sys.argv[2]
weights()
os.environ["GC_WARM_NODE_DIR"] = base
os.setgroups([])
os.setgid(user)
os.setuid(user)
print((weights() / "weights").read_text())
"""


@pytest.fixture
def as_user(tmp_path):
    def run(user):
        command = [sys.executable, "-c", AS_ANOTHER, str(user), str(tmp_path / "root's")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_users_do_not_meet(monkeypatch, as_user):
    with tempfile.TemporaryDirectory(dir="/tmp") as shared:  # which all can enter
        Path(shared).chmod(0o1777)
        monkeypatch.setenv("GC_WARM_NODE_DIR", shared)
        for user in (NOBODY, 0, NOBODY):
            assert f"{user}\n" == as_user(user).stdout
        assert {f"gc-warm-{NOBODY}", "gc-warm-0"} == {each.name for each in Path(shared).iterdir()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_another_user_has_planted_is_refused(monkeypatch, as_user):
    with tempfile.TemporaryDirectory(dir="/tmp") as shared:
        Path(shared).chmod(0o1777)
        monkeypatch.setenv("GC_WARM_NODE_DIR", shared)
        planted = Path(shared, f"gc-warm-{NOBODY}")
        planted.mkdir(0o700)
        assert "belongs to the user 0" in as_user(NOBODY).stderr
        assert [] == [*planted.iterdir()]


def test_what_is_left_from_before_the_node_was_booted_goes(base):
    @self_contained
    def use():
        return str(weights())

    use()
    earlier = place.path().with_name(f"{os.uname().nodename}-00000000")
    place.path().rename(earlier)
    other = place.path().with_name("another-node-00000000")
    other.mkdir()
    use()
    assert not earlier.exists()
    assert other.exists()


def test_locks_are_tried_before_they_are_trusted(base, monkeypatch):
    place.root()
    lock.require_locks(place.path())
    assert ["folders", "turns"] == sorted(each.name for each in place.path().iterdir())


WITHOUT_LOCKS = """
import fcntl, errno, sys
real = fcntl.flock
def flock(file, kind):
    if sys.argv[1] == "refused":
        raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
from pathlib import Path
from gc_warm import node_folder, self_contained

@node_folder
def weights(folder: Path):
    print("filled")

weights()
"""


@pytest.mark.parametrize("how", ["refused", "granted to all"])
def test_where_locks_do_not_work_that_is_said(programs, how):
    _, error = programs.start(WITHOUT_LOCKS, how).communicate(timeout=30)
    assert "NodeFolderError: File locks do not work at" in error
    assert "Set GC_WARM_NODE_DIR to a folder of your own on a disk of the node." in error
