"""A callback by which a test signals its own training, or halts it until somebody else does, at a moment.

``SIGNAL_AT`` names the moments: an optimizer step, ``validation``, ``test``, or ``save`` for the one that a signal
brings about. ``SIGNALS`` names the signals that the process then sends itself, such as ``SIGUSR1,SIGTERM``; without it
the process waits for one. Where ``SIGNAL_ONCE`` names a file, it is written then, and while it is there nothing
happens: so a job runs through when it comes back from the queue.
"""

import os
import signal
import time
from pathlib import Path

from lightning import Callback

from kedrec.runtime.distributed import is_first
from kedrec.runtime.signals import heard


class Signal(Callback):
    """Does nothing unless ``SIGNAL_AT`` names a moment."""

    def on_train_batch_start(self, trainer, *_):
        self._signal_if(str(trainer.global_step + 1))

    def on_validation_batch_start(self, *_):
        self._signal_if("validation")

    def on_test_batch_start(self, *_):
        self._signal_if("test")

    def on_save_checkpoint(self, trainer, *_):
        if heard():
            self._signal_if("save")

    def _signal_if(self, moment):
        if moment not in os.environ.get("SIGNAL_AT", "").split(",") or not is_first():
            return
        if once := os.environ.get("SIGNAL_ONCE"):
            if Path(once).exists():
                return
            Path(once).touch()
        for name in filter(None, os.environ.get("SIGNALS", "").split(",")):
            os.kill(os.getpid(), signal.Signals[name])
        end = time.monotonic() + 120
        while not heard() and time.monotonic() < end:
            time.sleep(0.05)
