"""Link-prediction metrics of test sets, collected from batches in any order."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from kedrec.evaluation.filtered_ranks import MEMORY, Counts, count_rivals, rank_metrics, ranking_metrics
from kedrec.evaluation.popularity_metrics import count_by_degree, count_degree_matched
from kedrec.evaluation.rank_intervals import rank_intervals
from kedrec.evaluation.ranking_batch import RankingBatch
from kedrec.evaluation.sampled_ranking import Draws, Variant, draw, sampled_metrics
from kedrec.runtime.distributed import gathered

Key = TypeVar("Key", bound=Hashable)
Part = TypeVar("Part")

_DEGREES = {"0": 0, "1-9": 1, "10-99": 10, "100-999": 100, "1000+": 1000}
"""Buckets of the training degree of the true answer, by their least degree."""
_DISEASE = "Disease::"


class RankingReport:
    """Collects the ranks of true answers, one for each side of a triple, and computes metrics.

    The result does not depend on the batches and their order, to the last bit; an answer added twice counts once.

    Args:
        seed: of the 50-candidate protocol.
        relations: names of the relations, in the order of their rows.
        entities: names of the entities, in the order of their rows; ``None`` for a report without intervals.
        memory: bytes beside the scores of a batch; one triple may need more.
    """

    def __init__(
        self, seed: int, relations: Sequence[str], entities: Sequence[str] | None = None, memory: int = MEMORY
    ) -> None:
        self._seed = seed
        self._relations = relations
        self._entities = entities
        self._memory = memory
        self._answers: dict[str, list[Tensor]] = defaultdict(list)
        self._matched: dict[str, list[Tensor]] = defaultdict(list)
        self._draws: dict[tuple[str, Variant], list[tuple[Tensor, Draws]]] = defaultdict(list)

    def add(self, scores: Tensor, batch: RankingBatch, *, sampled: bool = False, matched: bool = False) -> None:
        """Rank the answers of a batch.

        Args:
            scores: (queries, entities), higher is better, on the device of the batch.
            batch: the queries.
            sampled: whether to add the answers to the 50-candidate protocol too, which stores 2 KB an answer.
            matched: whether to rank them also among candidates of similar degree, which the batch must have.

        Raises:
            KedrecError: a score is not a number.
        """
        every, typed = (count_rivals(scores, batch, typed=t, filtered=True, memory=self._memory) for t in (False, True))
        number = (2 * batch.triple + (batch.side == "tail")).cpu()
        asked = (batch.relation[batch.query], batch.entity[batch.query], batch.target, batch.degree)
        self._answers[batch.name].append(_columns(number, *(fact.cpu() for fact in asked), every, typed))
        if matched:
            alike = count_degree_matched(scores, batch, self._memory)
            self._matched[batch.name].append(_columns(number, alike, count_by_degree(batch, self._memory)))
        if sampled:
            for variant, draws in draw(scores, batch, seed=self._seed, memory=self._memory).items():
                self._draws[batch.name, variant].append((number, draws))

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the answers of all processes, by flat names; each process must call it.

        SET is the name of a test set, and METRIC a filtered metric of `ranking_metrics`:

        * ``SET/n``: number of distinct triples.
        * ``SET/all/METRIC``: among all entities, both sides; ``SET/all/head/METRIC`` and ``SET/all/tail/METRIC``: for
          the missing side, with ``n``, the number of answers.
        * ``SET/typed/…``: the same among the entities of the answer's type.
        * ``SET/typed/relation/NAME/…`` and ``SET/typed/degree/BUCKET/…``: ``mrr``, ``hits@10`` and ``n``, the number of
          answers, by relation and by the training degree of the true answer.
        * ``SET/degree_matched/METRIC`` and ``SET/degree_matched/n``: for answers added with ``matched``, among
          candidates of similar degree; ``SET/by_degree/METRIC``: a ranking of the same answers by degree alone, among
          all entities of their type.
        * ``SET/lladr_published/…`` and ``SET/lladr_filtered/…``: see `sampled_metrics`.

        If entities have names: ``SET/diseases``, the number of diseases, and the 95 % interval over diseases of each
        METRIC, ``METRIC_low`` and ``METRIC_high``. The disease of an answer is that in its triple; of two diseases the
        tail; without any the tail too.
        """
        found: dict[str, float] = {}
        diseases: dict[str, tuple[Tensor, Tensor]] = {}
        for name, answers in _whole(self._answers).items():
            if self._entities is not None:
                diseases[name] = answers[0], self._diseases(answers)
            found |= _under(name, self._of_set(answers, diseases[name][1] if name in diseases else None))
        for name, (number, *counts) in _whole(self._matched).items():
            of = _diseases_at(diseases.get(name), number)
            found[f"{name}/degree_matched/n"] = float(len(number))
            for kind, columns in (("degree_matched", counts[:3]), ("by_degree", counts[3:])):
                found |= _under(f"{name}/{kind}", _with_intervals(Counts(*columns), of))
        for (name, variant), pairs in _of_all_processes(self._draws).items():
            parts, draws = zip(*pairs, strict=True)
            once = _once(numbers := torch.cat(parts))
            of = _diseases_at(diseases.get(name), numbers[once])
            metrics = sampled_metrics(Draws.cat(draws).at(once), None if of is None else of.numpy())
            found |= _under(f"{name}/lladr_{variant}", metrics)
        return found

    def records(self) -> list[dict[str, Any]]:
        """Return a row for each answer of all processes; each process must call it; entities must have names.

        Each row has ``set``, ``head``, ``relation``, ``tail``, the ``missing`` side, ``disease`` (empty if the triple
        has none), and the filtered ranks among ``all`` entities and among those of the answer's type, ``typed``.
        """
        assert self._entities is not None
        rows = []
        for name, answers in _whole(self._answers).items():
            number, relation, given, target, _, *counts = answers
            every, typed = (1 + above + ties / 2 for above, ties in (counts[:2], counts[3:5]))
            asked = (number % 2, relation, given, target, self._diseases(answers), every, typed)
            for tail, kind, one, other, disease, among_all, among_typed in zip(*map(Tensor.tolist, asked), strict=True):
                head, last = (one, other) if tail else (other, one)
                of = self._entities[disease]
                rows.append(
                    {
                        "set": name,
                        "head": self._entities[head],
                        "relation": self._relations[kind],
                        "tail": self._entities[last],
                        "missing": "tail" if tail else "head",
                        "disease": of if of.startswith(_DISEASE) else "",
                        "all": among_all,
                        "typed": among_typed,
                    }
                )
        return rows

    def _diseases(self, answers: Tensor) -> Tensor:
        """Return the row of the disease of each answer, else of the tail: ``(answers,)``."""
        assert self._entities is not None
        number, _, given, target, *_ = answers
        head, tail = torch.where(number % 2 == 1, torch.stack([given, target]), torch.stack([target, given]))
        kind = torch.tensor([entity.startswith(_DISEASE) for entity in self._entities])
        return torch.where(kind[head] & ~kind[tail], head, tail)

    def _of_set(self, answers: Tensor, diseases: Tensor | None) -> dict[str, float]:
        """Return the metrics of one test set; ``answers`` (11, answers) are the columns that `add` stacks."""
        number, relation, _, _, degree, *counts = answers
        every, typed = Counts(*counts[:3]), Counts(*counts[3:])
        found = {"n": float(len(torch.unique(number // 2)))}
        if diseases is not None:
            found["diseases"] = float(len(torch.unique(diseases)))
        for kind, of in (("all", every), ("typed", typed)):
            found |= _under(kind, _with_intervals(of, diseases))
            for side, parity in (("head", 0), ("tail", 1)):
                found |= _under(f"{kind}/{side}", _of_some(of, diseases, number % 2 == parity))
        for row in relation.unique().tolist():
            found |= _under(
                f"typed/relation/{self._relations[row]}", _brief(_of_some(typed, diseases, relation == row))
            )
        bucket = torch.bucketize(degree, torch.tensor(list(_DEGREES.values())), right=True) - 1
        for place, label in enumerate(_DEGREES):
            if (there := bucket == place).any():
                found |= _under(f"typed/degree/{label}", _brief(_of_some(typed, diseases, there)))
        return found


def _columns(*parts: Tensor | Counts) -> Tensor:
    """Return columns of answers, ``(columns, answers)``; counts are three."""
    each = [(of,) if isinstance(of, Tensor) else (of.greater, of.equal, of.candidates) for of in parts]
    return torch.stack([column for of in each for column in of])


def _whole(parts: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    """Return the columns of all processes, each answer once, in ascending order of the numbers in the first column."""
    joined = {name: torch.cat(of, dim=1) for name, of in sorted(_of_all_processes(parts).items())}
    return {name: of[:, _once(of[0])] for name, of in joined.items()}


def _diseases_at(known: tuple[Tensor, Tensor] | None, numbers: Tensor) -> Tensor | None:
    """Return the diseases of some answers, from the ascending numbers of all and their diseases."""
    return None if known is None else known[1][torch.searchsorted(known[0].contiguous(), numbers.contiguous())]


def _with_intervals(counts: Counts, diseases: Tensor | None) -> dict[str, float]:
    found = ranking_metrics(counts)
    if diseases is not None:
        each = rank_metrics(counts.greater + counts.equal.double() / 2, counts.candidates)
        values = {name: of.numpy() for name, of in each.items()}
        found |= rank_intervals(values, diseases.numpy(), int(counts.candidates.max()) + 1)
    return found


def _of_all_processes(parts: Mapping[Key, Sequence[Part]]) -> dict[Key, list[Part]]:
    joined: dict[Key, list[Part]] = defaultdict(list)
    for key, part in gathered([(key, part) for key, of_key in parts.items() for part in of_key]):
        joined[key].append(part)
    return joined


def _of_some(counts: Counts, diseases: Tensor | None, where: Tensor) -> dict[str, float]:
    """Return the metrics of the answers at a mask, with their number; nothing where there are none."""
    if not where.any():
        return {}
    found = _with_intervals(counts.at(where), None if diseases is None else diseases[where])
    return {**found, "n": float(where.count_nonzero())}


def _brief(metrics: dict[str, float]) -> dict[str, float]:
    kept = ("mrr", "hits@10")
    return {name: value for name, value in metrics.items() if name == "n" or name.startswith(kept)}


def _under(prefix: str, metrics: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in metrics.items()}


def _once(numbers: Tensor) -> Tensor:
    """Return the place of the first of each number, in ascending order of the numbers."""
    ascending, places = numbers.sort(stable=True)
    first = torch.ones_like(ascending, dtype=torch.bool)
    first[1:] = ascending[1:] != ascending[:-1]
    return places[first]
