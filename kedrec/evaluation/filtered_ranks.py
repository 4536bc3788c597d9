"""Ranks of true answers among all entities: the link-prediction metrics of a knowledge-graph embedding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from kedrec.errors import KedrecError
from kedrec.evaluation.ranking_batch import RankingBatch
from kedrec.runtime.environment import can_compile, fused

MEMORY = 1 << 26
"""Memory beside the scores, bytes; one triple may need more."""

_HITS = (1, 3, 10)
_WORTH = 1 << 24  # comparisons of a batch from which compilation saves time


@dataclass(frozen=True)
class Counts:
    """Numbers of rivals, the other candidates, above and tied with true answers.

    Attributes:
        greater: (triples,) int64, rivals that score above the true answer.
        equal: (triples,) int64, rivals that tie with it.
        candidates: (triples,) int64, rivals in all.
    """

    greater: Tensor
    equal: Tensor
    candidates: Tensor

    def at(self, where: Tensor) -> Self:
        """Return the counts of some triples: ``where`` is a mask (triples,) or indices."""
        return replace(self, greater=self.greater[where], equal=self.equal[where], candidates=self.candidates[where])

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Return the counts of several batches as one."""
        return cls(
            greater=torch.cat([part.greater for part in parts]),
            equal=torch.cat([part.equal for part in parts]),
            candidates=torch.cat([part.candidates for part in parts]),
        )


def ranking_metrics(counts: Counts) -> dict[str, float]:
    """Return the means of `rank_metrics` over the triples; empty without triples.

    A tied rival counts half, which gives PyKEEN's "realistic" rank: the mean of the best and the worst rank of the tie.
    """
    if not len(counts.greater):
        return {}
    each = rank_metrics(counts.greater + counts.equal.double() / 2, counts.candidates)
    return {name: value.mean().item() for name, value in each.items()}


def rank_metrics(above: Tensor, candidates: Tensor) -> dict[str, Tensor]:
    """Return the metrics of single true answers.

    Args:
        above: (triples,) rivals above the true answer; a half for a tie.
        candidates: (triples,) or (), rivals in all.

    Returns:
        Each (triples,) float64. ``mr``: the rank, from 1. ``mrr``: its inverse. ``hits@k``: whether it is ``k`` or
        less. ``auc``: the share of the rivals that are below; 1 where there is none.
    """
    above = above.double()
    rank = 1 + above
    hits = {f"hits@{k}": (rank <= k).double() for k in _HITS}
    return {"mr": rank, "mrr": 1 / rank, **hits, "auc": 1 - above / candidates.clamp(min=1).double()}


def count_rivals(scores: Tensor, batch: RankingBatch, *, typed: bool, filtered: bool, memory: int = MEMORY) -> Counts:
    """Compare each true answer with the other candidates.

    Args:
        scores: (queries, entities), higher is better.
        batch: the queries, on the same device.
        typed: whether only ``batch.candidates`` are candidates, or every entity.
        filtered: whether other known true answers are left out.
        memory: bytes, see `MEMORY`.

    Returns:
        The counts, on the CPU.

    Raises:
        KedrecError: a score is not a number.
    """
    _refuse_nan(scores)
    if typed:
        batch = without_known_elsewhere(batch)
    width = len(batch.candidates) if typed else scores.shape[1]
    parts = []
    compare = _comparison(scores.device.type, width * len(batch.query))
    for rows in chunks(batch, width * (scores.element_size() + 4), memory):
        query = batch.query[rows]
        answer = scores[query, batch.target[rows]]
        greater, equal = compare(scores, query, answer, batch.candidates if typed else None)
        equal -= 1  # the answer ties with itself
        candidates = torch.full_like(greater, width - 1)
        if filtered:
            owner, known = other_answers(batch, rows)
            score = scores[query[owner], known]
            greater -= owner[score > answer[owner]].bincount(minlength=len(query))
            equal -= owner[score == answer[owner]].bincount(minlength=len(query))
            candidates -= owner.bincount(minlength=len(query))
        parts.append(Counts(greater.cpu(), equal.cpu(), candidates.cpu()))
    return Counts.cat(parts)


def _compare(scores: Tensor, query: Tensor, answer: Tensor, columns: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return how many scores are above and equal to the score of each answer, ``(triples,)`` each."""
    rivals = scores[query] if columns is None else scores[query[:, None], columns]
    above, least = rivals > answer[:, None], rivals >= answer[:, None]
    greater = above.sum(dim=1, dtype=torch.int32)
    return greater.long(), (least.sum(dim=1, dtype=torch.int32) - greater).long()


def _comparison(device: str, work: int) -> Callable[[Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]:
    """Return `_compare`, compiled into one pass without temporaries if there are enough comparisons."""
    return fused(_compare, dynamic=True) if work >= _WORTH and can_compile(device) else _compare


def without_known_elsewhere(batch: RankingBatch) -> RankingBatch:
    """Return the batch with only those known answers that are candidates."""
    inside = torch.isin(batch.known, batch.candidates)
    return replace(batch, known_query=batch.known_query[inside], known=batch.known[inside])


def chunks(batch: RankingBatch, each: int, memory: int) -> Sequence[Tensor]:
    """Return indices of triples in chunks that need about ``memory`` bytes each.

    Args:
        batch: triples with their known answers, thousands for a hub.
        each: bytes of a triple beside its known answers.
        memory: bytes.
    """
    start, stop = _span_of_known(batch, batch.query)
    needed = (each + 64 * (stop - start)).cumsum(dim=0)
    _, sizes = torch.unique_consecutive((needed - 1) // memory, return_counts=True)
    return torch.split(torch.arange(len(needed), device=needed.device), sizes.tolist())


def other_answers(batch: RankingBatch, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the other known true answers to the queries of some triples.

    Args:
        batch: with triples and known answers.
        rows: (chunk,) indices of triples.

    Returns:
        Indices into ``rows`` and entities, (found,) each.
    """
    start, stop = _span_of_known(batch, batch.query[rows])
    owner = torch.arange(len(rows), device=rows.device).repeat_interleave(stop - start)
    before = (stop - start).cumsum(dim=0) - (stop - start)
    known = batch.known[torch.arange(len(owner), device=rows.device) + (start - before)[owner]]
    other = known != batch.target[rows][owner]
    return owner[other], known[other]


def _span_of_known(batch: RankingBatch, query: Tensor) -> tuple[Tensor, Tensor]:
    """Return the start and end of each query's known answers in ``batch.known``."""
    return torch.searchsorted(batch.known_query, query), torch.searchsorted(batch.known_query, query, right=True)


def _refuse_nan(scores: Tensor) -> None:
    """Refuse scores that are NaN: each comparison with NaN is false, so that it would rank first."""
    if broken := int(scores.amax(dim=1).isnan().count_nonzero()):
        raise KedrecError(
            f"{broken} of {len(scores)} queries have a score that is not a number: training diverged; "
            "lower the learning rate, or go back to an earlier checkpoint"
        )
