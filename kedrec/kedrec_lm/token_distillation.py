"""Learning from a teacher's token distributions: divergences of whole or of top-k distributions, as pure functions."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Divergence = Literal["forward_kl", "reverse_kl", "jsd"]

_LEAST = -30.0  # log-probability, nats: keeps what a top-k leaves over finite where the k have all of it


@dataclass(frozen=True)
class TokenDistribution:
    """A teacher's distribution at each supervised token, at a temperature.

    Attributes:
        log_probs: (tokens, vocabulary), or (tokens, k) of the k likeliest, nats. What k leave over is one more outcome.
        ids: (tokens, k) token ids of those, or ``None`` for a whole distribution.
    """

    log_probs: Tensor
    ids: Tensor | None = None


def token_distribution(logits: Tensor, temperature: float = 1.0, top_k: int | None = None) -> TokenDistribution:
    """Return the distribution of each row of ``logits`` (tokens, vocabulary), whole or its ``top_k`` likeliest."""
    log_probs = functional.log_softmax(logits.float() / temperature, dim=-1)
    if top_k is None:
        return TokenDistribution(log_probs)
    return TokenDistribution(*log_probs.topk(min(top_k, log_probs.shape[-1]), dim=-1))


def divergence(logits: Tensor, teacher: TokenDistribution, kind: Divergence, temperature: float = 1.0) -> Tensor:
    """Return how far a student's distribution is from the teacher's at each token.

    ``forward_kl`` is KL(teacher || student), which covers all that the teacher holds possible; ``reverse_kl`` is
    KL(student || teacher), which avoids what it holds impossible; ``jsd`` is half the sum of both against their mean,
    at most log 2. Times the square of the temperature, so that the gradient keeps its size (Hinton et al., 2015,
    arXiv 1503.02531, section 2). Of a top-k distribution all other tokens are one outcome: the divergence is then a
    lower bound of the whole one (data processing), and 0 for equal models all the same.

    Args:
        logits: (tokens, vocabulary) of the student; columns beyond the teacher's, which pad a table, are left out.
        teacher: of the same tokens, at the same temperature.
        kind: which divergence.
        temperature: of both.

    Returns:
        (tokens,), nats times the temperature squared.
    """
    target = teacher.log_probs.float()
    columns = logits if teacher.ids is not None else logits[..., : target.shape[-1]]
    student = functional.log_softmax(columns.float() / temperature, dim=-1)
    if teacher.ids is not None:
        student, target = _with_rest(student.gather(-1, teacher.ids)), _with_rest(target)
    if kind == "forward_kl":
        distance = _kl(target, student)
    elif kind == "reverse_kl":
        distance = _kl(student, target)
    else:
        mean = torch.logaddexp(student, target) - torch.log(torch.tensor(2.0, device=student.device))
        distance = (_kl(target, mean) + _kl(student, mean)) / 2
    return distance * temperature**2


def _kl(one: Tensor, other: Tensor) -> Tensor:
    """Return KL(one || other) of log-probabilities, over the last dimension."""
    return (one.exp() * (one - other)).sum(-1)


def _with_rest(log_probs: Tensor) -> Tensor:
    """Append the log-probability of all other outcomes to (tokens, k)."""
    left = 1.0 - log_probs.exp().sum(-1, keepdim=True)
    rest = left.clamp_min(torch.finfo(left.dtype).tiny).log().clamp_min(_LEAST)
    return torch.cat([log_probs, rest], dim=-1)
