"""What an experiment would take: ``python -m kedrec.fit EXPERIMENT [key=value ...] --plan``; nothing is loaded.

--gpus N         processes, one a device; unless told as many as trainer.devices and trainer.num_nodes say
--gpu NAME       a100, h100, h200 or cpu; h100 unless told
--peak-tflops X  of a device that is none of these, or that you measured
--mfu X          share of the peak that is reached; 0.4 unless told
--steps N        optimizer steps, where trainer.max_steps does not tell
--tokens N       of a conversation; unless told data.init_args.prompt.max_tokens, the most that the data let through
--supervised N   of these, those of the answer; unless told model.init_args.max_new_tokens and its end
--entities N     of a graph that is not there yet, with --relations N
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
    """Its errors are one line, as all others."""

    def error(self, message: str) -> NoReturn:
        raise KedrecError(f"--plan: {message}")


def show_plan(arguments: Sequence[str]) -> None:
    """Print the plan that a command line with ``--plan`` asks for.

    Raises:
        KedrecError: the experiment, an option or what it needs is wrong; one line.
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
    """Return the plan of an experiment, line by line; ``options`` are those of `show_plan`."""
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
