"""Pairs of drugs to choose between, and their Parquet file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from kedrec.errors import KedrecError
from kedrec.splits.seeded_split import SPLITS, Split

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Pair:
    """One choice between two drugs.

    Attributes:
        disease: entity id.
        relevant: entity id of a drug with a therapeutic edge to the disease.
        irrelevant: entity id of a drug without one.
        split: ``train``, ``validation`` or ``test``.
        relevant_first: whether the relevant drug is shown first.
        provenance: the relations that state the true edge, joined by ``|``; after ``;`` the kind of negative.
    """

    disease: str
    relevant: str
    irrelevant: str
    split: Split
    relevant_first: bool
    provenance: str


def save_pairs(pairs: Sequence[Pair], path: str | Path) -> None:
    """Write the pairs to a Parquet file, in their order; its columns are the fields of `Pair`."""
    import polars as pl

    pl.DataFrame([asdict(pair) for pair in pairs], schema=_columns()).write_parquet(path)


def load_pairs(path: str | Path) -> list[Pair]:
    """Read what ``save_pairs`` wrote.

    Raises:
        KedrecError: a missing file or one that is not Parquet, another set of columns or types, an empty cell, or an
            unknown split; with the file, the column and the row, counted from 1.
    """
    import polars as pl

    columns = _columns()
    try:
        frame = pl.read_parquet(path)
    except FileNotFoundError as fault:
        raise KedrecError(f"{path}: no such file; expected a Parquet file of pairs") from fault
    except pl.exceptions.ComputeError as fault:
        raise KedrecError(f"{path}: not a Parquet file ({fault})") from fault
    for column in frame.columns:
        if column not in columns:
            raise KedrecError(f"{path}: unknown column {column!r}; expected {', '.join(columns)}")
    for column, kind in columns.items():
        if column not in frame.columns:
            raise KedrecError(f"{path}: no column {column!r}; expected {', '.join(columns)}")
        if frame[column].dtype != kind:
            raise KedrecError(f"{path}: column {column!r} is {frame[column].dtype}, expected {kind}")
        if frame[column].null_count():
            raise KedrecError(f"{path}: row {frame[column].to_list().index(None) + 1}, column {column!r} is null")
    for row, name in enumerate(frame["split"], start=1):
        if name not in SPLITS:
            raise KedrecError(
                f"{path}: row {row}, column 'split': unknown split {name!r}; expected one of {', '.join(SPLITS)}"
            )
    return [Pair(**row) for row in frame.select(list(columns)).iter_rows(named=True)]


def _columns() -> "pl.Schema":
    """Return the columns of the Parquet file: those of `Pair`."""
    import polars as pl

    names = [field.name for field in fields(Pair)]
    return pl.Schema({name: pl.Boolean() if name == "relevant_first" else pl.String() for name in names})
