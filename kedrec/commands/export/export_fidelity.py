"""The comparison of an export with its run: weights, logits, and the choice on each test question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.decoding import choose_and_explain
from kedrec.kedrec_lm.question_batches import QuestionBatch
from kedrec.kedrec_lm.vocabulary_projection import projected_only_at
from kedrec.runtime.progress import tell

PROMPTS = 8  # prompts whose logits are compared
_POSITIONS = 64  # at the end of each prompt with the start of the answer

ROUNDED = 0.02  # share of a weight's norm: several times the rounding error of 8 bits with blocks of 32

# Allowed differences of logits, largest and mean, as a share of their standard deviation over the vocabulary. An
# adapter has identical weights; merging rounds each weight once, to 24, 11 or 8 bits, or to 8 bits with blocks of 32.
# About five times the differences of SmolLM2-135M in bfloat16 (0.053, 0.006), twice those in q8_0 (0.45, 0.04).
TOLERANCE = {
    "adapter": (0.0, 0.0),
    "float32": (1e-3, 1e-4),
    "float16": (0.04, 0.004),
    "bfloat16": (0.3, 0.03),
    "q8_0": (1.0, 0.1),
}


@dataclass(frozen=True)
class Logits:
    """How the logits of an export differ from the run's, both computed in float32.

    Attributes:
        positions: number of positions compared.
        largest: largest absolute difference.
        mean: mean absolute difference.
        agreement: share of positions with the same most likely token.
        allowed: bounds of the largest and the mean difference.
    """

    positions: int
    largest: float
    mean: float
    agreement: float
    allowed: tuple[float, float]

    @property
    def close(self) -> bool:
        """Whether both differences are within their bounds."""
        return self.largest <= self.allowed[0] and self.mean <= self.allowed[1]


@dataclass(frozen=True)
class Choices:
    """How the choices of an export differ from the run's.

    Attributes:
        questions: number of questions; each order of two drugs is one.
        largest: largest difference of a score, nats.
        other: the questions with another choice: disease, first and second drug, and the margin of the run's choice,
            nats.
        close: whether no such margin exceeds twice the largest difference of a score.
    """

    questions: int
    largest: float
    other: list[tuple[str, str, str, float]]
    close: bool


def altered_weight(written: Mapping[str, Tensor], found: Mapping[str, Tensor], within: float = 0.0) -> str | None:
    """Return the name of a weight that is missing or differs from the one written; ``None`` if there is none.

    Args:
        written: weights by name.
        found: weights that were read back, by name.
        within: allowed difference of a weight, as a share of its norm; 0 for identical bits.
    """
    for name in sorted(written.keys() | found.keys()):
        one, other = written.get(name), found.get(name)
        if one is None or other is None or one.shape != other.shape:
            return name
        other = other.to("cpu", one.dtype)
        if not torch.equal(one, other) and not (one - other).norm() <= within * one.norm():
            return name
    return None


@torch.inference_mode()
def last_logits(net: Any, batches: Sequence[QuestionBatch], prompts: int = PROMPTS) -> list[Tensor]:
    """Return the logits at the end of prompts with the start of the right answer, ``(positions, vocabulary)`` each.

    Args:
        net: a causal LM, whose weights are converted to float32.
        batches: of the test, longest prompts first.
        prompts: number of prompts.
    """
    if net.dtype != torch.float32:  # a model read from GGUF is float32, and cannot be cast
        net = net.float()
    net = net.to(_device())
    found: list[Tensor] = []
    for tokens in _with_answers(batches)[:prompts]:
        ids = tokens.to(_device())[None]
        wanted = torch.arange(ids.shape[1], device=ids.device)[None] >= ids.shape[1] - _POSITIONS
        with projected_only_at(net, wanted):
            found.append(net(input_ids=ids, use_cache=False).logits[0].float().cpu())
    return found


def compare_logits(run: Sequence[Tensor], export: Sequence[Tensor], kind: str) -> Logits:
    """Compare the logits of the run with those of an export; ``kind`` is a key of ``TOLERANCE``."""
    ours, theirs = torch.cat(list(run)), torch.cat(list(export))
    if ours.shape != theirs.shape:
        return Logits(len(ours), float("inf"), float("inf"), 0.0, (0.0, 0.0))
    apart = (ours - theirs).abs()
    spread = float(ours.std(dim=-1).mean())
    largest, mean = TOLERANCE[kind]
    agreement = float((ours.argmax(dim=-1) == theirs.argmax(dim=-1)).double().mean())
    return Logits(len(ours), float(apart.max()), float(apart.mean()), agreement, (largest * spread, mean * spread))


@torch.inference_mode()
def compare_choices(
    net: Any, batches: Sequence[QuestionBatch], predictions: Sequence[Mapping[str, Any]], end: int
) -> Choices:
    """Run the test of the run with the export, and compare the choices.

    Args:
        net: the export, in its dtype.
        batches: of the test.
        predictions: of the run.
        end: id of the token that ends an answer.

    Raises:
        KedrecError: the data no longer give the same test.
    """
    net = net.to(_device())
    left = {(row["pair"], row["swapped"]): row for row in predictions}
    moved, other = [0.0], []
    for batch in batches:
        silent = torch.zeros(len(batch.questions), dtype=torch.bool, device=_device())
        scores = choose_and_explain(net, batch.to(_device()), silent, 0, end).scores.cpu().tolist()
        for question, (first, second) in zip(batch.questions, scores, strict=True):
            row = left.pop((question.pair, question.swapped), None)
            if row is None or list(row["passages"]) != list(question.passages):
                continue
            if (first < second) == bool(row["choice"]):
                moved += [abs(first - row["scores"][0]), abs(second - row["scores"][1])]
            else:
                other.append((question.disease, *question.drugs, abs(row["scores"][0] - row["scores"][1])))
        tell("test questions answered", len(predictions) - len(left), len(predictions))
    asked = len(other) + len(moved) // 2
    if asked < len(predictions):
        raise KedrecError(
            f"predictions.jsonl: {len(predictions) - asked} of {len(predictions)} questions are not the same as in the "
            "test of the run; restore its data, or train it again"
        )
    close = all(surplus <= 2 * max(moved) for *_, surplus in other)
    return Choices(asked, max(moved), other, close)


def _with_answers(batches: Sequence[QuestionBatch]) -> list[Tensor]:
    """Return ``(time,)`` token ids of each prompt with the start of its right answer."""
    return [
        torch.cat([ids[mask.bool()], answers[question.correct][masks[question.correct].bool()]])
        for batch in batches
        for ids, mask, answers, masks, question in zip(
            batch.input_ids, batch.attention_mask, batch.answers, batch.answers_mask, batch.questions, strict=True
        )
    ]


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
