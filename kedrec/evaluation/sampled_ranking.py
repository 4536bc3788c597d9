"""LLaDR's protocol: the true answer among 49 that are drawn (arXiv 2510.12181, EMNLP Findings 2025)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import gammaln  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn import functional

from kedrec.evaluation.filtered_ranks import (
    MEMORY,
    Counts,
    chunks,
    count_rivals,
    other_answers,
    rank_metrics,
    ranking_metrics,
    without_known_elsewhere,
)
from kedrec.evaluation.rank_intervals import rank_intervals
from kedrec.evaluation.ranking_batch import RankingBatch

Variant = Literal["published", "filtered"]
"""Who may be drawn: all of the type but the true answer, as the authors do, or those that are not known to be true."""

DRAWN = 49  # rivals a draw; where fewer may be drawn, all of them
REPETITIONS = 5
_READ = 128  # places that a draw looks at before every candidate gets a key


@dataclass(frozen=True)
class Draws:
    """The scores of true answers and of those drawn against them, on the CPU.

    Attributes:
        answer: (triples,) score of the true answer.
        drawn: (repetitions, triples, 49) scores of those drawn, NaN for those that could not be.
        pool: where the true answer stands among all that might be drawn.
    """

    answer: Tensor
    drawn: Tensor
    pool: Counts

    def at(self, where: Tensor) -> Self:
        """Return the draws of some triples, given by their places."""
        return replace(self, answer=self.answer[where], drawn=self.drawn[:, where], pool=self.pool.at(where))

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Return the draws of several batches as one."""
        return cls(
            answer=torch.cat([part.answer for part in parts]),
            drawn=torch.cat([part.drawn for part in parts], dim=1),
            pool=Counts.cat([part.pool for part in parts]),
        )


def draw(
    scores: Tensor, batch: RankingBatch, *, seed: int, repetitions: int = REPETITIONS, memory: int = MEMORY
) -> dict[Variant, Draws]:
    """Sample 49 negative entities for each true answer from the entities of its type, without replacement.

    A row of random places in ``batch.candidates``, by seed, repetition, side and triple alone, is read until it has
    given 49 entities that may be drawn. Where it does not, every candidate gets a random key, and the smallest keys of
    those that may be drawn win. Both variants read the same rows and keys: they differ by what the known answers do.

    Args:
        scores: (queries, entities), higher is better, without NaN.
        batch: what was scored, on the same device.
        seed: of the keys.
        repetitions: independent draws.
        memory: bytes, see `MEMORY`.
    """
    within = without_known_elsewhere(batch)
    size = (repetitions, len(batch.target), DRAWN)
    drawn: dict[Variant, Tensor] = {name: torch.empty(size, dtype=scores.dtype) for name in get_args(Variant)}
    for rows in chunks(within, 48 * len(batch.candidates), memory):
        allowed = _allowed(within, rows)
        rivals = scores[batch.query[rows][:, None], batch.candidates]
        for repetition in range(repetitions):
            keys = _keys(batch, rows, seed, repetition)
            places = _places(keys, len(batch.candidates))
            taken, enough = zip(*(_first(places, free, rivals) for free in allowed.values()), strict=True)
            short = ~torch.stack(enough).all(dim=0)  # of one variant: both read the keys then
            each = _mixed(keys[short] ^ torch.arange(len(batch.candidates), device=keys.device))
            for (variant, free), scored in zip(allowed.items(), taken, strict=True):
                scored[short] = _smallest(each, free[short], rivals[short])
                drawn[variant][repetition, rows.cpu()] = scored.cpu()
    answer = scores[batch.query, batch.target].cpu()
    return {
        variant: Draws(
            answer=answer,
            drawn=of_all,
            pool=count_rivals(scores, batch, typed=True, filtered=variant == "filtered", memory=memory),
        )
        for variant, of_all in drawn.items()
    }


def sampled_metrics(draws: Draws, disease: npt.NDArray[np.int64] | None = None) -> dict[str, float]:
    """Return the metrics of the protocol.

    Args:
        draws: of all triples; ties among those drawn count half.
        disease: (triples,), which disease each is of, for intervals; ``None`` for none.

    Returns:
        ``mr``, ``mrr``, ``hits@k``, ``auc`` as in `ranking_metrics` and ``auc_pooled``, the area under the ROC curve of
        all true against all drawn scores together, which the authors report: means over the repetitions; each with
        ``_sd``, the standard deviation over the repetitions; and, but for ``auc_pooled``, with ``_expected``, see
        `expected_metrics`. Means and expectations, but that of ``auc_pooled``, with ``_low`` and ``_high``, the 95 %
        interval over diseases, where these are given.
    """
    each = [_of_repetition(draws.answer, drawn) for drawn in draws.drawn]
    table = {name: np.array([one[name] for one in each]) for name in each[0]}
    mean = {name: float(values.mean()) for name, values in table.items()}
    spread = {f"{name}_sd": float(values.std(ddof=1)) for name, values in table.items()}
    expected = _expected_of_each(draws.pool)
    found = mean | spread | {f"{name}_expected": float(values.mean()) for name, values in expected.items()}
    if disease is not None:
        found |= rank_intervals(_means_of_each(draws), disease, DRAWN + 1)
        for name, value in rank_intervals(expected, disease, DRAWN + 1).items():
            metric, _, end = name.rpartition("_")
            found[f"{metric}_expected_{end}"] = value
    return found


def expected_metrics(pool: Counts) -> dict[str, float]:
    """Return the exact means of the metrics over all draws from a pool: what infinitely many repetitions would give.

    The number of those drawn that are above the true answer is hypergeometric. Where ``e`` of the pool tie with it, the
    mean is over the ``e + 1`` places that it may have among them, all equally likely. For ``mr`` and ``auc`` that is
    the same as counting each drawn tie half; ``mrr`` and ``hits@k``, not linear in the rank, then differ a little.

    Args:
        pool: where each true answer stands among all that might be drawn.
    """
    return {name: float(values.mean()) for name, values in _expected_of_each(pool).items()}


def _expected_of_each(pool: Counts) -> dict[str, npt.NDArray[np.float64]]:
    """Return what `expected_metrics` returns the means of, ``(triples,)`` each."""
    found: dict[str, npt.NDArray[np.float64]] = {}
    order = pool.candidates.argsort(stable=True)
    sizes, triples = torch.unique_consecutive(pool.candidates[order], return_counts=True)
    for candidates, rows in zip(sizes.tolist(), torch.split(order, triples.tolist()), strict=True):
        same = pool.at(rows)
        for name, values in _expected(same.greater.numpy(), same.equal.numpy(), candidates).items():
            found.setdefault(name, np.empty(len(order)))[rows.numpy()] = values
    return found


def _means_of_each(draws: Draws) -> dict[str, npt.NDArray[np.float64]]:
    """Return the metrics of each triple, but ``auc_pooled``, ``(triples,)`` each: means over the repetitions."""
    each = [_counted(draws.answer, drawn) for drawn in draws.drawn]
    tables = [rank_metrics(counts.greater + counts.equal.double() / 2, counts.candidates) for counts in each]
    return {name: torch.stack([table[name] for table in tables]).mean(0).numpy() for name in tables[0]}


def _expected(
    greater: npt.NDArray[np.int64], equal: npt.NDArray[np.int64], candidates: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the expectation of each metric for triples (triples,) whose pools are of one size."""
    drawn = min(DRAWN, candidates)
    values = rank_metrics(torch.arange(drawn + 1), torch.tensor(drawn))
    starts = np.bincount(greater, minlength=candidates + 2)
    stops = np.bincount(greater + equal + 1, minlength=candidates + 2)
    asked = np.flatnonzero((starts - stops).cumsum())  # numbers above the answer that some order of its ties gives
    chances = _hypergeometric(candidates, asked, drawn)
    found = {}
    for name, value in values.items():
        expected = np.zeros(candidates + 2)
        expected[asked + 1] = chances @ value.numpy()
        upto = expected.cumsum()
        found[name] = (upto[greater + equal + 1] - upto[greater]) / (equal + 1)
    return found


def _hypergeometric(candidates: int, above: npt.NDArray[np.int64], drawn: int) -> npt.NDArray[np.float64]:
    """Return the chance of each number of the ``above`` among those drawn: (len(above), drawn + 1).

    That of `scipy.stats.hypergeom`, which takes 15 microseconds a chance, where a large test set asks for a million.
    """
    factorials = gammaln(np.arange(candidates + 1) + 1)
    logs = np.concatenate([np.full(drawn, np.inf), factorials])  # of -drawn, …, candidates; no chance below 0

    def log_choose(n: npt.NDArray[np.int64], k: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        chosen: npt.NDArray[np.float64] = logs[n + drawn] - logs[k + drawn] - logs[n - k + drawn]
        return chosen

    counts, above = np.arange(drawn + 1), above[:, None]
    ways = log_choose(above, counts) + log_choose(candidates - above, drawn - counts)
    chances: npt.NDArray[np.float64] = np.exp(ways - log_choose(np.array(candidates), np.array(drawn)))
    return chances


def _of_repetition(answer: Tensor, drawn: Tensor) -> dict[str, float]:
    """Return the metrics of one draw, (triples,) against (triples, 49)."""
    pooled = _pooled_auc(answer, drawn[~drawn.isnan()])
    return ranking_metrics(_counted(answer, drawn)) | {"auc_pooled": pooled}


def _counted(answer: Tensor, drawn: Tensor) -> Counts:
    """Return where the answers (triples,) stand among those drawn, (triples, 49)."""
    return Counts(
        greater=(drawn > answer[:, None]).count_nonzero(dim=1),
        equal=(drawn == answer[:, None]).count_nonzero(dim=1),
        candidates=(~drawn.isnan()).count_nonzero(dim=1),
    )


def _pooled_auc(true: Tensor, false: Tensor) -> float:
    """Return the share of (true, false) pairs of scores in the right order, ties half; 1 where there are no pairs."""
    ascending = false.sort().values
    below = torch.searchsorted(ascending, true).sum() + torch.searchsorted(ascending, true, right=True).sum()
    pairs = len(true) * len(false)
    return int(below) / (2 * pairs) if pairs else 1.0


def _allowed(batch: RankingBatch, rows: Tensor) -> dict[Variant, Tensor]:
    """Return which candidates may be drawn against some triples: (chunk, candidates) bool."""
    published = batch.candidates != batch.target[rows][:, None]
    owner, known = other_answers(batch, rows)
    filtered = published.clone()
    filtered[owner, torch.searchsorted(batch.candidates, known)] = False
    return {"published": published, "filtered": filtered}


def _places(keys: Tensor, candidates: int) -> Tensor:
    """Return a row of random places for each key of ``(chunk, 1)``: (chunk, 128), a repeated one as -1."""
    turn = torch.arange(_READ, device=keys.device)
    places = (_mixed(keys ^ ~turn) & torch.iinfo(torch.int64).max) % candidates
    ascending, order = places.sort(dim=1, stable=True)
    repeated = functional.pad(ascending[:, 1:] == ascending[:, :-1], (1, 0))
    return places.masked_fill(torch.zeros_like(repeated).scatter(1, order, repeated), -1)


def _first(places: Tensor, allowed: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores (chunk, 49) at the first allowed places, and where there are enough, (chunk,) bool."""
    good = allowed.gather(1, places.clamp(min=0)) & (places >= 0)
    turn = good.cumsum(dim=1)
    good &= turn <= DRAWN
    taken = scores.new_full((len(places), DRAWN), torch.nan)
    row, column = good.nonzero(as_tuple=True)
    taken[row, turn[row, column] - 1] = scores[row, places[row, column]]
    return taken, turn[:, -1] >= DRAWN


def _smallest(keys: Tensor, allowed: Tensor, scores: Tensor) -> Tensor:
    """Return the scores (chunk, 49) of those with the smallest keys; all three of (chunk, candidates)."""
    barred = keys.masked_fill(~allowed, torch.iinfo(torch.int64).max)
    places = barred.topk(min(DRAWN, barred.shape[1]), dim=1, largest=False, sorted=False).indices
    taken = scores.gather(1, places).masked_fill(~allowed.gather(1, places), torch.nan)
    return functional.pad(taken, (0, DRAWN - taken.shape[1]), value=torch.nan)


def _keys(batch: RankingBatch, rows: Tensor, seed: int, repetition: int) -> Tensor:
    """Return a random number for each triple, (chunk, 1) int64."""
    key = torch.tensor(0, device=rows.device)
    side = ("head", "tail").index(batch.side)
    for part in (seed, repetition, side, batch.triple[rows][:, None]):
        key = _mixed((key - 0x61C8864680B583EB) ^ part)  # the golden ratio in 64 bits, as a signed number
    return key


def _mixed(bits: Tensor) -> Tensor:
    """Return splitmix64's finaliser of int64: one-to-one, and each bit of the result hangs on each of the argument.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, variant 13 of
    Stafford. int64 wraps around as the reference's uint64 does; ``>>`` needs a mask, as it repeats the sign.
    """
    bits = (bits ^ ((bits >> 30) & ((1 << 34) - 1))) * -0x40A7B892E31B1A47
    bits = (bits ^ ((bits >> 27) & ((1 << 37) - 1))) * -0x6B2FB644ECCEEE15
    return bits ^ ((bits >> 31) & ((1 << 33) - 1))
