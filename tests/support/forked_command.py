"""A command of kedrec as a child of the fork server: a process of its own that starts at once."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.command_process import REPOSITORY


class ForkedCommand:
    """A running command, with the methods of `subprocess.Popen` that tests use.

    Args:
        module: such as ``kedrec.fit``, or the path of a script, ``.py``.
        arguments: of its command line.
        environment: added to that of the test.

    Attributes:
        pid: the process id.
        returncode: the exit status, minus the signal's number if one ended it; ``None`` before it is known.
    """

    def __init__(self, module, *arguments, **environment):
        self._folder = Path(tempfile.mkdtemp(prefix="forked-"))
        self.returncode = None
        request = {
            "module": module,
            "arguments": [str(one) for one in arguments],
            "environment": {**os.environ, **environment},
            "folder": str(REPOSITORY),
            **{name: str(self._folder / name) for name in ("stdout", "stderr", "status")},
        }
        self.pid = int(_Server.of_this_worker().send(request))

    def poll(self):
        """Return the exit status, ``None`` while the command runs."""
        status = self._folder / "status"
        if self.returncode is None and status.exists():
            self.returncode = int(status.read_text())
        return self.returncode

    def wait(self, timeout=300):
        """Return the exit status once the command has ended; kill it after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                self.send_signal(signal.SIGKILL)
                raise subprocess.TimeoutExpired(str(self.pid), timeout, self._read("stdout"), self._read("stderr"))
            time.sleep(0.005)
        return self.returncode

    def communicate(self, timeout=300):
        """Wait; return what was printed on standard output and standard error."""
        self.wait(timeout)
        return self._read("stdout"), self._read("stderr")

    def send_signal(self, number):
        """Send a signal, unless the command has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        """Kill the command."""
        self.send_signal(signal.SIGKILL)

    def _read(self, name):
        return (self._folder / name).read_text(errors="replace")


def run_forked(*arguments, module="kedrec.fit", **environment):
    """Run a command to its end; the same result as `command_process.run` returns."""
    command = ForkedCommand(module, *arguments, **environment)
    stdout, stderr = command.communicate()
    return subprocess.CompletedProcess(list(arguments), command.returncode, stdout, stderr)


def run_ranks(count, *arguments, module="kedrec.fit", **environment):
    """Run a command in several processes that train together, as started on each device by hand.

    Returns:
        the result of `run_forked` with the exit status of the first process, and what they all printed.
    """
    together = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(count),
        "NODE_RANK": "0",
        **environment,
    }
    ranks = [ForkedCommand(module, *arguments, LOCAL_RANK=str(rank), **together) for rank in range(count)]
    printed = [rank.communicate() for rank in ranks]
    stdout, stderr = ("".join(texts) for texts in zip(*printed, strict=True))
    return subprocess.CompletedProcess(list(arguments), ranks[0].returncode, stdout, stderr)


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class _Server:
    """The fork server of this test worker, started at the first command and ended with the worker."""

    _running = None

    @classmethod
    def of_this_worker(cls):
        if cls._running is None:
            cls._running = cls()
        return cls._running

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"
        atexit.register(self._end)

    def _end(self):
        self._process.stdin.close()
        self._process.wait()

    def send(self, request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()
