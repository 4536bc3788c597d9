"""Finished runs that several test files read: each is trained once in a test run, whichever worker comes first."""

import hashlib
import shutil

from tests.support.command_in_process import run_in_process
from tests.support.shared_between_workers import made_once


def trained(experiment, *overrides):
    """The folder of the finished run of an experiment; read only.

    Args:
        experiment: its file, in a folder that all workers share, as `shared_root` is.
        overrides: of the command line.
    """
    name = hashlib.sha256(repr(overrides).encode()).hexdigest()[:8]

    def train(folder):
        shutil.rmtree(folder, ignore_errors=True)
        done = run_in_process(experiment, f"out={folder}", *overrides)
        assert done.returncode == 0, done.stderr
        printed_by(folder).write_text(done.stdout)

    return made_once(experiment.parent / "runs" / f"{experiment.stem}-{name}", train)


def printed_by(folder):
    """The file that holds what training a run printed on standard output."""
    return folder.with_name(f"{folder.name}.printed")
