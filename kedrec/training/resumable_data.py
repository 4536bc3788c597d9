"""Data modules whose training batches resume where a checkpoint was written."""

from typing import Any, Protocol

from kedrec.training.base_classes import ExperimentData


class _Counted(Protocol):
    """Batches that count how many were drawn, over all epochs, and can resume from a count."""

    done: int


class ResumingData(ExperimentData):
    """A data module that stores the count of its training batches in checkpoints.

    Lightning resumes in the middle of an epoch too, but does not know which batch a new loader gives next.
    """

    def __init__(self) -> None:
        super().__init__()
        self._batches: _Counted | None = None
        self._done = 0

    def resumed(self, batches: Any) -> Any:
        """Return the training batches, set to the count in the checkpoint."""
        batches.done = self._done
        self._batches = batches
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Return the number of batches that were trained on."""
        done: Any = self.trainer.fit_loop.epoch_loop.batch_progress.total if self.trainer else None
        return {"done": done.processed if done else 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume after them."""
        self._done = state_dict["done"]
        if self._batches is not None:
            self._batches.done = self._done
