"""Reads the metrics and the rows that a test wrote into a run folder, old names translated."""

import json
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.evaluation.renamed_results import renamed_metrics, renamed_rows
from kedrec.storage.jsonl import read_jsonl


def read_metrics(path: Path, advice: str) -> dict[str, float]:
    """Return metrics, name -> number, under their present names.

    Args:
        path: a ``metrics.json``.
        advice: what to do where the file is damaged, for the error.

    Raises:
        KedrecError: the file is damaged.
    """
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise KedrecError(f"{path}: damaged ({fault}); {advice}") from fault
    if not isinstance(metrics, dict):
        raise KedrecError(f"{path}: damaged (expected an object, name: number); {advice}")
    return renamed_metrics(metrics)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return rows of a test with the present names of their fields.

    Args:
        path: a JSONL file of a run folder.
    """
    return renamed_rows(read_jsonl(path))
