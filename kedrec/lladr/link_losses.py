"""LLaDR's two losses (arXiv 2510.12181): of links, and of the distance between entities and their anchors."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

AnchorDistance = Literal["cosine", "euclidean", "l1", "kl"]


def link_loss(
    positive: Tensor,
    negative: Tensor,
    weight: Tensor,
    temperature: float | None,
    false: Tensor | None = None,
) -> Tensor:
    """Return the log-sigmoid loss of true and corrupted triples, a scalar.

    ``-[log sigma(s) + sum_j p_j log sigma(-s_j)] / 2``, weighted by triple, where the scores ``s`` hold the margin.

    Args:
        positive: ``(batch,)`` scores of true triples.
        negative: ``(chunks, batch / chunks, negatives)`` scores of corrupted ones.
        weight: ``(batch,)`` subsampling weights.
        temperature: self-adversarial: ``p`` is the softmax of the negatives' scores times this (Sun et al., eq. 5);
            ``None`` weighs them equally.
        false: like ``negative``; where it is false the corruption is a true triple and does not count.
    """
    logits = torch.zeros_like(negative) if temperature is None else negative.detach() * temperature
    if false is not None:
        logits = logits.masked_fill(~false, torch.finfo(logits.dtype).min)
    share = logits.softmax(2)
    if false is not None:
        share = share * false  # a row of true triples only has no negative
    of_negatives = (share * functional.logsigmoid(-negative)).sum(2).flatten()
    rows = functional.logsigmoid(positive) + of_negatives
    return -(weight * rows).sum() / weight.sum() / 2


def anchor_loss(kind: AnchorDistance, entity: Tensor, anchor: Tensor, known: Tensor) -> Tensor:
    """Return the mean distance of entities to their anchors, a scalar; 0 where none has an anchor.

    Args:
        kind: ``cosine`` is 1 - cosine, ``euclidean`` and ``l1`` are norms of the difference, ``kl`` is
            KL(softmax(anchor) || softmax(entity)).
        entity: ``(n, width)`` rows that are scored.
        anchor: ``(n, width)``.
        known: ``(n, width)`` or ``(n, 1)`` bool: the anchored coordinates; others do not count.
    """
    some = known.any(1)
    entity, anchor = entity * known, anchor * known
    if kind == "cosine":
        distance = 1 - functional.cosine_similarity(entity, anchor, dim=1)
    elif kind == "kl":
        blank = torch.finfo(entity.dtype).min
        target = anchor.masked_fill(~known, blank).softmax(1)
        given = entity.masked_fill(~known, blank).log_softmax(1)
        distance = functional.kl_div(given, target, reduction="none").sum(1)
    else:
        distance = torch.linalg.vector_norm(entity - anchor, ord=1 if kind == "l1" else 2, dim=1)
    return (distance * some).sum() / some.sum().clamp(min=1)
