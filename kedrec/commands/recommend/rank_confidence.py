"""The share of held-out treatments among the drugs at a rank, by which a ranking is calibrated.

Which drugs do not treat a disease is unknown. The treatments that a run's validation and test hold out can be counted
at each rank: their share of the drugs there, training treatments left out, is known to be right. Few treatments are
held out, and a graph has few of all, so the share is a lower bound of the probability that such a drug treats the
disease. The lift, the ratio to the share over all drugs, does not depend on these two.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from kedrec.commands.recommend.drug_ranking import DrugRanking
from kedrec.storage.artifact_store import Store

_COUNTS_VERSION = 1  # increase it with a change of `_count`: stored counts are then made again


@dataclass(frozen=True)
class Confidence:
    """Counts at ranks near a drug's, for diseases of the same kind.

    Attributes:
        share: of the drugs at these ranks that are treatments held out: a lower bound.
        lift: the share over that of all drugs.
        found: treatments held out at these ranks.
        counted: drugs at these ranks, over all diseases.
        first_rank: of those counted together, among drugs that training has not shown as treatments.
        last_rank: likewise.
    """

    share: float
    lift: float
    found: int
    counted: int
    first_rank: int
    last_rank: int


@dataclass(frozen=True)
class Counts:
    """Runs of ranks with one share each, which never rises from rank to rank.

    Attributes:
        diseases: how many were counted.
        last_ranks: the last rank of each run.
        found: the treatments held out in each run.
    """

    diseases: int
    last_ranks: tuple[int, ...]
    found: tuple[int, ...]

    def at(self, rank: int) -> Confidence | None:
        """Return what was counted at a rank; ``None`` where nothing was held out."""
        if not sum(self.found):
            return None
        run = min(int(np.searchsorted(self.last_ranks, rank)), len(self.last_ranks) - 1)
        first = self.last_ranks[run - 1] + 1 if run else 1
        counted = self.diseases * (self.last_ranks[run] - first + 1)
        share = self.found[run] / counted
        overall = sum(self.found) / (self.diseases * self.last_ranks[-1])
        return Confidence(
            round(share, 6), round(share / overall, 2), self.found[run], counted, first, self.last_ranks[run]
        )


@dataclass(frozen=True)
class Calibration:
    """Counts for diseases of two kinds.

    Attributes:
        treated: those of which training has shown a treatment.
        untreated: those of which it has shown none.
    """

    treated: Counts
    untreated: Counts

    def at(self, rank: int, *, treated: bool) -> Confidence | None:
        """Return what was counted at a rank, for diseases of a kind."""
        return (self.treated if treated else self.untreated).at(rank)


def calibrate(ranking: DrugRanking, names: str | None, store: Store) -> Calibration:
    """Count where a run ranks the treatments that it has not been shown; counted once, then kept in the store.

    Args:
        ranking: of the run.
        names: hash of the file of names, by which synonyms are merged.
        store: keeps the counts.
    """
    exported, graph = ranking.exported, ranking.graph
    key = {"run": exported.identity, "graph": graph.source_hash, "names": names, "counting": _COUNTS_VERSION}
    held = sorted("\t".join(one) for one in exported.held_out)

    def build(folder: Path) -> None:
        (folder / "counts.json").write_text(json.dumps(asdict(_count(ranking))), encoding="utf-8")

    place = store.get("confidence", {**key, "held_out": held}, build)
    read = json.loads((place / "counts.json").read_text(encoding="utf-8"))
    return Calibration(
        **{kind: Counts(one["diseases"], tuple(one["last_ranks"]), tuple(one["found"])) for kind, one in read.items()}
    )


def _count(ranking: DrugRanking) -> Calibration:
    synonyms: dict[str, list[str]] = {}
    for row in ranking.graph.of_type("Disease").tolist():
        synonyms.setdefault(ranking.graph.entities[ranking.kept[row]], []).append(ranking.graph.entities[row])
    positions: dict[bool, list[int]] = {True: [], False: []}
    diseases = {True: 0, False: 0}
    for disease, known in sorted(ranking.known.items()):
        treated = "training" in known.values()
        diseases[treated] += 1
        if "held out" in known.values():
            positions[treated] += held_out_ranks(ranking, synonyms[disease], known)
    counts = {kind: pooled(positions[kind], diseases[kind], len(ranking.drugs)) for kind in (True, False)}
    return Calibration(counts[True], counts[False])


def held_out_ranks(ranking: DrugRanking, disease: Sequence[str], known: Mapping[str, str]) -> list[int]:
    """Return the ranks of a disease's held-out treatments among the drugs that training has not shown as such.

    Args:
        ranking: of the run.
        disease: ids of the disease and its synonyms.
        known: drug -> whether it is of ``training`` or ``held out``.
    """
    order = ranking.order(ranking.scores(disease)[0])
    shown, held = (
        [ranking.places[drug] for drug, status in known.items() if status == kind and drug in ranking.places]
        for kind in ("training", "held out")
    )
    asked = order[~np.isin(order, shown)]
    found: list[int] = (np.flatnonzero(np.isin(asked, held)) + 1).tolist()
    return found


def pooled(ranks: Sequence[int], diseases: int, drugs: int) -> Counts:
    """Pool neighbouring ranks until the share of treatments found never rises: isotonic regression on the rank.

    Args:
        ranks: of the treatments held out, over all diseases, from 1.
        diseases: how many there are.
        drugs: how many are ranked for each.
    """
    from scipy.optimize import isotonic_regression  # type: ignore[import-untyped]

    found = np.bincount(np.asarray(ranks, dtype=np.int64), minlength=drugs + 1)[1:].astype(np.float64)
    blocks = isotonic_regression(found, increasing=False).blocks
    sums = [int(found[first:end].sum()) for first, end in pairwise(blocks)]
    return Counts(max(diseases, 1), tuple(int(end) for end in blocks[1:]), tuple(sums))
