"""Data whose training batches go on where a checkpoint was written."""

from typing import Any, Protocol

from kedrec.training.base_classes import ExperimentData


class _Counted(Protocol):
    """Batches that know how many of them were given, over all epochs, and go on from there."""

    done: int


class ResumingData(ExperimentData):
    """A data module that keeps the place of its training batches in checkpoints.

    Lightning goes on in the middle of an epoch too, but cannot know what a loader that is made anew gives next.
    """

    def __init__(self) -> None:
        super().__init__()
        self._batches: _Counted | None = None
        self._done = 0

    def resumed(self, batches: Any) -> Any:
        """Return the training batches, set to the place that a checkpoint told."""
        batches.done = self._done
        self._batches = batches
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Return the number of batches that are done."""
        done: Any = self.trainer.fit_loop.epoch_loop.batch_progress.total if self.trainer else None
        return {"done": done.processed if done else 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on behind those."""
        self._done = state_dict["done"]
        if self._batches is not None:
            self._batches.done = self._done
