"""Typed batches of triples, of diseases to rank compounds for, and of choices between two drugs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedrec.graph.vocabulary import Side
from kedrec.runtime.batch import Batch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TripleBatch(Batch):
    """True triples, and the entities that replace one side of each.

    The triples are cut into ``chunks`` runs of equal length; all triples of one run share its negatives. With as many
    chunks as triples the negatives are independent.

    Attributes:
        head: (batch,) entity rows.
        relation: (batch,) relation rows.
        tail: (batch,) entity rows.
        side: which side the negatives replace.
        negatives: (chunks, negatives) entity rows.
        weight: (batch,) subsampling weights; only their ratios matter.
        false: (chunks, batch / chunks, negatives) bool, or ``None`` where true triples are not filtered: whether the
            corrupted triple is none of the true ones.
    """

    head: Tensor
    relation: Tensor
    tail: Tensor
    side: Side
    negatives: Tensor
    weight: Tensor
    false: Tensor | None = None


@dataclass(frozen=True, eq=False)
class RepurposingBatch(Batch):
    """Diseases for which all compounds are ranked over the therapeutic relations.

    Attributes:
        disease: (diseases,) entity rows.
        relation: (relations,) rows of the therapeutic relations.
        missing: for each of these the side on which the compound stands.
        compounds: (compounds,) entity rows.
        known_disease: (known,) rows of ``disease``.
        known: (known,) rows of ``compounds``: compounds known to treat that disease.
        known_split: (known,) the split that states it: 0 training, 1 validation, 2 test.
    """

    disease: Tensor
    relation: Tensor
    missing: tuple[Side, ...]
    compounds: Tensor
    known_disease: Tensor
    known: Tensor
    known_split: Tensor


@dataclass(frozen=True, eq=False)
class ChoiceBatch(Batch):
    """A student's questions: for each disease, two drugs of which one treats it.

    Attributes:
        pair: "disease|relevant|irrelevant" ids of each.
        disease: (pairs,) entity rows.
        drugs: (pairs, 2) entity rows, the relevant drug first.
        relation: (relations,) rows of the therapeutic relations.
        missing: for each of these the side on which the drug stands.
    """

    pair: tuple[str, ...]
    disease: Tensor
    drugs: Tensor
    relation: Tensor
    missing: tuple[Side, ...]
