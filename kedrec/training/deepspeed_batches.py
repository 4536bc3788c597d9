"""DeepSpeed's ZeRO under Lightning, with the batches of kedrec."""

from typing import Any

from lightning import Trainer
from lightning.pytorch.plugins.precision import DeepSpeedPrecision
from lightning.pytorch.strategies import DeepSpeedStrategy


class BatchesAsTheyAre(DeepSpeedPrecision):
    """DeepSpeed's precision plugin without casting of batches, which it refuses for frozen dataclasses."""

    def convert_input(self, data: Any) -> Any:
        """Return the batch unchanged: models cast what they need."""
        return data


def keep_batches(trainer: Trainer) -> None:
    """Let a trainer with DeepSpeed's strategy pass batches on unchanged; other trainers are not affected."""
    strategy = trainer.strategy
    if isinstance(strategy, DeepSpeedStrategy):
        strategy.precision_plugin = BatchesAsTheyAre(trainer.precision)  # type: ignore[arg-type]
