"""The typed batches in which data modules and models meet; neither imports the other."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor


class Batch:
    """A frozen dataclass of tensors and facts; Lightning moves it to the device by its ``to``."""

    def to(self, device: torch.device, **options: Any) -> Self:
        """Return the batch with its tensors on ``device``."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
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
        support: for each of the two drugs the summed similarity of its passages shown to its query.
    """

    pair: str
    disease: str
    drugs: tuple[str, str]
    correct: int
    swapped: bool
    reference: str
    passages: tuple[str, ...]
    support: tuple[float, float]


@dataclass(frozen=True)
class ChatBatch(Batch):
    """Tokenized conversations, padded on the right: causal attention then needs no mask.

    Attributes:
        input_ids: (batch, time) token ids.
        attention_mask: (batch, time), 1 for tokens, 0 for padding.
        labels: (batch, time), the token id where the answer is supervised, -100 elsewhere.
        decisive: (batch, time) bool, true at the one token of each row's answer where the two choices part.
        rivals: (batch,) the token that the other choice has there.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    decisive: Tensor
    rivals: Tensor


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
