"""Questions on drug choice, and the typed batches of tokenized conversations and prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedrec.runtime.batch import Batch

if TYPE_CHECKING:
    from torch import Tensor


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
