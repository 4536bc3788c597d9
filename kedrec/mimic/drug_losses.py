"""Losses of recommended drug sets, and the weight that trades them off (SafeDrug, arXiv 2105.02711, section 4.4)."""

import torch
from torch import Tensor
from torch.nn import functional


def set_loss(logits: Tensor, drugs: Tensor, bce_share: float) -> Tensor:
    """Return ``share * binary cross-entropy + (1 - share) * multi-label margin``, a scalar: means over visits.

    The margin asks that the probability of each drug of the set be above that of each other drug by 1.

    Args:
        logits: (visits, labels).
        drugs: (visits, labels), 1 for the drugs of the set.
        bce_share: alpha of the paper.
    """
    bce = functional.binary_cross_entropy_with_logits(logits, drugs)
    # What torch asks for: the rows of the set's drugs, and -1 behind them.
    marked, rows = drugs.sort(dim=1, descending=True, stable=True)
    margin = functional.multilabel_margin_loss(logits.sigmoid(), rows.masked_fill(marked == 0, -1))
    return bce_share * bce + (1 - bce_share) * margin


def interaction_loss(probability: Tensor, interactions: Tensor) -> Tensor:
    """Return the mean over visits of ``sum_ij D_ij o_i o_j``, a scalar; each pair counts twice, as in the paper.

    Args:
        probability: (visits, labels), o.
        interactions: (labels, labels), D: 1 where two labels interact.
    """
    return ((probability @ interactions) * probability).sum(1).mean()


def interaction_rate(chosen: Tensor, interactions: Tensor) -> Tensor:
    """Return the share of interacting pairs among all pairs of all visits' sets, a scalar; 0 where there is no pair.

    Args:
        chosen: (visits, labels), 1 for the drugs of each set.
        interactions: (labels, labels), 1 where two labels interact.
    """
    sizes = chosen.sum(1)
    pairs = (sizes * (sizes - 1)).sum()
    return ((chosen @ interactions) * chosen).sum() / pairs.clamp(min=1)


def accuracy_weight(rate: Tensor, acceptance: float, correction: float) -> Tensor:
    """Return beta, the weight of `set_loss` beside `interaction_loss` with ``1 - beta``, a scalar of 0 to 1.

    1 up to the acceptance rate; above it, 1 less what exceeds it in units of ``correction``, not below 0.

    Args:
        rate: interaction rate of the sets that are recommended now, a scalar.
        acceptance: gamma, the rate that is accepted.
        correction: K_p, the excess at which accuracy counts no more.
    """
    return torch.clamp(1 - (rate - acceptance).clamp(min=0) / correction, min=0)
