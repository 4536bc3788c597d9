"""Losses as pure functions of tensors."""

from torch import Tensor
from torch.nn import functional


def answer_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over rows of each row's mean negative log-likelihood.

    Each conversation counts the same whatever its length, so that accumulating small batches, or sharing a batch out
    to processes, gives the gradient of the whole batch.

    Args:
        logits: (supervised, vocabulary), predictions of the supervised tokens, row by row.
        labels: (batch, time), -100 where nothing is supervised; something is in each row.

    Returns:
        A scalar, nats per token.
    """
    nats = functional.cross_entropy(logits.float(), labels[labels != -100], reduction="none")
    return mean_of_rows(nats, labels)


def mean_of_rows(values: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over rows of each row's mean of ``values`` (supervised,), row by row."""
    supervised = labels != -100
    share = supervised / supervised.sum(dim=1, keepdim=True)
    return (values * share[supervised]).sum() / len(labels)


def choice_loss(logits: Tensor, labels: Tensor, decisive: Tensor, rivals: Tensor) -> Tensor:
    """Return the mean negative log-probability of the right choice, given that it is one of the two.

    In an answer of some seventy tokens one decides, where the names of the two drugs part; the likelihood of the
    answer gives it a seventieth of the gradient, this term all of it.

    Args:
        logits: (supervised, vocabulary), as for `answer_loss`.
        labels: (batch, time), likewise.
        decisive: (batch, time) bool, true at the one supervised token of each row where the choices part.
        rivals: (batch,) the token that the other choice has there.

    Returns:
        A scalar, nats per choice; log 2 for a guess.
    """
    there = logits[decisive[labels != -100]].float()
    right = there.gather(1, labels[decisive][:, None])
    wrong = there.gather(1, rivals[:, None])
    return functional.softplus(wrong - right).mean()
