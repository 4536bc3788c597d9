"""A real Slurm of two nodes on this machine, for as long as the tests take."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.support.command_process import REPOSITORY

# Root runs everything, and trusts itself: neither munge nor a database. The GPUs are copies of /dev/null.
SLURM_CONF = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
SlurmdLogFile={folder}/slurmd-%n.log
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1
GresTypes=gpu
KillWait=60
ReturnToService=2
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8 RealMemory=8000 Gres=gpu:2
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 RealMemory=8000 Gres=gpu:2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
CGROUP_CONF = """
CgroupPlugin=cgroup/v1
CgroupAutomount=no
ConstrainCores=no
ConstrainDevices=no
ConstrainRAMSpace=no
ConstrainSwapSpace=no
"""


class Cluster:
    """The running Slurm.

    Args:
        folder: its configuration, state and logs.
    """

    def __init__(self, folder):
        self.folder = folder
        self.settings = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "KEDREC_PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
            # The nodes' names are no names of hosts.
            "MASTER_ADDR": "127.0.0.1",
            "GLOO_SOCKET_IFNAME": "lo",
        }

    def call(self, *command, check=True, **environment):
        """What a command of Slurm's prints; it runs in the repository."""
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**os.environ, **self.settings, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def submit(self, *arguments, **environment):
        """Submit a job in a small shape, its log in the cluster's folder; the job's number."""
        small = ("--parsable", "--mem=1G", "--cpus-per-task=1", f"--output={self.folder}/%j.log")
        return self.call("sbatch", *small, *arguments, **environment)

    def log(self, job):
        return (self.folder / f"{job}.log").read_text()

    def job(self, job):
        """The fields that `scontrol show job` prints."""
        told = self.call("scontrol", "--oneliner", "show", "job", job).splitlines()[0]
        return dict(field.split("=", 1) for field in told.split() if "=" in field)

    def wait(self, what, seconds=120):
        """Wait until ``what()`` holds."""
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                logs = "\n".join(f"{log}:\n{log.read_text()[-2000:]}" for log in sorted(self.folder.glob("*.log")))
                pytest.fail(f"waited {seconds} s in vain\n{self.call('squeue', '--all')}\n{logs}")
            time.sleep(0.2)

    def wait_for(self, job, state, **other):
        """Wait until a job has a state, and other fields."""
        wanted = {"JobState": state, **other}
        self.wait(lambda: wanted.items() <= self.job(job).items())

    def bring_forward(self, job):
        """Start a job that was put back into the queue now, not after the two minutes that Slurm waits."""
        self.wait_for(job, "PENDING")
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now")


@pytest.fixture(scope="session")
def cluster():
    if os.environ.get("KEDREC_SLURM_TEST") != "1":
        pytest.skip("installs and starts Slurm: set KEDREC_SLURM_TEST=1 for it")
    if os.geteuid() != 0 or not Path("/etc/debian_version").is_file():
        pytest.skip("Slurm is installed and started as root on Debian only")
    install()
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: sockets lie in it
    daemons = []
    try:
        configure(folder)
        running = Cluster(folder)
        for command in (["slurmctld", "-c"], ["slurmd", "-N", "n1"], ["slurmd", "-N", "n2"]):
            with (folder / "daemons.log").open("a") as log:
                started = [*command, "-D", "-f", folder / "slurm.conf"]
                environment = {**os.environ, **running.settings}
                daemons.append(subprocess.Popen(started, env=environment, stdout=log, stderr=log))
        running.wait(lambda: running.call("sinfo", "-h", "-t", "idle", "-o", "%D", check=False) == "2", 60)
        yield running
        running.call("scancel", "--full", "--user=root", "--signal=KILL", check=False)
        running.wait(lambda: not running.call("squeue", "-h"), 30)
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
        shutil.rmtree(folder)


def install():
    """Install Slurm, which stays; its services are not started."""
    if all(shutil.which(command) for command in ("slurmctld", "slurmd", "sbatch")):
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1", "SYSTEMD_OFFLINE": "1"}
    policy = Path("/usr/sbin/policy-rc.d")
    own = not policy.exists()
    if own:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    command = ["apt-get", "install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]
    try:
        if subprocess.run(command, env=quiet, capture_output=True, check=False).returncode:
            subprocess.run(["apt-get", "update"], env=quiet, capture_output=True, check=True)
            subprocess.run(command, env=quiet, check=True)
    finally:
        if own:
            policy.unlink()


def configure(folder):
    folder.chmod(0o755)
    for name in ("state", "spool-n1", "spool-n2", "gpus"):
        (folder / name).mkdir()
    for number in range(2):
        os.mknod(folder / "gpus" / f"gpu{number}", 0o600 | 0o020000, os.makedev(1, 3))
    (folder / "slurm.conf").write_text(SLURM_CONF.format(folder=folder, ports=free_ports(3)))
    (folder / "cgroup.conf").write_text(CGROUP_CONF)
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpus/gpu[0-1]\n")


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
