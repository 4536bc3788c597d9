"""The base class of models that rank entities: validation, tests, and the compounds ranked for diseases."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kedrec.errors import KedrecError
from kedrec.evaluation.bootstrap import cluster_sums, figure
from kedrec.evaluation.link_prediction_metrics import RankingReport
from kedrec.evaluation.popularity_metrics import concentration_metrics
from kedrec.evaluation.ranking_batch import RankingBatch
from kedrec.graph.vocabulary import Side, Vocabulary
from kedrec.lladr.triple_batches import ChoiceBatch, RepurposingBatch
from kedrec.runtime.distributed import gathered
from kedrec.sources.graph.entity_ids import entity_type
from kedrec.training.base_classes import ExperimentData, TrainableModule

_SPLITS = ("training", "validation", "test")


class Ranker(TrainableModule):
    """A model that scores how well each entity answers a query: an entity and a relation with one side missing.

    Args:
        seed: of the candidates that LLaDR's protocol draws.
    """

    task = "link_prediction"
    monitor = ("validation/mrr", "max")
    reading = (
        "Ranks are filtered of other true answers, ties counted half, over both sides of each triple: among `all` "
        "entities, or among those of the right `typed` kind. `lladr_published` draws 49 diseases beside the true one, "
        "other true ones among them; `lladr_filtered` leaves those out; both are means over five draws. `metrics.json` "
        "also has their exact expectations over all draws, the ranks by side, relation and degree, and 95 % intervals, "
        "diseases resampled whole. `degree_matched`: the true compound among the 50 of nearest training degree; "
        "`by_degree`: where a ranking by degree alone puts it among all compounds. A test set whose name ends in "
        "`_leak_free` lacks the triples of which one side's description names the other."
    )

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.vocabulary: Vocabulary
        self.predictions: list[dict[str, Any]] = []
        self.records: dict[str, list[dict[str, Any]]] = {}
        self._report: RankingReport
        self._choices: dict[str, float] = {}

    def answer_scores(self, entity: Tensor, relation: Tensor, missing: Side, entities: Tensor | None = None) -> Tensor:
        """Return ``(queries, entities)`` scores of some entities, or of all, without gradient; higher is better.

        Args:
            entity: ``(queries,)`` rows of the entities given.
            relation: ``(queries,)`` rows of the relations given.
            missing: the side whose entities are scored.
            entities: ``(entities,)`` rows that are scored; ``None`` scores all.
        """
        raise NotImplementedError

    def scores(self, batch: RankingBatch, entities: Tensor | None = None) -> Tensor:
        """Return ``(queries, entities)`` scores of some entities, or of all."""
        return self.answer_scores(batch.entity, batch.relation, batch.side, entities)

    def read_vocabulary(self) -> Vocabulary:
        """Return the vocabulary of the trainer's data.

        Raises:
            KedrecError: the data have no vocabulary.
        """
        data: ExperimentData = self.trainer.datamodule  # type: ignore[attr-defined]
        if data.vocabulary is None:
            raise KedrecError(f"data.class_path: {type(data).__name__} has no graph's vocabulary; use TripleData")
        return data.vocabulary

    def on_validation_epoch_start(self) -> None:
        """Begin a report."""
        self._report = RankingReport(self.seed, self.vocabulary.relations)

    def validation_step(self, batch: RankingBatch, _: int) -> None:
        """Rank the entities of the right type for each query."""
        self._report.add(self.scores(batch, batch.candidates), batch.among_candidates())

    def on_validation_epoch_end(self) -> None:
        """Log the filtered ranks among entities of the right type; the best checkpoint is that of the highest MRR."""
        metrics = self._report.metrics()
        for name in ("mrr", "hits@10"):
            self.log(f"validation/{name}", metrics[f"validation/typed/{name}"], prog_bar=True)

    def on_test_epoch_start(self) -> None:
        """Begin a report."""
        self._report = RankingReport(self.seed, self.vocabulary.relations, self.vocabulary.entities)
        self.predictions = []
        self.records = {}
        self._choices = {}

    def test_step(self, batch: RankingBatch | RepurposingBatch | ChoiceBatch, _: int) -> None:
        """Rank all entities for each query, or all compounds for each disease, or choose between two of them."""
        if isinstance(batch, RepurposingBatch):
            self.predictions += self._repurpose(batch)
        elif isinstance(batch, ChoiceBatch):
            self._choices |= self._choose(batch)
        else:
            kind = entity_type(self.vocabulary.entities[int(batch.candidates[0])])
            drugs = kind == "Compound" and batch.candidate_degree is not None
            self._report.add(self.scores(batch), batch, sampled=kind == "Disease", matched=drugs)

    def on_test_epoch_end(self) -> None:
        """Log the report, the concentration of recommendations, and the choices between two drugs, if there are any."""
        metrics = self._report.metrics()
        self.records = {"ranks": self._report.records()}
        named = {row["id"]: row for row in gathered(self.predictions)}
        self.predictions = [named[entity] for entity in self.vocabulary.entities if entity in named]
        metrics |= {f"repurposing/{name}": value for name, value in concentration_metrics(self.predictions).items()}
        if choices := dict(gathered(list(self._choices.items()))):
            metrics |= _choice_metrics(choices)
        metrics = self.with_added_metrics(metrics, self.predictions)
        self.log_dict({f"test/{name}": value for name, value in metrics.items()})

    def _choose(self, batch: ChoiceBatch) -> dict[str, float]:
        """Return for each pair whether the relevant drug is scored higher, 1/2 for a tie."""
        drugs, rows = torch.unique(batch.drugs, return_inverse=True)
        best = self._best(batch.disease, batch.relation, batch.missing, drugs)[0].gather(1, rows)
        right = (best[:, 0] > best[:, 1]).double() + (best[:, 0] == best[:, 1]).double() / 2
        return dict(zip(batch.pair, right.tolist(), strict=True))

    def _best(self, disease: Tensor, relation: Tensor, missing: Sequence[Side], drugs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best score of each drug over several relations, and which it is: ``(diseases, drugs)``."""
        each = [
            self.answer_scores(disease, one.expand(len(disease)), side, drugs)
            for one, side in zip(relation, missing, strict=True)
        ]
        best = torch.stack(each).max(0)
        return best.values, best.indices

    def _repurpose(self, batch: RepurposingBatch, shown: int = 100) -> list[dict[str, Any]]:
        """Return a row for each disease: the best compounds by their best therapeutic relation, known ones marked."""
        best, by = self._best(batch.disease, batch.relation, batch.missing, batch.compounds)
        top = best.topk(min(shown, best.shape[1]), dim=1)
        places = zip(batch.known_disease.tolist(), batch.known.tolist(), batch.known_split.tolist(), strict=True)
        split_of: dict[tuple[int, int], str] = {}
        for disease, compound, split in places:
            split_of.setdefault((disease, compound), _SPLITS[split])
        rows = []
        for at, disease in enumerate(batch.disease.tolist()):
            candidates = [
                {
                    **self._named(int(batch.compounds[compound])),
                    "score": round(score, 5),
                    "relation": self.vocabulary.relations[int(batch.relation[by[at, compound]])],
                    "known": split_of.get((at, compound)),
                }
                for score, compound in zip(top.values[at].tolist(), top.indices[at].tolist(), strict=True)
            ]
            rows.append({**self._named(disease), "compounds": candidates})
        return rows

    def _named(self, entity: int) -> dict[str, str]:
        return {"id": self.vocabulary.entities[entity], "name": self.vocabulary.names[entity]}


def _choice_metrics(choices: Mapping[str, float]) -> dict[str, float]:
    """Return the F1 of the choice between two drugs, with its interval, diseases resampled whole.

    The choice does not depend on the order of the drugs: over both orders the macro F1 of a position is the share of
    right choices.
    """
    diseases = [pair.partition("|")[0] for pair in choices]
    totals = cluster_sums(diseases, [(right, 1) for right in choices.values()])
    return {
        **figure("choice_f1", totals),
        "choice_pairs": float(len(choices)),
        "choice_diseases": float(len(totals)),
    }
