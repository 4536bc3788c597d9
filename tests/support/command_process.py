"""The real command line, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def run(experiment, *arguments, module="kedrec.fit", **environment):
    """``python -m kedrec.fit``, or another module; the finished process, with its output as text."""
    return subprocess.run(
        [sys.executable, "-m", module, str(experiment), *arguments],
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
