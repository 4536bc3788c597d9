"""Finished runs that several test files read: each is trained once, by the real command line."""

import functools
import hashlib

from tests.support.command_process import run


@functools.cache
def trained(experiment, *overrides):
    """The folder of the finished run of an experiment; read only."""
    name = hashlib.sha256(repr(overrides).encode()).hexdigest()[:8]
    folder = experiment.parent / "runs" / f"{experiment.stem}-{name}"
    done = run(experiment, f"out={folder}", *overrides)
    assert done.returncode == 0, done.stderr
    return folder
