"""A local causal LM as a teacher of token distributions."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.token_distillation import Divergence, TokenDistribution, token_distribution
from kedrec.kedrec_lm.vocabulary_projection import projected_only_at
from kedrec.sources.weights import base_folder, base_identity, load_tokenizer
from kedrec.storage.artifact_store import Store


@dataclass(frozen=True)
class Distillation:
    """How a student learns from a teacher's token distributions.

    Attributes:
        teacher: ``smollm2``, a folder, or a hub name of a causal LM with the student's vocabulary.
        weight: of this loss, beside the loss of the teacher's text and that of the choice.
        temperature: of both distributions.
        divergence: ``forward_kl``, ``reverse_kl`` or ``jsd``.
        top_k: number of the most likely tokens whose probabilities are used, with the rest as one; ``null`` for all.
        dtype: of the teacher's weights.
    """

    teacher: str
    weight: float = 1.0
    temperature: float = 1.0
    divergence: Divergence = "forward_kl"
    top_k: int | None = None
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"

    def __post_init__(self) -> None:
        if self.weight < 0 or self.temperature <= 0 or (self.top_k is not None and self.top_k < 1):
            raise KedrecError(
                f"distill: weight {self.weight}, temperature {self.temperature}, top_k {self.top_k}; expected a weight "
                "of 0 or more, a temperature above 0, and a top_k of 1 or more, or null"
            )

    def identity(self, store: Store) -> dict[str, Any]:
        """Return what the distributions depend on, beside the conversations."""
        base = base_identity(self.teacher, store)
        return {"teacher": base, "temperature": self.temperature, "top_k": self.top_k, "dtype": self.dtype}


class TokenTeacher:
    """The teacher's model, frozen; no module of the student, so that no checkpoint holds it.

    Args:
        settings: which teacher, and how much of its distributions.
        student: the folder or hub name of the student's base.
        store: keeps converted bases.

    Raises:
        KedrecError: the two vocabularies differ: token 17 of the one is then another word than that of the other.
    """

    def __init__(self, settings: Distillation, student: str, store: Store) -> None:
        from transformers import AutoModelForCausalLM

        self.settings = settings
        folder = base_folder(settings.teacher, store)
        words = load_tokenizer(student)
        _check_vocabularies(settings.teacher, load_tokenizer(folder), student, words)
        self.words = max(words.get_vocab().values()) + 1  # tables of one family are padded to different lengths
        self.net: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, settings.dtype), use_safetensors=True
        )
        self.net.requires_grad_(False)
        self.net.train(False)

    @torch.no_grad()
    def expects(self, input_ids: Tensor, labels: Tensor) -> TokenDistribution:
        """Return its distributions at the supervised tokens of (batch, time), row by row."""
        if self.net.device != input_ids.device:
            self.net.to(input_ids.device)
        with projected_only_at(self.net, (labels != -100).roll(-1, dims=1)):
            out = self.net(input_ids=input_ids, use_cache=False)
        return token_distribution(out.logits[0][:, : self.words], self.settings.temperature, self.settings.top_k)


def _check_vocabularies(teacher: str, of_teacher: Any, student: str, of_student: Any) -> None:
    theirs, ours = of_teacher.get_vocab(), of_student.get_vocab()
    if theirs == ours:
        return
    word = next((word for word in sorted(ours, key=ours.__getitem__) if theirs.get(word) != ours[word]), None)
    where = f"{word!r} is token {ours[word]} here and {theirs.get(word, 'none')} there" if word else "it has more words"
    raise KedrecError(
        f"distill.teacher: {teacher} has {len(theirs):,} tokens, the student {student} {len(ours):,}, and they are not "
        f"the same ({where}); distributions over tokens can be learned from a model with the same tokenizer only: "
        "choose a teacher of the student's family, or let the student learn from the teacher's text alone"
    )
