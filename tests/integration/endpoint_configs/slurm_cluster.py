"""A real Slurm of one node with two pretended GPUs, on loopback, in a folder of its own.

Debian: ``apt-get install slurm-wlm munge``. All its programs run as the user who starts the tests.
"""

import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "squeue", "sinfo")
SECONDS = 30

SLURM_CONF = """
ClusterName=warm
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
KillWait=2
InactiveLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Gres=gpu:2 State=UNKNOWN
PartitionName=regular Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

GRES_CONF = "NodeName={host} Name=gpu File={folder}/gpu[0-1]\n"


def missing() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start Slurm, and give the environment with which its commands find it."""
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    for number in (0, 1):
        (folder / f"gpu{number}").touch()
    values = {
        "folder": folder,
        "host": host,
        "user": getpass.getuser(),
        "cpus": os.cpu_count(),
        "ctld_port": _free_port(),
        "slurmd_port": _free_port(),
    }
    (folder / "slurm.conf").write_text(SLURM_CONF.format(**values))
    (folder / "gres.conf").write_text(GRES_CONF.format(**values))
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
    with contextlib.ExitStack() as stack:
        start = Starter(folder, environment, stack)
        start(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munged.seed",
        )
        wait_until((folder / "munge.socket").exists, "munged", folder)
        start("slurmctld", "-D")
        start("slurmd", "-D")
        wait_until(lambda: "idle" in start.ask("sinfo", "-h", "-o", "%t"), "slurmd", folder)
        yield environment
        start.ask("scancel", "--user", values["user"])
        wait_until(lambda: not start.ask("squeue", "-h").strip(), "scancel", folder)


class Starter:
    def __init__(
        self, folder: Path, environment: dict[str, str], stack: contextlib.ExitStack
    ) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment}
        self.stack = stack

    def __call__(self, *command: str) -> None:
        log = self.stack.enter_context((self.folder / f"{command[0]}.out").open("wb"))
        process = subprocess.Popen(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        self.stack.callback(_end, process)

    def ask(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=20
        )
        return done.stdout


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(is_so: Callable[[], bool], what: str, folder: Path) -> None:
    """Ask until it is so; Slurm has no way to tell."""
    end = time.monotonic() + SECONDS
    while not is_so():
        if time.monotonic() > end:
            logs = [*folder.glob("*.log"), *folder.glob("*.out")]
            tails = [f"{path.name}:\n{path.read_text(errors='replace')[-1500:]}" for path in logs]
            raise RuntimeError(f"{what} did not do it in time.\n" + "\n".join(tails))
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
