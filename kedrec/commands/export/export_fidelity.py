"""Whether what was exported answers as the run does: weights, logits, and the choice on each test question."""

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

PROMPTS = 8  # whose logits are compared
_POSITIONS = 64  # at the end of each: the last of the prompt and the answer's opening

ROUNDED = 0.02  # of a weight's norm: what 8 bits for a block of 32 may take from it, several times over

# How far logits may be, as a share of their spread over the vocabulary: the largest and the mean difference. An adapter
# is the very weights; merging rounds each weight once, to 24, 11 or 8 bits, or to 8 bits for a block of 32. Some five
# times what was seen of SmolLM2-135M in bfloat16 (0.053, 0.006), twice in q8_0 (0.45, 0.04).
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
        positions: that were compared.
        largest: absolute difference.
        mean: absolute difference.
        agreement: share of positions with the same likeliest token.
        allowed: the largest and the mean difference that are tolerated.
    """

    positions: int
    largest: float
    mean: float
    agreement: float
    allowed: tuple[float, float]

    @property
    def close(self) -> bool:
        """Whether both differences are tolerated."""
        return self.largest <= self.allowed[0] and self.mean <= self.allowed[1]


@dataclass(frozen=True)
class Choices:
    """How the choices of an export differ from the run's.

    Attributes:
        questions: that were asked, each order of two drugs one.
        largest: difference of a score, nats.
        other: the questions on which the choice is another: disease, first and second drug, and how much the run was
            for its own choice, nats.
        close: whether the run was nowhere more for its choice than scores differ on questions with the same choice.
    """

    questions: int
    largest: float
    other: list[tuple[str, str, str, float]]
    close: bool


def altered_weight(written: Mapping[str, Tensor], found: Mapping[str, Tensor], within: float = 0.0) -> str | None:
    """Return the name of a weight that is missing or not what was written; ``None`` where all are.

    Args:
        written: by name.
        found: likewise, read back.
        within: how far a weight may be from what was written, as a share of its norm; 0 asks for the same bits.
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
    """Return the logits at the end of some prompts with the right answer's opening, ``(positions, vocabulary)`` each.

    Args:
        net: a causal LM, whose weights are turned into float32.
        batches: of the test, its longest prompts first.
        prompts: how many.
    """
    if net.dtype != torch.float32:  # a model read from GGUF is, and refuses to be cast
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
    """Ask the export what the run was asked in its test, and compare the choices.

    Args:
        net: the export, in the numbers in which it was written.
        batches: of the test.
        predictions: of the run.
        end: id of the token that ends an answer.

    Raises:
        KedrecError: the data no longer ask what the run was asked.
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
            f"predictions.jsonl: {len(predictions) - asked} of {len(predictions)} questions are no longer asked as "
            "when the run was tested; restore its data, or train it again"
        )
    close = all(surplus <= 2 * max(moved) for *_, surplus in other)
    return Choices(asked, max(moved), other, close)


def _with_answers(batches: Sequence[QuestionBatch]) -> list[Tensor]:
    """Return ``(time,)`` token ids of each prompt with the opening of its right answer."""
    return [
        torch.cat([ids[mask.bool()], answers[question.correct][masks[question.correct].bool()]])
        for batch in batches
        for ids, mask, answers, masks, question in zip(
            batch.input_ids, batch.attention_mask, batch.answers, batch.answers_mask, batch.questions, strict=True
        )
    ]


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
