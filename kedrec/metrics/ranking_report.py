"""The link-prediction metrics of whole test sets, from batches in any order."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from kedrec.batches import RankingBatch
from kedrec.metrics.ranking import MEMORY, Counts, count_rivals, ranking_metrics
from kedrec.metrics.sampled_ranking import Draws, Variant, draw, sampled_metrics
from kedrec.processes import gathered

Key = TypeVar("Key", bound=Hashable)
Part = TypeVar("Part")

_DEGREES = {"0": 0, "1-9": 1, "10-99": 10, "100-999": 100, "1000+": 1000}
"""Buckets of the training degree of the true answer, by their least degree."""


class RankingReport:
    """Collects the ranks of a model's answers, each side of a triple an answer, and sums them up.

    The result is the same to the last bit whatever the batches and their order; an answer added twice counts once.

    Args:
        seed: of the draws of the 50-candidate protocol.
        relations: names of the relations, in the order of their rows.
        memory: bytes that may be held beside the scores of a batch, unless one triple alone needs more.
    """

    def __init__(self, seed: int, relations: Sequence[str], memory: int = MEMORY) -> None:
        self._seed = seed
        self._relations = relations
        self._memory = memory
        self._answers: dict[str, list[Tensor]] = defaultdict(list)
        self._draws: dict[tuple[str, Variant], list[tuple[Tensor, Draws]]] = defaultdict(list)

    def add(self, scores: Tensor, batch: RankingBatch, *, sampled: bool = False) -> None:
        """Rank the answers of a batch.

        Args:
            scores: (queries, entities), higher is better, on the device of the batch.
            batch: what was scored.
            sampled: whether the answers go into the 50-candidate protocol too. It keeps 2 KB an answer.

        Raises:
            KedrecError: a score is not a number.
        """
        every, typed = (count_rivals(scores, batch, typed=t, filtered=True, memory=self._memory) for t in (False, True))
        number = (2 * batch.triple + (batch.side == "tail")).cpu()
        facts = (number, batch.relation[batch.query].cpu(), batch.degree.cpu())
        counts = (column for of in (every, typed) for column in (of.greater, of.equal, of.candidates))
        self._answers[batch.name].append(torch.stack([*facts, *counts]))
        if sampled:
            for variant, draws in draw(scores, batch, seed=self._seed, memory=self._memory).items():
                self._draws[batch.name, variant].append((number, draws))

    def metrics(self) -> dict[str, float]:
        """Return the metrics, of the answers of all processes, by flat names; each process must call it.

        With SET the name of a test set, and METRIC one of those of `ranking_metrics`, filtered:

        * ``SET/n``: distinct triples.
        * ``SET/all/METRIC``: among all entities, both sides; ``SET/all/head/METRIC`` and ``SET/all/tail/METRIC``: where
          that side is missing.
        * ``SET/typed/…``: the same among the entities of the answer's type.
        * ``SET/typed/relation/NAME/…`` and ``SET/typed/degree/BUCKET/…``: ``mrr``, ``hits@10`` and ``n``, the number of
          answers, by relation and by the training degree of the true answer; those that occur.
        * ``SET/lladr_published/…`` and ``SET/lladr_filtered/…``: what `sampled_metrics` returns.
        """
        found: dict[str, float] = {}
        for name, parts in _of_all_processes(self._answers).items():
            answers = torch.cat(parts, dim=1)
            found |= _under(name, self._of_set(answers[:, _once(answers[0])]))
        for (name, variant), pairs in _of_all_processes(self._draws).items():
            numbers, draws = zip(*pairs, strict=True)
            found |= _under(f"{name}/lladr_{variant}", sampled_metrics(Draws.cat(draws).at(_once(torch.cat(numbers)))))
        return found

    def _of_set(self, answers: Tensor) -> dict[str, float]:
        """Return the metrics of one test set; ``answers`` (9, answers) are the columns that `add` stacks."""
        number, relation, degree, *counts = answers
        every, typed = Counts(*counts[:3]), Counts(*counts[3:])
        found = {"n": float(len(torch.unique(number // 2)))}
        for kind, of in (("all", every), ("typed", typed)):
            found |= _under(kind, ranking_metrics(of))
            for side, parity in (("head", 0), ("tail", 1)):
                found |= _under(f"{kind}/{side}", ranking_metrics(of.at(number % 2 == parity)))
        for row in relation.unique().tolist():
            found |= _under(f"typed/relation/{self._relations[row]}", _brief(typed.at(relation == row)))
        bucket = torch.bucketize(degree, torch.tensor(list(_DEGREES.values())), right=True) - 1
        for place, label in enumerate(_DEGREES):
            if (there := bucket == place).any():
                found |= _under(f"typed/degree/{label}", _brief(typed.at(there)))
        return found


def _of_all_processes(parts: Mapping[Key, Sequence[Part]]) -> dict[Key, list[Part]]:
    joined: dict[Key, list[Part]] = defaultdict(list)
    for key, part in gathered([(key, part) for key, of_key in parts.items() for part in of_key]):
        joined[key].append(part)
    return joined


def _brief(counts: Counts) -> dict[str, float]:
    metrics = ranking_metrics(counts)
    return {"mrr": metrics["mrr"], "hits@10": metrics["hits@10"], "n": float(len(counts.greater))}


def _under(prefix: str, metrics: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in metrics.items()}


def _once(numbers: Tensor) -> Tensor:
    """Return the place of the first of each number, in ascending order of the numbers."""
    ascending, places = numbers.sort(stable=True)
    first = torch.ones_like(ascending, dtype=torch.bool)
    first[1:] = ascending[1:] != ascending[:-1]
    return places[first]
