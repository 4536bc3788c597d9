"""Popularity: what is left of a ranking of drugs once well-known drugs have no advantage, and how few it names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kedrec.evaluation.filtered_ranks import MEMORY, Counts, chunks, other_answers, without_known_elsewhere
from kedrec.evaluation.ranking_batch import RankingBatch

MATCHED = 50
"""Candidates of a degree-matched ranking, the true answer among them: as many as in LLaDR's protocol."""

TOP = 10


def count_degree_matched(scores: Tensor, batch: RankingBatch, memory: int = MEMORY) -> Counts:
    """Compare each true answer with the 49 other candidates that are nearest to it in the order of training degrees.

    Half of them have the answer's degree or less, half have it or more, as far as there are such: not at the very top,
    where an answer has rivals of lower degree alone. Neighbours in degree rather than a bucket of degrees: each answer
    has as many rivals as any other, so that ranks compare, and where few drugs have very different degrees rivals are
    as near as there are. Chance gets an MRR of 0.09 and Hits@10 of 0.2, a ranking by degree alone a mean rank of about
    25. Other known true answers are left out beforehand.

    Args:
        scores: (queries, entities), higher is better, without NaN.
        batch: what was scored, on the same device, with the candidates' degrees.
        memory: bytes that may be held beside the scores, unless one triple alone needs more.

    Returns:
        The counts, on the CPU; among all candidates where there are fewer than 50.
    """
    assert batch.candidate_degree is not None
    order = batch.candidate_degree.argsort(stable=True)
    batch = without_known_elsewhere(batch)
    entities, place = batch.candidates[order], order.argsort()
    target = place[torch.searchsorted(batch.candidates, batch.target.contiguous())]
    known = place[torch.searchsorted(batch.candidates, batch.known)]
    ordered = replace(batch, target=target, known=known)
    parts = []
    for rows in chunks(batch, 64 * MATCHED, memory):
        places, there = _neighbours(target[rows], *other_answers(ordered, rows), len(entities))
        rivals = scores[batch.query[rows][:, None], entities[places]]
        answer = scores[batch.query[rows], batch.target[rows]][:, None]
        greater, equal = (of.logical_and_(there).sum(dim=1) for of in (rivals > answer, rivals == answer))
        parts.append(Counts(greater.cpu(), equal.cpu() - 1, there.sum(dim=1).cpu() - 1))
    return Counts.cat(parts)


def _neighbours(target: Tensor, owner: Tensor, known: Tensor, candidates: int) -> tuple[Tensor, Tensor]:
    """Return the 50 places about each target, its own among them, and which of them there are: ``(chunk, 50)`` each.

    Args:
        target: (chunk,) places in the order of degrees.
        owner: (known,) ascending places in ``target`` of the answers that are left out.
        known: (known,) their places in the order of degrees.
        candidates: places in all.
    """
    row = candidates * torch.arange(len(target), device=target.device)
    keys = (owner * candidates + known).sort().values
    left_out = owner.bincount(minlength=len(target))
    start = left_out.cumsum(dim=0) - left_out
    own = target - (torch.searchsorted(keys, row + target) - start)  # its turn among those that are left
    first = torch.minimum(own - MATCHED // 2, candidates - left_out - MATCHED).clamp(min=0)
    turn = first[:, None] + torch.arange(MATCHED, device=target.device)
    there = turn < (candidates - left_out)[:, None]
    passed = keys - (torch.arange(len(keys), device=keys.device) - start[owner])  # turns before each that is left out
    turn = turn.where(there, own[:, None])
    skipped = torch.searchsorted(passed, row[:, None] + turn, right=True) - start[:, None]
    return turn + skipped, there


def count_by_degree(batch: RankingBatch, memory: int = MEMORY) -> Counts:
    """Return the counts, filtered and among the candidates, of a ranking by training degree alone: no model.

    Args:
        batch: with the candidates' degrees.
        memory: bytes, as above.
    """
    assert batch.candidate_degree is not None
    degrees = batch.candidate_degree
    batch = without_known_elsewhere(batch)
    ascending = degrees.sort().values
    own = degrees[torch.searchsorted(batch.candidates, batch.target.contiguous())]
    upto = torch.searchsorted(ascending, own, right=True)
    greater, equal = len(ascending) - upto, upto - torch.searchsorted(ascending, own) - 1
    candidates = torch.full_like(greater, len(ascending) - 1)
    for rows in chunks(batch, 64, memory):
        owner, known = other_answers(batch, rows)
        degree = degrees[torch.searchsorted(batch.candidates, known)]
        for counted, where in ((greater, degree > own[rows][owner]), (equal, degree == own[rows][owner])):
            counted[rows] -= owner[where].bincount(minlength=len(rows))
        candidates[rows] -= owner.bincount(minlength=len(rows))
    return Counts(greater.cpu(), equal.cpu(), candidates.cpu())


def concentration_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return how many drugs the top ten recommendations for many diseases name.

    Args:
        rows: of each disease the ``compounds`` ranked for it, the best first, with ``id`` and ``known``. A drug that
            training tells to treat the disease is no recommendation; the next one moves up.

    Returns:
        ``top10_distinct``: different drugs in the top ten of all diseases. ``top10_share``: share of these places
        that the ten drugs named most often take: 1.0 where all diseases get the same ten, as by degree alone, and one
        divided by the number of diseases where no drug is named twice. ``diseases``: how many. Nothing of none.
    """
    named: Counter[str] = Counter()
    for row in rows:
        named.update([one["id"] for one in row["compounds"] if one["known"] != "training"][:TOP])
    if not named:
        return {}
    most = sum(count for _, count in named.most_common(TOP))
    return {
        "top10_distinct": float(len(named)),
        "top10_share": most / named.total(),
        "diseases": float(len(rows)),
    }
