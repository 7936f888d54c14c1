"""The state file: who can read it, and whether it is one."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from gc_warm.errors import UsageError
from gc_warm.local.service.service import LocalService
from gc_warm.local.service.state.store import SqliteStore

OPEN_AND_WAIT = """
import os, sys
from pathlib import Path
from gc_warm.local.service.state.state import State
from gc_warm.local.service.state.store import SqliteStore
os.umask(0o022)
State(SqliteStore(Path(sys.argv[1]))).identities.named("user")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def kill_one_that_has_it(path):
    """Let a process write to the file, and kill it; return what it had open."""

    def kill():
        with subprocess.Popen(
            [sys.executable, "-c", OPEN_AND_WAIT, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert b"ready\n" == process.stdout.readline()
            seen = modes(path)
            process.send_signal(signal.SIGKILL)
        return seen

    return kill


def modes(path):
    return {each.name: oct(each.stat().st_mode & 0o777) for each in path.parent.iterdir()}


def tables(path):
    database = sqlite3.connect(path)
    found = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    database.close()
    return found


def test_nobody_else_can_read_it(path, kill_one_that_has_it):
    private = {"state.db": "0o600", "state.db-wal": "0o600"}
    assert private == kill_one_that_has_it()
    assert private == modes(path)


def test_what_others_could_read_is_made_private(path, kill_one_that_has_it):
    kill_one_that_has_it()
    for each in path.parent.iterdir():
        each.chmod(0o644)
    path.with_name("state.db-shm").touch(0o644)  # another program looked into it meanwhile

    store = SqliteStore(path)
    assert {"0o600"} == set(modes(path).values())
    store.close()


def test_a_link_is_refused(path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UsageError, match="regular file"):
        SqliteStore(path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE places (url TEXT)",
        "CREATE TABLE records (title TEXT, document TEXT)",
        "PRAGMA application_id = 1",
    ],
)
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_another_programs_database_is_left_alone(path, made, mode):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"PRAGMA journal_mode = {mode}")
    database.execute(made)
    database.close()
    path.chmod(0o640)
    before = path.read_bytes()

    with pytest.raises(UsageError, match="another program"):
        SqliteStore(path)
    assert {"state.db": "0o640"} == modes(path)
    assert before == path.read_bytes()


def test_an_empty_file_is_a_new_one(path):
    path.touch()
    SqliteStore(path).close()
    assert "records" in tables(path)


def damage_pages(path):
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


def damage_a_record(path):
    database = sqlite3.connect(path)
    database.execute("UPDATE records SET document = substr(document, 5) WHERE kind = 'identity'")
    database.commit()
    database.close()


@pytest.mark.parametrize("damage", [damage_pages, damage_a_record])
def test_a_damaged_file(path, damage):
    with LocalService(port=0, state=path) as service:
        for _ in range(20):
            service.client().register_function(pow)
    damage(path)

    with pytest.raises(UsageError, match=r"state\.db cannot be used.*damaged"):
        LocalService(port=0, state=path).start()
