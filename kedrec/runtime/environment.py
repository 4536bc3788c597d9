"""Environment variables, loggers and warnings of the process, set before torch is imported; and compilation."""

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
    """Turn off progress bars, tips and warnings that no user can act on, and limit how long OpenMP barriers spin.

    Variables that the user has set keep their values.
    """
    # A barrier that spins without end slows a busy machine with few cores ten-fold. One that sleeps at once costs a
    # third of the speed of short steps on a quiet machine. So it spins for some microseconds. libgomp reads the
    # variable when torch is imported.
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
    """Return the dtype that multiplies weights quickest: bfloat16 on a GPU and on CPUs with instructions for it.

    Other CPUs emulate it: on one with AVX2 alone SmolLM2 takes four times as long in bfloat16 as in float32.
    """
    import torch

    return "bfloat16" if gpu or torch.cpu.get_capabilities().get("avx512_bf16", False) else "float32"


@functools.cache
def can_compile(device: str) -> bool:
    """Whether torch.compile works for a device; on a CPU it needs a C++ compiler and the headers of Python."""
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    return device == "cuda" or (device == "cpu" and compiler is not None and headers.is_file())


@functools.cache
def fused(formula: Formula, dynamic: bool) -> Formula:
    """Return a formula compiled by torch.compile, which fuses it into few passes over memory; compiled once.

    Args:
        formula: a function of tensors, at a module's top level.
        dynamic: whether to compile once for all shapes; otherwise once for each, which is faster if shapes stay alike.
    """
    import torch

    return cast(Formula, torch.compile(formula, dynamic=dynamic))
