"""A SLURM of two nodes on this machine, for tests: each node with a name, a network and a daemon of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.hosts import ADDRESSES, Hosts, open_hosts

NAMES = ("first", "second")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol")
SECONDS = 60
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
# No accounts, no cgroups, no munge: nodes that trust each other.
CONFIG = """\
ClusterName=tests
SlurmctldHost=first
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2
ReturnToService=2
InactiveLimit=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
NodeName=first,second CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""


class Slurm:
    """Daemons in two `Hosts`, and the commands of a user who sits on the first."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.hosts, self.folder = hosts, folder
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        (self.folder / "state").mkdir()
        for name in NAMES:
            (self.folder / f"spool-{name}").mkdir()
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self.config.write_text(CONFIG.format(folder=self.folder))
        lines = [f"{address} {name}" for address, name in zip(ADDRESSES, NAMES, strict=True)]
        (self.folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        self._daemons.append(self._begin(0, "slurmctld", "-D"))
        for host in range(2):
            self._daemons.append(self._begin(host, "slurmd", "-D"))
        self.wait_for(lambda: self("sinfo", "-h", "-o", "%D %t").strip() == "2 idle", "two idle nodes")

    @property
    def config(self) -> Path:
        return self.folder / "slurm.conf"

    def within(self, host: int, *command: object) -> list[str]:
        """A command with the name, the addresses and the names of addresses that a node has."""
        own = 'hostname "$0" && mount --bind "$1" /etc/hosts && shift && exec "$@"'
        shell = ["unshare", "--uts", "sh", "-c", own, NAMES[host], self.folder / "hosts"]
        return [*self.hosts.within(host), *map(str, shell), *map(str, command)]

    def _begin(self, host: int, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.within(host, *command), env=self._environment(host), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _environment(self, host: int) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return os.environ | {"SLURM_CONF": str(self.config), "PATH": path}

    def __call__(self, *command: object, **environment: str) -> str:
        """What a command on the first node prints."""
        done = subprocess.run(
            self.within(0, *command), env=self._environment(0) | environment, capture_output=True, text=True,
            check=False, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def submit(self, script: Path, *arguments: object, **environment: str) -> str:
        """The number of a job without GPUs, whose output goes beside its script."""
        log = script.with_suffix(".out")
        options = ("--parsable", "--gpus-per-node=0", f"--output={log}", f"--chdir={script.parent}")
        return self("sbatch", *options, script, *arguments, **environment).strip()

    def job(self, number: str) -> dict[str, str]:
        """What scontrol knows of a job: JobState, ExitCode, Restarts ..."""
        words = self("scontrol", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def ended(self, number: str) -> str:
        """How a job ended, once it has."""
        self.wait_for(lambda: self.job(number)["JobState"] in ENDED, "end of the job", 3 * SECONDS)
        return self.job(number)["JobState"]

    def start_queued_again(self, number: str) -> None:
        """Once a job is in the queue again, spare it the two minutes that SLURM lets it wait there."""

        def queued() -> bool:
            job = self.job(number)
            return (job["Restarts"], job["JobState"]) == ("1", "PENDING")

        self.wait_for(queued, "job in the queue again")
        time.sleep(3)  # the nodes do not take it in the second that ended it
        self("scontrol", "update", f"JobId={number}", "StartTime=now")

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"no {what} within {seconds} s"
            time.sleep(0.2)

    def stop(self) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            daemon.wait(SECONDS)


def open_slurm(folder: Path) -> Iterator[Slurm]:
    """For a fixture. Skips without SLURM or namespaces."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no SLURM here: {', '.join(missing)} not found (Debian: slurm-wlm)")
    for hosts in open_hosts():
        slurm = Slurm(hosts, folder)
        try:
            slurm.start()
            yield slurm
        finally:
            slurm.stop()
