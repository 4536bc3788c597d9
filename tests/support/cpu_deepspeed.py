"""DeepSpeed on the CPU over gloo, which Lightning's strategy refuses: for tests alone."""

from typing import Any

import torch
from lightning.fabric.utilities.seed import reset_seed
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy


class CPUDeepSpeed(DeepSpeedStrategy):
    """Lightning's strategy, and everything of DeepSpeed's, but for the device; it takes the same arguments."""

    def __init__(self, **kwargs: Any) -> None:
        from deepspeed.ops import __compatible_ops__

        __compatible_ops__["deepspeed_shm_comm"] = False  # it would be compiled at the first run
        super().__init__(process_group_backend="gloo", **kwargs)

    def setup_environment(self) -> None:
        DDPStrategy.setup_environment(self)

    def setup_distributed(self) -> None:
        reset_seed()
        self.set_world_ranks()
        self._init_deepspeed_distributed()

    @property
    def root_device(self) -> torch.device:
        return torch.device("cpu", 0)
