"""Losses as pure functions of tensors."""

from torch import Tensor
from torch.nn import functional


def answer_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the mean over rows of each row's weighted mean negative log-likelihood.

    Each conversation counts the same whatever its length, so that accumulating small batches, or sharing a batch out
    to processes, gives the gradient of the whole batch.

    Args:
        logits: (supervised, vocabulary), predictions of the supervised tokens, row by row.
        labels: (batch, time), -100 where nothing is supervised.
        weights: (batch, time), not negative, positive at some supervised token of each row.

    Returns:
        A scalar, nats per weighted token.
    """
    supervised = labels != -100
    nats = functional.cross_entropy(logits.float(), labels[supervised], reduction="none")
    share = weights / (weights * supervised).sum(dim=1, keepdim=True)
    return (nats * share[supervised]).sum() / len(labels)
