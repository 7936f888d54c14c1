"""Builders that are killed at any moment."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PROCESSES, ROUNDS = 8, 200

# Forks processes that all want one folder, kills some, and looks at what the others got.
STRESS = """
import os, random, signal, sys, time
from pathlib import Path
from gc_warm import node_folder, warm
from gc_warm.worker.node import place
from gc_warm.worker.node.entry import entries

PROCESSES, ROUNDS = int(sys.argv[1]), int(sys.argv[2])
FILES, DATA = 12, bytes(50_000)

@node_folder(wait=60)
def data(number: int, folder: Path):
    for file in range(FILES):
        (folder / str(file)).write_bytes(DATA)

@warm(builds_per_node=1, wait=60)
def model(number: int):
    turn = place.base() / "turn"
    if turn.exists() and alive(int(turn.read_text() or 0)):
        raise RuntimeError("two build at a time")
    turn.write_text(str(os.getpid()))
    found = sorted((file.name, file.stat().st_size) for file in data(number).iterdir())
    turn.unlink()
    return found

def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

WHOLE = sorted((str(file), len(DATA)) for file in range(FILES))

def child(number):
    try:
        if number % 2:
            found = sorted((file.name, file.stat().st_size) for file in data(number).iterdir())
        else:
            found = model(number)
        os._exit(0 if found == WHOLE else 3)
    except BaseException as error:
        print(f"round {number}: {type(error).__name__}: {error}", flush=True)
        os._exit(4)

def start(number):
    pid = os.fork()
    return pid or child(number)

seed = random.randrange(10**9)
choose = random.Random(seed)
longest = kills = 0
for number in range(ROUNDS):
    began = time.monotonic()
    pids = [start(number) for _ in range(PROCESSES)]
    for victim in choose.sample(pids, choose.randint(1, PROCESSES - 1)):
        time.sleep(choose.random() * 0.01)
        os.kill(victim, signal.SIGKILL)
        pids.remove(victim)
        kills += os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]) == -signal.SIGKILL
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    longest = max(longest, time.monotonic() - began)
    assert set(codes) == {0}, (seed, number, codes)
    (entry,) = entries()
    assert sorted(each.name for each in entry.path.iterdir()) == ["1", "lock"], (seed, number)
    entry.generations()[0].remove()
    entry.forget()
print(f"{kills} killed, longest round {longest:.2f} s")
assert longest < 20
assert [] == [*entries()]
"""


def test_killed_builders_leave_one_complete_build_and_no_waiter_stuck(programs):
    found = programs.start(STRESS, PROCESSES, ROUNDS)
    out, error = found.communicate(timeout=200)
    assert 0 == found.returncode, out + error
    assert int(out.split()[0]) > ROUNDS


# All want some of twelve folders, of which there is space for four.
EVICTION = """
import os, random, sys
from gc_warm import node_folder, node_stats, self_contained

@node_folder(maxbytes=40_000, wait=60)
def part(number: int, folder):
    for file in range(5):
        (folder / str(file)).write_bytes(bytes([number]) * 2000)

@self_contained
def use(number):
    found = part(number)
    return [(found / str(file)).read_bytes() == bytes([number]) * 2000 for file in range(5)]

def child(seed):
    choose = random.Random(seed)
    for _ in range(60):
        assert [True] * 5 == use(choose.randrange(12))

pids = []
for seed in range(6):
    pid = os.fork()
    if not pid:
        child(seed)
        os._exit(0)
    pids.append(pid)
print({os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids})
print(sum(each["bytes"] for each in node_stats()["folders"]) <= 40_000)
"""


def test_what_is_evicted_is_never_in_use(programs):
    assert "{0}\nTrue\n" == programs.run(EVICTION)
