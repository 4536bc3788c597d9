"""Model states: the bytes of weights, gradients and optimizer in each process, and how ZeRO shares them.

Pure functions of numbers. They are those of Rajbhandari et al., ZeRO, arXiv 1910.02054, sections 3.1 and 5, and
of ZeRO-Infinity, arXiv 2104.07857, section 3, as torch and DeepSpeed keep them.
"""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["ddp", "zero1", "zero2", "zero3", "zero3_offload"]
STAGES: dict[Stage, str] = {
    "ddp": "one process or DDP",
    "zero1": "ZeRO-1",
    "zero2": "ZeRO-2",
    "zero3": "ZeRO-3",
    "zero3_offload": "ZeRO-3, offloaded",
}

_BUCKET = 200_000_000  # numbers that ZeRO reduces at a time: Lightning's DeepSpeedStrategy
_LIVE = 1_000_000_000  # numbers of weights that ZeRO-3 holds whole at a time: DeepSpeed's stage3_max_live_parameters


@dataclass(frozen=True)
class States:
    """Memory of one process that does not depend on the batch, bytes.

    Attributes:
        weights: frozen and trained.
        gradients: of the trained parameters.
        optimizer: its states, and the float32 copy of the weights where there is one.
        buffers: what is reduced or gathered at a time.
        step: temporaries of the optimizer's step, when no activations are left.
        host: of the host's memory.
    """

    weights: float
    gradients: float
    optimizer: float
    buffers: float = 0.0
    step: float = 0.0
    host: float = 0.0

    def peak(self, working: float) -> float:
        """Return the most that is held at a time, ``working`` being activations and logits."""
        return self.weights + self.gradients + self.optimizer + self.buffers + max(working, self.step)


def states(
    stage: Stage, processes: int, frozen: int, trained: int, frozen_bytes: int, trained_bytes: int, foreach: bool = True
) -> States:
    """Return the states under AdamW (ZeRO, sections 3.1 and 5); frozen parameters have weights only.

    Without ZeRO there are torch's two moments, of the weights' own type; with it, as DeepSpeed has it, a float32 copy
    of the weights and two float32 moments: the paper's K = 12 bytes.

    Args:
        stage: which of them are partitioned.
        processes: over which.
        frozen: weights that are not trained.
        trained: weights that are.
        frozen_bytes: a frozen weight's.
        trained_bytes: a trained weight's, and its gradient's.
        foreach: whether AdamW steps over all tensors at once, as on a GPU, with a temporary of all their sizes.
    """
    learned = trained * trained_bytes
    weights = frozen * frozen_bytes + learned
    if stage == "ddp":
        # DDP's buckets are a second copy of the gradients.
        return States(weights, learned, 2 * learned, learned * (processes > 1), learned * foreach)
    kept = 12 * trained / processes
    bucket = 2 * min(trained, _BUCKET) * trained_bytes  # one is reduced while the next one fills
    if stage == "zero1":
        return States(weights, learned, kept, bucket)
    if stage == "zero2":
        return States(weights, learned / processes, kept, bucket)
    whole = bucket + min(frozen + trained, _LIVE) * frozen_bytes
    if stage == "zero3":
        return States(weights / processes, learned / processes, kept, whole)
    # ZeRO-Infinity's 20 bytes: beside those above, the gradients again, in float32.
    beside = (weights + learned + 4 * trained) / processes + kept
    return States(0.0, 0.0, 0.0, whole, host=beside)
