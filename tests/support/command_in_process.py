"""A command of kedrec run within the test's own process: quick, but it can be neither killed nor signalled."""

import contextlib
import importlib
import io
import os
import subprocess
from unittest import mock

from tests.support.command_process import REPOSITORY


def run_in_process(*arguments, module="kedrec.fit", **environment):
    """Call ``main`` of ``module`` as ``python -m`` would; the same result as `command_process.run` returns."""
    words = [str(one) for one in arguments]
    printed, complained = io.StringIO(), io.StringIO()
    main = importlib.import_module(module).main
    with (
        mock.patch.dict(os.environ, environment),
        contextlib.chdir(REPOSITORY),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(complained),
    ):
        status = main(words)
    return subprocess.CompletedProcess(words, status, printed.getvalue(), complained.getvalue())
