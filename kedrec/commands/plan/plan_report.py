"""Memory and time of an experiment: ``python -m kedrec.fit EXPERIMENT [key=value ...] --plan``; nothing is loaded.

--gpus N         processes, one a device; default: trainer.devices times trainer.num_nodes
--gpu NAME       a100, h100, h200 or cpu; default h100
--peak-tflops X  peak of another device, or as you measured it
--mfu X          share of the peak that is reached; default 0.4
--steps N        optimizer steps, if trainer.max_steps is not set
--tokens N       tokens of a conversation; default data.init_args.prompt.max_tokens, the most that the data allow
--supervised N   tokens of the answer; default model.init_args.max_new_tokens and the end token
--entities N     entities of a graph that is not there yet, with --relations N
"""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from kedrec.config import Experiment, compose
from kedrec.errors import KedrecError
from kedrec.training.experiment_objects import build

_DEVICES = ("a100", "h100", "h200", "cpu")
_COUNTS = ("gpus", "steps", "tokens", "supervised", "entities", "relations")


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        raise KedrecError(f"--plan: {message}")


def show_plan(arguments: Sequence[str]) -> None:
    """Print the plan of a command line with ``--plan``.

    Raises:
        KedrecError: the experiment or an option is wrong, or a file is missing.
    """
    parser = _Parser(
        prog="python -m kedrec.fit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("experiment", help=argparse.SUPPRESS)
    parser.add_argument("--plan", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--gpu", choices=_DEVICES, default="h100", help=argparse.SUPPRESS)
    parser.add_argument("--mfu", type=float, default=0.4, help=argparse.SUPPRESS)
    parser.add_argument("--peak-tflops", type=float, help=argparse.SUPPRESS)
    for name in _COUNTS:
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    options, overrides = parser.parse_known_args(arguments)
    for name in (*_COUNTS, "mfu", "peak_tflops"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise KedrecError(f"--{name.replace('_', '-')}: {value}; expected a number above 0")
    print("\n".join(plan_lines(compose(options.experiment, overrides), options)))


def plan_lines(experiment: Experiment, options: argparse.Namespace) -> list[str]:
    """Return the lines of the plan of an experiment; ``options`` are those of `show_plan`."""
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    import torch

    from kedrec.commands.plan.plan_lines import Asked, kge_lines, other_lines, student_lines
    from kedrec.commands.plan.store_size import store_lines
    from kedrec.kedrec_lm.student import Student
    from kedrec.lladr.kge import KGE

    with torch.device("meta"):  # a model that makes its weights in its constructor makes none here
        built = build(experiment)
    asked = Asked(experiment.tree["trainer"], options)
    if isinstance(built.model, Student):
        lines = student_lines(built.model, built.data, asked)
    elif isinstance(built.model, KGE):
        lines = kge_lines(built.model, built.data, asked)
    else:
        lines = other_lines(built.model, asked)
    title = f"plan of {experiment.name}: nothing was loaded, fetched or written"
    return [title, *lines, *store_lines(built.data)]
