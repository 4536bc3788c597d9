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
    """A question which of two drugs treats a disease.

    Attributes:
        pair: "disease|relevant|irrelevant" ids, the same for both orders.
        disease: name of the disease.
        drugs: names of the two drugs in the order shown.
        correct: position of the relevant drug in ``drugs``, 0 or 1.
        swapped: whether this is the second of the two orders.
        reference: the teacher's rationale, citations as ``[1]`` of the passages shown.
        passages: ids of the passages shown, in the order of their numbers.
        heuristics: for each heuristic baseline its score of each of the two drugs.
        texts: the shown text of each passage.
        answer_stating_passages: ids of the shown passages that state the answer, in a test question.
        audit: name of the counterfactual form; empty for the question itself.
    """

    pair: str
    disease: str
    drugs: tuple[str, str]
    correct: int
    swapped: bool
    reference: str
    passages: tuple[str, ...]
    heuristics: Mapping[str, tuple[float, float]]
    texts: tuple[str, ...] = ()
    answer_stating_passages: tuple[str, ...] = ()
    audit: str = ""


@dataclass(frozen=True)
class ChatBatch(Batch):
    """Tokenized conversations, padded on the right: causal attention then needs no mask.

    Attributes:
        input_ids: (batch, time) token ids.
        attention_mask: (batch, time), 1 for tokens, 0 for padding.
        labels: (batch, time), the token id where the answer is supervised, -100 elsewhere.
        decisive: (batch, time) bool, true at the one token of each row's answer where the two choices differ first.
        rivals: (batch,) the token of the other choice at that position.
        expected_ids: (supervised, k) the teacher's most likely tokens, row by row, or ``None``.
        expected_log_probs: (supervised, k) their log-probabilities, nats, at the temperature of the distillation.
        counted: whether the batch counts; ``False`` where it only keeps this process in step with the others.
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
    """Prompts and the two answers that are compared, each padded on the right.

    Attributes:
        input_ids: (batch, time) token ids of the prompts.
        attention_mask: (batch, time).
        answers: (batch, 2, answer) token ids of the two choices.
        answers_mask: (batch, 2, answer), 1 for tokens.
        questions: the question of each row.
    """

    input_ids: Tensor
    attention_mask: Tensor
    answers: Tensor
    answers_mask: Tensor
    questions: Sequence[Question]
