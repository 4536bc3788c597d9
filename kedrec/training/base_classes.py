"""The base class of every model that kedrec trains."""

from pathlib import Path

from lightning import LightningModule


class TrainableModule(LightningModule):
    """A model that the commands train, test and read back. Its attributes state what it can do, with defaults."""

    def load_export(self, run_folder: Path) -> Path | None:
        """Load the weights that the model exported into its run folder.

        Args:
            run_folder: the folder of a finished run.

        Returns:
            The folder that the weights are from; ``None`` where there is none.

        Raises:
            KedrecError: the folder is damaged, or holds the weights of another model.
        """
        return None
