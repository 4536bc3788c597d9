"""The progress bar of a training."""

from lightning.pytorch.callbacks import RichProgressBar


class EpochProgressBar(RichProgressBar):
    """Lightning's bar; where steps end the training and not epochs, it shows the epoch without a last one.

    Lightning shows ``Epoch 0/-2`` there.
    """

    def _get_train_description(self, current_epoch: int) -> str:
        if self.trainer.max_epochs != -1:
            return super()._get_train_description(current_epoch)
        return f"{f'Epoch {current_epoch}':{len(self.validation_description)}}"
