"""A callback by which a test learns which parameters ZeRO stage 3 makes whole while a model trains and is kept."""

import json
import os
from pathlib import Path

from lightning import Callback


class Watch(Callback):
    """Writes the names to the file that ``GATHERED`` names; does nothing without it."""

    def on_train_start(self, trainer, pl_module):
        if "GATHERED" not in os.environ or not trainer.is_global_zero:
            return
        from deepspeed.runtime.zero.partition_parameters import GatheredParameters

        names = {id(parameter): name for name, parameter in pl_module.named_parameters()}
        seen = set()
        begin = GatheredParameters.__init__

        def noted(gathered, parameters, *arguments, **options):
            parameters = list(parameters)
            seen.update(names.get(id(parameter), "?") for parameter in parameters)
            Path(os.environ["GATHERED"]).write_text(json.dumps(sorted(seen)))
            begin(gathered, parameters, *arguments, **options)

        GatheredParameters.__init__ = noted
