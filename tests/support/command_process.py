"""The real command line, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def run(experiment, *arguments, module="kedrec.fit", timeout=300, **environment):
    """``python -m kedrec.fit``, or another module; the finished process, with its output as text.

    Args:
        experiment: the first argument of the command line.
        arguments: the others.
        module: to run.
        timeout: seconds, after which the process is killed.
        environment: added to that of the test.
    """
    return subprocess.run(
        [sys.executable, "-m", module, str(experiment), *arguments],
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
