"""Prepares the data of several experiments: ``python -m kedrec.commands.sweep.sweep_preparation EXPERIMENT ...``.

Each argument is a JSON list: an experiment file and its overrides. A separate process frees its memory before the
trials start.
"""

import json
import sys

from kedrec.config import compose
from kedrec.errors import KedrecError
from kedrec.runtime.progress import shown_as_bars
from kedrec.training.experiment_objects import build


def main() -> int:
    """Prepare them; return 1 if one could not be prepared."""
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    faults = 0
    for argument in sys.argv[1:]:
        experiment, *overrides = json.loads(argument)
        try:
            with shown_as_bars():
                build(compose(experiment, overrides)).data.prepare_data()
        except KedrecError as fault:
            print(f"kedrec: {' '.join([experiment, *overrides])}: {fault}", file=sys.stderr, flush=True)
            faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
