"""Visits as rows of the training visits' vocabularies, and batches of patients in an order that a seed decides."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kedrec.mimic.admission_tables import Code
from kedrec.mimic.histories import Visit
from kedrec.mimic.visit_tensors import DrugVocabulary, VisitBatch

_UNKNOWN = 1  # row of codes that training lacks; 0 is padding


@dataclass(frozen=True)
class EncodedVisit:
    """A visit as rows of the vocabularies, and the number of its labels that training lacks."""

    diagnoses: list[int]
    procedures: list[int]
    drugs: list[int]
    outside: int


class VisitCoder:
    """The vocabularies of codes and labels, from training visits alone.

    Args:
        training: visits.
        labelled: compound -> its label.
    """

    def __init__(self, training: Sequence[Visit], labelled: Mapping[str, str]) -> None:
        self.labelled = labelled
        self.diagnoses = _numbered(code for visit in training for code in visit.diagnoses)
        self.procedures = _numbered(code for visit in training for code in visit.procedures)
        sets = [{labelled[one] for one in visit.compounds} for visit in training]
        times = Counter(label for its in sets for label in its)
        self.labels = {label: row for row, label in enumerate(sorted(times))}
        self.share = np.array([times[label] / len(sets) for label in self.labels])
        self.compounds = sorted({one for visit in training for one in visit.compounds})

    def encode(self, history: Sequence[Visit]) -> list[EncodedVisit]:
        """Return a patient's visits as rows."""
        encoded = []
        for visit in history:
            labels = {self.labelled[one] for one in visit.compounds}
            rows = sorted(self.labels[label] for label in labels if label in self.labels)
            diagnoses = [self.diagnoses.get(code, _UNKNOWN) for code in visit.diagnoses]
            procedures = [self.procedures.get(code, _UNKNOWN) for code in visit.procedures]
            encoded.append(EncodedVisit(diagnoses, procedures, rows, len(labels) - len(rows)))
        return encoded

    def interactions(self, pairs: Iterable[tuple[str, str]]) -> NDArray[np.bool_]:
        """Return which labels interact, ``(labels, labels)``: those of pairs of prescribed compounds or of codes."""
        rows = {one: self.labels[self.labelled[one]] for one in self.compounds}
        characters = len(next(iter(self.labels)))
        matrix = np.zeros((len(self.labels), len(self.labels)), bool)
        for pair in pairs:
            ends = [rows.get(one, self.labels.get(one[:characters])) for one in pair]
            if ends[0] is not None and ends[1] is not None and ends[0] != ends[1]:
                matrix[ends[0], ends[1]] = matrix[ends[1], ends[0]] = True
        return matrix

    def vocabulary(self, smiles: Mapping[str, str], interactions: NDArray[np.bool_] | None) -> DrugVocabulary:
        """Return the drugs and codes of a model's tables."""
        molecules: list[list[str]] = [[] for _ in self.labels]
        for one in self.compounds:
            if smiles.get(one):
                molecules[self.labels[self.labelled[one]]].append(smiles[one])
        return DrugVocabulary(
            list(self.labels),
            molecules,
            self.share,
            float(self.share.sum()),
            len(self.diagnoses) + _UNKNOWN + 1,
            len(self.procedures) + _UNKNOWN + 1,
            interactions,
        )


class VisitBatches:
    """Epochs of batches of patients; each iteration continues where the last one ended, to the end of the epoch.

    Attributes:
        done: batches given so far, of all epochs: the position to continue from.

    Args:
        patients: their visits.
        labels: how many there are.
        batch_size: patients; the last batch of an epoch may be smaller.
        seed: decides the order together with the epoch; no global state does.
    """

    def __init__(self, patients: Sequence[Sequence[EncodedVisit]], labels: int, batch_size: int, seed: int) -> None:
        self.patients, self.labels, self.batch_size, self.seed = patients, labels, batch_size, seed
        self.done = 0

    def __len__(self) -> int:
        return (len(self.patients) + self.batch_size - 1) // self.batch_size

    def __iter__(self) -> Iterator[VisitBatch]:
        epoch, first = divmod(self.done, len(self))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.patients)).tolist()
        for number in range(first, len(self)):
            self.done += 1
            chosen = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield collate(self.patients, chosen, self.labels)


def collate(patients: Sequence[Sequence[EncodedVisit]], chosen: Sequence[int], labels: int) -> VisitBatch:
    """Return some patients' visits, padded."""
    rows = [patients[one] for one in chosen]
    longest = max(map(len, rows))
    mask = torch.tensor([[position < len(row) for position in range(longest)] for row in rows])
    visits = [visit for row in rows for visit in row]
    drugs = torch.zeros(len(visits), labels)
    for index, visit in enumerate(visits):
        drugs[index, visit.drugs] = 1
    columns = (
        pad_sequence([torch.tensor(visit.diagnoses) for visit in visits], batch_first=True),
        # A visit without procedures is one of padding alone; so are all of a batch that has none.
        pad_sequence([torch.tensor(visit.procedures or [0]) for visit in visits], batch_first=True),
        drugs,
        torch.tensor([visit.outside for visit in visits]),
    )
    return VisitBatch(torch.tensor(chosen), mask, *(_spread(column, mask) for column in columns))


def _spread(column: Tensor, mask: Tensor) -> Tensor:
    """Return the rows of visits, ``(visits, ...)``, in their places, ``(batch, visits, ...)``, among zeros."""
    spread = column.new_zeros(*mask.shape, *column.shape[1:])
    spread[mask] = column
    return spread


def _numbered(codes: Iterable[Code]) -> dict[Code, int]:
    return {code: row for row, code in enumerate(sorted(set(codes)), start=_UNKNOWN + 1)}
