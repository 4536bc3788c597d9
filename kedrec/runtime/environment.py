"""The process before the heavy imports: banners off the screen, threads that do not spin."""

import functools
import logging
import os
import shutil
import sysconfig
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

Formula = TypeVar("Formula", bound=Callable[..., Any])


def prepare_environment() -> None:
    """Turn off progress bars, tips and warnings that no user can act on, and spinning barriers; the user's own win."""
    # An OpenMP barrier that spins on costs ten-fold on a busy small machine, and one that sleeps at once a third of a
    # quiet one's speed where steps are short: it spins for some microseconds. libgomp reads it when torch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("DS_ACCELERATOR_LOG", "0")
    # Lightning turns its own loggers up when it is imported, so it is imported before they are turned down.
    import lightning  # noqa: F401

    for name in ("lightning.pytorch", "lightning.fabric", "DeepSpeed", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        r".*does not have many workers.*",
        r".*Checkpoint directory .* exists and is not empty.*",
        r".*loftq_config.*",
        r".*is_gradient_checkpointing.*",
        r".*'set_vital' is deprecated.*",
        r".*found .* module\(s\) in eval mode.*",
        r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
        r".*It is recommended to use `self.log\(.*sync_dist=True.*",  # the same in all processes, which gathered it
        r".*The `srun` command is available on your system but is not used.*",
        r".*`torch\.distributed\.(all_gather_into|reduce_scatter)_tensor` is deprecated.*",  # FSDP's own calls
        r".*number of training batches .* is smaller than the logging interval.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def quickest_dtype(gpu: bool) -> Literal["bfloat16", "float32"]:
    """Return in which numbers weights are multiplied quickest: bfloat16 on a GPU and on CPUs with instructions for it.

    Other CPUs emulate it: on one with AVX2 alone SmolLM2 takes four times as long in bfloat16 as in float32.
    """
    import torch

    return "bfloat16" if gpu or torch.cpu.get_capabilities().get("avx512_bf16", False) else "float32"


@functools.cache
def can_compile(device: str) -> bool:
    """Whether inductor compiles for a device; a CPU needs a C++ compiler and Python's headers, which nodes may lack."""
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    return device == "cuda" or (device == "cpu" and compiler is not None and headers.is_file())


@functools.cache
def fused(formula: Formula, dynamic: bool) -> Formula:
    """Return the formula compiled by inductor into few passes over memory; once for each formula.

    Args:
        formula: a function of tensors, at a module's top level.
        dynamic: compile once for all shapes, or anew for each, which is faster where they stay the same.
    """
    import torch

    return cast(Formula, torch.compile(formula, dynamic=dynamic))
