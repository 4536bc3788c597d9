"""The cost of training embedding tables: bytes of tables and states, traffic and operations of a step.

Pure functions of numbers. The states are those of `kedrec.lladr.row_optimizers` and of torch's dense Adam.
"""

from dataclasses import dataclass
from typing import Literal

OptimizerName = Literal["adagrad", "lazy_adam", "adam"]
FLOAT = 4  # bytes
_INDEX = 8  # bytes of a row number in a sparse gradient


@dataclass(frozen=True)
class Tables:
    """Rows of entities and relations, float32.

    Attributes:
        entities: rows.
        relations: rows.
        entity_width: numbers a row.
        relation_width: numbers a row.
        optimizer: as `kedrec.lladr.kge.KGE` names it.
        anchored: numbers a row of the anchors that lie beside the entities' rows; 0 without.
    """

    entities: int
    relations: int
    entity_width: int
    relation_width: int
    optimizer: OptimizerName
    anchored: int = 0

    @property
    def numbers(self) -> int:
        """Of both tables: the parameters."""
        return self.entities * self.entity_width + self.relations * self.relation_width

    @property
    def weights(self) -> int:
        """Bytes of both tables, and of the anchors."""
        return FLOAT * (self.numbers + self.entities * self.anchored)

    @property
    def optimizer_state(self) -> int:
        """Bytes: row-wise Adagrad has a number a row, either Adam two moments of each number."""
        if self.optimizer == "adagrad":
            return FLOAT * (self.entities + self.relations)
        return 2 * FLOAT * self.numbers


@dataclass(frozen=True)
class Batch:
    """The batch of one process in a step.

    Attributes:
        triples: of the batch.
        negatives: corruptions a triple.
        chunks: runs of the batch whose triples share their corruptions.
    """

    triples: int
    negatives: int
    chunks: int

    @property
    def entity_rows(self) -> int:
        """Rows that are read, a row as often as it comes: heads, tails, corruptions."""
        return 2 * self.triples + self.chunks * self.negatives


def gradient_bytes(tables: Tables, batch: Batch) -> int:
    """Return a step's gradient: of all numbers for dense Adam, else of the rows of the batch, as they come."""
    if tables.optimizer == "adam":
        return FLOAT * tables.numbers
    entity = batch.entity_rows * (FLOAT * tables.entity_width + _INDEX)
    return entity + batch.triples * (FLOAT * tables.relation_width + _INDEX)


def activation_bytes(tables: Tables, batch: Batch) -> int:
    """Return what a step keeps: the rows that were read, queries, and the scores, their weights and their gradients."""
    rows = (batch.entity_rows + batch.triples) * tables.entity_width + batch.triples * tables.relation_width
    return FLOAT * (rows + 3 * batch.triples * batch.negatives)


def traffic(tables: Tables, batch: Batch) -> int:
    """Return the bytes that a step moves through the memory that holds tables and states, at least.

    Rows of the batch are read, their gradients written and read, the rows read and written by the optimizer, and with
    them the moments of lazy Adam. Dense Adam clears and reads the gradient of every number, and reads and writes every
    number and both moments.
    """
    if tables.optimizer == "adam":
        return 8 * FLOAT * tables.numbers
    numbers = batch.entity_rows * tables.entity_width + batch.triples * tables.relation_width
    return FLOAT * numbers * (9 if tables.optimizer == "lazy_adam" else 5)


def operations(tables: Tables, batch: Batch) -> int:
    """Return the operations of a step: each query against each of its corruptions, coordinate by coordinate.

    They are a matrix product's, 2 forward and 4 backward; what distances take is near that.
    """
    return 6 * batch.triples * batch.negatives * tables.entity_width


def exchanged(tables: Tables, batch: Batch, processes: int) -> float:
    """Return the bytes that a process sends in a step where tables are sharded by rows: rows out, gradients back."""
    rows = batch.entity_rows * FLOAT * tables.entity_width
    return 2 * rows * (processes - 1) / processes
