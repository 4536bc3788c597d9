"""Typed batches of hospital visits, and the vocabulary of the drugs to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kedrec.runtime.batch import Batch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class VisitBatch(Batch):
    """Patients with their hospital visits in order of time, padded on the right.

    Attributes:
        patient: (batch,) running numbers within the split, without any link to the patient.
        mask: (batch, visits) bool, true where there is a visit.
        diagnoses: (batch, visits, codes) rows of the diagnoses' table: 0 for padding, 1 for a code that training lacks.
        procedures: (batch, visits, codes) rows of the procedures' table, likewise.
        drugs: (batch, visits, labels) float, 1 for each label that was prescribed; the target.
        outside: (batch, visits) number of prescribed labels that training lacks, which no model can predict.
    """

    patient: Tensor
    mask: Tensor
    diagnoses: Tensor
    procedures: Tensor
    drugs: Tensor
    outside: Tensor


@dataclass(frozen=True, eq=False)
class DrugVocabulary:
    """The vocabularies of a model that recommends sets of drugs, from training visits alone.

    Attributes:
        labels: row -> ATC code.
        smiles: row -> SMILES of the compounds that were prescribed under the label; none where they are unknown.
        share: (labels,) share of the training visits in which each was prescribed.
        drugs_a_visit: mean number of labels of a training visit.
        diagnoses: rows of the diagnoses' table, those of padding and of unknown codes included.
        procedures: rows of the procedures' table, likewise.
        interactions: (labels, labels) symmetric, true where two labels hold compounds that interact, never with itself;
            ``None`` where they are unknown.
    """

    labels: list[str]
    smiles: list[list[str]]
    share: NDArray[np.float64]
    drugs_a_visit: float
    diagnoses: int
    procedures: int
    interactions: NDArray[np.bool_] | None
