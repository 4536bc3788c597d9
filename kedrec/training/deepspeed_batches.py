"""DeepSpeed's ZeRO under Lightning: what of the strategy is set for the batches of kedrec."""

from typing import Any

from lightning import Trainer
from lightning.pytorch.plugins.precision import DeepSpeedPrecision
from lightning.pytorch.strategies import DeepSpeedStrategy


class BatchesAsTheyAre(DeepSpeedPrecision):
    """DeepSpeed's precision, which would cast what a batch holds, and refuses batches that cannot be changed."""

    def convert_input(self, data: Any) -> Any:
        """Return the batch: models cast what they need."""
        return data


def keep_batches(trainer: Trainer) -> None:
    """Let a trainer with DeepSpeed's strategy hand batches on as they are; another trainer stays as it is."""
    strategy = trainer.strategy
    if isinstance(strategy, DeepSpeedStrategy):
        strategy.precision_plugin = BatchesAsTheyAre(trainer.precision)  # type: ignore[arg-type]
