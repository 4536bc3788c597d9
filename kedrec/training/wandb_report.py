"""Weights & Biases: starting its run, and sending final metrics, examples and trained weights."""

import json
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger

from kedrec.errors import KedrecError
from kedrec.training.run_folder import RunFolder

_EXAMPLES = 50
_COLUMNS = ("disease", "first", "second", "correct", "choice", "rationale", "reference", "passages")


def start_wandb(logger: Logger) -> None:
    """Start the run at W&B, if the logger is W&B's, before anything is computed for it.

    Raises:
        KedrecError: there is no key, or W&B refuses it or cannot be reached.
    """
    if not isinstance(logger, WandbLogger):
        return
    from wandb.errors import Error

    try:
        _ = logger.experiment
    except Error as fault:
        reason = str(fault).strip().splitlines()[0]
        raise KedrecError(
            f"logger: W&B does not start ({reason}); log in with `wandb login`, or set WANDB_MODE=offline to log "
            "into the run folder"
        ) from fault


def report_to_wandb(logger: Logger, run: RunFolder, metrics: Mapping[str, float], *, private: bool) -> None:
    """Send the summary of a finished run, a table of examples and the exported weights, if the logger is W&B's.

    With ``WANDB_MODE=offline`` all of it is written to the run folder for ``wandb sync``. With ``private`` data only
    metrics are sent: no examples, and no weights, which may have memorised the data.
    """
    if not isinstance(logger, WandbLogger):
        return
    import wandb

    tracked: Any = logger.experiment
    tracked.summary.update(dict(metrics))
    if private:
        return
    predictions = run.path / "predictions.jsonl"
    if predictions.is_file():
        rows = [json.loads(line) for line in predictions.read_text(encoding="utf-8").splitlines()]
        explained = [row for row in rows if "rationale" in row][:_EXAMPLES]
        if explained:
            tracked.log({"examples": wandb.Table(columns=list(_COLUMNS), data=[_cells(row) for row in explained])})
    for folder in ("adapter", "model", "embeddings"):
        if (run.path / folder).is_dir():
            artifact = wandb.Artifact(f"{run.experiment.name}-{run.experiment.run_id}", type=folder)
            artifact.add_dir(str(run.path / folder))
            tracked.log_artifact(artifact)


def _cells(row: Mapping[str, Any]) -> list[str]:
    first, second = row["drugs"]
    chosen = (row["drugs"][row[key]] for key in ("correct", "choice"))
    return [row["disease"], first, second, *chosen, row["rationale"], row["reference"], ", ".join(row["passages"])]
