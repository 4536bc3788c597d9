"""Embeddings of a finished run, loaded to score triples by their ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.graph.exported_scorer import recorded_scorer
from kedrec.graph.scorer import Scorer
from kedrec.storage.compressed_text import text_lines
from kedrec.storage.hashing import file_hash

Rows = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Exported:
    """The content of a run's ``embeddings/``.

    Attributes:
        scorer: as it was trained.
        entity: ``(entities, width)``.
        relation: ``(relations, width)``.
        entity_rows: id -> row.
        relation_rows: relation -> row.
        held_out: (head, relation, tail) of the triples of validation and test.
        identity: SHA-256 of the weights' file.
        split: the run's ``split.tsv``; ``None`` where it has none.
    """

    scorer: Scorer
    entity: Rows
    relation: Rows
    entity_rows: dict[str, int]
    relation_rows: dict[str, int]
    held_out: set[tuple[str, ...]]
    identity: str
    split: Path | None = None

    @classmethod
    def load(cls, folder: str | Path) -> "Exported":
        """Read a run's folder, or its ``embeddings`` folder.

        Raises:
            KedrecError: a file is missing or damaged, or the files do not belong together.
        """
        from safetensors import SafetensorError, safe_open

        root = Path(folder)
        tables_folder = root / "embeddings" if (root / "embeddings").is_dir() else root
        path = tables_folder / "embeddings.safetensors"
        try:
            with safe_open(path, framework="np") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
                name = (file.metadata() or {}).get("scorer")
        except FileNotFoundError as fault:
            raise KedrecError(
                f"{path}: no such file; expected the folder of a finished run of a KGE or a GNN"
            ) from fault
        except (OSError, SafetensorError, TypeError) as fault:  # numpy knows no bfloat16
            raise KedrecError(f"{path}: cannot be read ({fault}); export the run again") from fault
        scorer = None if name is None else recorded_scorer(name, tables_folder.parent)
        scalars = {one.removeprefix("scorer."): tensor for one, tensor in tensors.items() if one.startswith("scorer.")}
        if scorer is None or not {"entity", "relation"} <= tensors.keys() or not {"gamma", "range"} <= scalars.keys():
            raise KedrecError(f"{path}: not the embeddings of a run; expected entity, relation and a scorer")
        gamma, value_range = (float(scalars.pop(one).item()) for one in ("gamma", "range"))
        scorer.restored(gamma, value_range, {one: float(value.item()) for one, value in scalars.items()})
        if missing := sorted(scorer.learned_scalars().keys() - scalars.keys()):
            raise KedrecError(f"{path}: not the embeddings of a run; expected the scorer's {', '.join(missing)} too")
        ids = {one: _ids(tables_folder / f"{one}.tsv") for one in ("entities", "relations")}
        for one, table in (("entities", "entity"), ("relations", "relation")):
            if len(ids[one]) != len(tensors[table]):
                raise KedrecError(
                    f"{tables_folder / one}.tsv: {len(ids[one])} lines for {len(tensors[table])} rows of {path}"
                )
        held = tables_folder / "held_out.tsv"
        triples = {tuple(line.split("\t")) for _, line in text_lines(held) if line} if held.is_file() else set()
        tables = (tensors["entity"], tensors["relation"], ids["entities"], ids["relations"])
        split = tables_folder.parent / "split.tsv"
        return cls(scorer, *tables, triples, file_hash(path), split if split.is_file() else None)

    def rows(self, entities: Sequence[str]) -> NDArray[np.float32]:
        """Return the rows of entities, ``(n, width)``; zeros for an entity that the run does not have."""
        rows = np.array([self.entity_rows.get(one, -1) for one in entities], dtype=np.int64)
        return np.where((rows >= 0)[:, None], self.entity[rows], np.float32(0))

    def score(self, head: str, relations: Sequence[str], tail: str) -> float | None:
        """Return the best score over several relations; ``None`` where the run lacks an entity or all relations.

        Args:
            head: id.
            relations: by name.
            tail: id.
        """
        rows = [self.relation_rows[name] for name in relations if name in self.relation_rows]
        if not rows or head not in self.entity_rows or tail not in self.entity_rows:
            return None
        known, candidate = (self.entity[self.entity_rows[one]] for one in (head, tail))
        return float(self.scorer.pairs(self.scorer.query(known, self.relation[rows], "tail"), candidate).max())


def _ids(path: Path) -> dict[str, int]:
    return {content: row for row, (_, content) in enumerate(text_lines(path))}
