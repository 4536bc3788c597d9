"""A callback by which a test kills its own training, as ``kill -9`` would, at a step named in the environment."""

import os
import signal

from lightning import Callback


class Kill(Callback):
    """Does nothing unless ``KILL_AT`` names a moment: an optimizer step, ``validation`` or ``test``."""

    def on_train_batch_end(self, trainer, *_):
        if os.environ.get("KILL_AT") == str(trainer.global_step):
            self._kill()

    def on_validation_start(self, trainer, *_):
        if os.environ.get("KILL_AT") == "validation":
            self._kill()

    def on_test_start(self, trainer, *_):
        if os.environ.get("KILL_AT") == "test":
            self._kill()

    def _kill(self):
        signum = signal.SIGINT if os.environ.get("KILL_GENTLY") else signal.SIGKILL
        os.kill(os.getpid(), signum)
