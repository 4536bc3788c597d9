"""The typed batches in which data modules and models meet; neither imports the other.

Nor does this import torch, which takes seconds, before there is a tensor: a ranking is read without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Side = Literal["head", "tail"]


class Batch:
    """A frozen dataclass of tensors and facts; Lightning moves it to the device by its ``to``."""

    def to(self, device: torch.device, **options: Any) -> Self:
        """Return the batch with its tensors on ``device``."""
        from torch import Tensor

        moved = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        tensors = {name: value.to(device, **options) for name, value in moved.items() if isinstance(value, Tensor)}
        return replace(self, **tensors)  # type: ignore[type-var]


@dataclass(frozen=True)
class Question:
    """One choice between two drugs, as it is put to a model.

    Attributes:
        pair: "disease|relevant|irrelevant" ids, the same for both orders.
        disease: name of the disease.
        drugs: names of the two drugs in the order shown.
        correct: position of the relevant drug in ``drugs``, 0 or 1.
        swapped: whether this is the second of the two orders.
        reference: the teacher's rationale, citations as ``[1]`` of the passages shown.
        passages: ids of the passages shown, in the order of their numbers.
        controls: for each rule that chooses without reading, how much it is for each of the two drugs.
        texts: what is shown of each of the passages.
        telling: ids of those that state the answer outright, in a test question.
        audit: how the question differs from the one that is asked of the pair; empty for that one itself.
    """

    pair: str
    disease: str
    drugs: tuple[str, str]
    correct: int
    swapped: bool
    reference: str
    passages: tuple[str, ...]
    controls: Mapping[str, tuple[float, float]]
    texts: tuple[str, ...] = ()
    telling: tuple[str, ...] = ()
    audit: str = ""


@dataclass(frozen=True)
class ChatBatch(Batch):
    """Tokenized conversations, padded on the right: causal attention then needs no mask.

    Attributes:
        input_ids: (batch, time) token ids.
        attention_mask: (batch, time), 1 for tokens, 0 for padding.
        labels: (batch, time), the token id where the answer is supervised, -100 elsewhere.
        decisive: (batch, time) bool, true at the one token of each row's answer where the two choices part.
        rivals: (batch,) the token that the other choice has there.
        expected_ids: (supervised, k) the tokens that a teacher holds likeliest, row by row, or ``None``.
        expected_log_probs: (supervised, k) their log-probabilities, nats, at the temperature of the distillation.
        counted: whether it counts; not where it only keeps this process in step with the others.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    decisive: Tensor
    rivals: Tensor
    expected_ids: Tensor | None = None
    expected_log_probs: Tensor | None = None
    counted: bool = True


@dataclass(frozen=True)
class QuestionBatch(Batch):
    """Prompts to be answered and the two answers that are compared, each padded on the right.

    Attributes:
        input_ids: (batch, time) token ids of the prompts.
        attention_mask: (batch, time).
        answers: (batch, 2, answer) token ids of the two choices.
        answers_mask: (batch, 2, answer), 1 for tokens.
        questions: what was asked, one a row.
    """

    input_ids: Tensor
    attention_mask: Tensor
    answers: Tensor
    answers_mask: Tensor
    questions: Sequence[Question]


@dataclass(frozen=True)
class TripleBatch(Batch):
    """True triples, and the entities that are put in place of one side of each.

    The triples are cut into ``chunks`` runs of equal length; all triples of one run share its negatives. With as many
    chunks as triples the negatives are independent.

    Attributes:
        head: (batch,) entity rows.
        relation: (batch,) relation rows.
        tail: (batch,) entity rows.
        side: which side the negatives replace.
        negatives: (chunks, negatives) entity rows.
        weight: (batch,) subsampling weights; only their ratios matter.
        false: (chunks, batch / chunks, negatives) bool, or ``None`` where nobody looked: whether the corrupted triple
            is known to be none of the true ones.
    """

    head: Tensor
    relation: Tensor
    tail: Tensor
    side: Side
    negatives: Tensor
    weight: Tensor
    false: Tensor | None = None


@dataclass(frozen=True)
class RankingBatch(Batch):
    """Distinct queries, all with the same side missing and an answer of the same type, and the triples that ask them.

    Attributes:
        name: the test set that they are of.
        side: which side is missing.
        entity: (queries,) rows of the entities given.
        relation: (queries,) rows of the relations given.
        candidates: (candidates,) ascending rows of the entities of the answer's type.
        triple: (triples,) number of each triple within its test set.
        query: (triples,) place in ``entity`` of the query that the triple asks.
        target: (triples,) row of the true answer, one of ``candidates``.
        degree: (triples,) training triples that the true answer is in.
        known_query: (known,) places in ``entity``, ascending.
        known: (known,) rows of all true answers of those queries, in any split; the targets are among them.
        candidate_degree: (candidates,) training triples that each candidate is in, or ``None`` where nobody counted.
    """

    name: str
    side: Side
    entity: Tensor
    relation: Tensor
    candidates: Tensor
    triple: Tensor
    query: Tensor
    target: Tensor
    degree: Tensor
    known_query: Tensor
    known: Tensor
    candidate_degree: Tensor | None = None

    def among_candidates(self) -> Self:
        """Return the same with the candidates as all there is: entities that may answer are given by their places."""
        import torch

        inside = torch.isin(self.known, self.candidates)
        return replace(
            self,
            candidates=torch.arange(len(self.candidates), device=self.candidates.device),
            target=torch.searchsorted(self.candidates, self.target.contiguous()),
            known_query=self.known_query[inside],
            known=torch.searchsorted(self.candidates, self.known[inside]),
        )


@dataclass(frozen=True, eq=False)
class Modality:
    """One vector an entity, from its name, its description, its structure, or anything else.

    Attributes:
        name: such as ``name``, ``description``, ``fingerprint``.
        vectors: (entities, dim); zero rows where there is none.
        known: (entities,), whether the entity has a vector of this modality.
    """

    name: str
    vectors: NDArray[np.float32]
    known: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RepurposingBatch(Batch):
    """Diseases for which all compounds are ranked over the therapeutic relations.

    Attributes:
        disease: (diseases,) entity rows.
        relation: (relations,) rows of the therapeutic relations.
        missing: for each of these the side on which the compound stands.
        compounds: (compounds,) entity rows.
        known_disease: (known,) places in ``disease``.
        known: (known,) places in ``compounds`` of the compounds known to treat that disease.
        known_split: (known,) where that is told: 0 in training, 1 in validation, 2 in the test.
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


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What the rows of a graph's tables stand for, and what they are anchored in.

    Attributes:
        entities: row -> ``Type::id``.
        relations: row -> relation.
        names: row -> what people call the entity; its id where nobody says.
        anchors: one vector an entity each, from texts or from anything else.
        held_out: (n, 3) rows of the triples that validation and test keep from training.
        descriptions: row -> prose, empty where there is none; no rows where nobody looked.
    """

    entities: list[str]
    relations: list[str]
    names: list[str]
    anchors: list[Modality]
    held_out: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 3), dtype=np.int32))
    descriptions: list[str] = field(default_factory=list)


@runtime_checkable
class HasVocabulary(Protocol):
    """Data whose batches hold rows of a graph's tables."""

    vocabulary: Vocabulary


@runtime_checkable
class HasTriples(HasVocabulary, Protocol):
    """The same, with the triples that are trained on."""

    @property
    def training_triples(self) -> NDArray[np.int32]:
        """``(n, 3)`` rows of head, relation, tail."""


@dataclass(frozen=True)
class VisitBatch(Batch):
    """Patients with their hospital visits in order of time, padded on the right.

    Attributes:
        patient: (batch,) running numbers within the split; they say nothing of who it is.
        mask: (batch, visits) bool, true where there is a visit.
        diagnoses: (batch, visits, codes) rows of the diagnoses' table: 0 for padding, 1 for a code that training lacks.
        procedures: (batch, visits, codes) rows of the procedures' table, likewise.
        drugs: (batch, visits, labels) float, 1 for each label that was prescribed; what is to be predicted.
        outside: (batch, visits) how many labels were prescribed that training lacks, so that nobody can predict them.
    """

    patient: Tensor
    mask: Tensor
    diagnoses: Tensor
    procedures: Tensor
    drugs: Tensor
    outside: Tensor


@dataclass(frozen=True, eq=False)
class DrugVocabulary:
    """What the rows of a model's tables stand for that recommends sets of drugs, told by training visits alone.

    Attributes:
        labels: row -> ATC code.
        smiles: row -> SMILES of the compounds that were prescribed under the label; none where nobody knows them.
        share: (labels,) share of the training visits in which each was prescribed.
        drugs_a_visit: mean number of labels of a training visit.
        diagnoses: rows of the diagnoses' table, those of padding and of unknown codes included.
        procedures: rows of the procedures' table, likewise.
        interactions: (labels, labels) symmetric, true where two labels hold compounds that interact, never with itself;
            ``None`` where nobody says.
    """

    labels: list[str]
    smiles: list[list[str]]
    share: NDArray[np.float64]
    drugs_a_visit: float
    diagnoses: int
    procedures: int
    interactions: NDArray[np.bool_] | None


@runtime_checkable
class HasDrugVocabulary(Protocol):
    """Data whose batches are visits with drugs to be predicted."""

    drugs: DrugVocabulary
