"""What all models that score triples share: their validation, their tests, and what they leave for others."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from kedrec.batches import RankingBatch, RepurposingBatch, Side, TripleBatch, Vocabulary
from kedrec.environment import can_compile, fused
from kedrec.errors import KedrecError
from kedrec.metrics.ranking_report import RankingReport
from kedrec.nn.link_losses import link_loss
from kedrec.nn.scorers import SCORERS, Scorer, ScorerName

_SPLITS = ("training", "validation", "test")
_WORTH = 1 << 18  # numbers in a batch's heads: below, starting inductor takes longer than it saves


def _known(scorer: Scorer, kept: Tensor, relation: Tensor, replaced: Tensor, missing: Side) -> tuple[Tensor, Tensor]:
    """Return the queries of true triples, and the scores of their true answers."""
    query = scorer.query(kept, relation, missing)
    return query, scorer.pairs(query, replaced)


class LinkPredictor(LightningModule):
    """A model whose rows of entities and relations a scorer compares.

    Args:
        scorer: a name of ``kedrec.nn.scorers.SCORERS``.
        dim: of the scorer, as its paper counts it.
        gamma: margin of the distances.
        adversarial_temperature: of self-adversarial negatives; ``None`` weighs negatives alike.
        compiled: distances in C++, or by inductor, where they can be had.
        seed: of the candidates that LLaDR's protocol draws.
    """

    monitor = ("validation/mrr", "max")
    reading = (
        "Ranks are filtered of other true answers, ties counted half, over both sides of each triple: among `all` "
        "entities, or among those of the right `typed` kind. `lladr_published` draws 49 diseases beside the true one, "
        "other true ones among them; `lladr_filtered` leaves those out; both are means over five draws. `metrics.json` "
        "also has their exact expectations over all draws, and the ranks by side, relation and degree. A test set "
        "whose name ends in `_untold` lacks the triples of which one side's description names the other."
    )

    def __init__(
        self,
        scorer: ScorerName,
        dim: int,
        gamma: float,
        adversarial_temperature: float | None,
        compiled: bool,
        seed: int,
    ) -> None:
        super().__init__()
        for name, value in {"dim": dim, "gamma": gamma}.items():
            if value <= 0:
                raise KedrecError(f"model.init_args.{name}: {value}; expected a number above 0")
        self.scorer_name = scorer
        self.adversarial_temperature = adversarial_temperature
        self.compiled = compiled
        self.seed = seed
        self.scorer: Scorer = SCORERS[scorer](dim, gamma, compiled)
        self.vocabulary: Vocabulary
        self.predictions: list[dict[str, Any]] = []
        self._report: RankingReport

    def entity_table(self) -> Tensor:
        """Return all rows that are scored, ``(entities, width)``, without gradient."""
        raise NotImplementedError

    def relation_table(self) -> Tensor:
        """Return the rows of all relations, ``(relations, width)``, without gradient."""
        raise NotImplementedError

    def link_loss(self, batch: TripleBatch, head: Tensor, relation: Tensor, tail: Tensor, negatives: Tensor) -> Tensor:
        """Return the loss of true and corrupted triples, a scalar.

        Args:
            batch: whose triples and negatives they are.
            head: ``(batch, width)`` rows.
            relation: ``(batch, relation width)`` rows.
            tail: ``(batch, width)`` rows.
            negatives: ``(chunks * negatives, width)`` rows.
        """
        chunks = len(batch.negatives)
        kept, replaced = (tail, head) if batch.side == "head" else (head, tail)
        worth = self.compiled and kept.numel() >= _WORTH and can_compile(kept.device.type)
        known = fused(_known, dynamic=False) if worth else _known
        loss = fused(link_loss, dynamic=False) if worth else link_loss
        query, positive = known(self.scorer, kept, relation, replaced, batch.side)
        drawn = negatives.view(chunks, -1, negatives.shape[1])
        negative = self.scorer.tiles(query.view(chunks, -1, query.shape[1]), drawn)
        return loss(positive, negative, batch.weight, self.adversarial_temperature, batch.false)

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
        self._report = RankingReport(self.seed, self.vocabulary.relations)
        self.predictions = []

    def test_step(self, batch: RankingBatch | RepurposingBatch, _: int) -> None:
        """Rank all entities for each query, or all compounds for each disease."""
        if isinstance(batch, RepurposingBatch):
            self.predictions += self._repurpose(batch)
        else:
            diseases = self.vocabulary.entities[int(batch.candidates[0])].startswith("Disease::")
            self._report.add(self.scores(batch), batch, sampled=diseases)

    def on_test_epoch_end(self) -> None:
        """Log the report."""
        self.log_dict({f"test/{name}": value for name, value in self._report.metrics().items()})

    def export(self, folder: Path) -> None:
        """Write ``embeddings/``: the rows that are scored, ids in their order, the scorer's name, what was held out."""
        from safetensors.torch import save_file

        place = folder / "embeddings"
        place.mkdir()
        tables = {
            "entity": self.entity_table().contiguous(),
            "relation": self.relation_table().contiguous(),
            "scorer.gamma": torch.tensor(self.scorer.gamma),
            "scorer.range": torch.tensor(self.scorer.range),
            **{f"scorer.{name}": value.detach() for name, value in self.scorer.named_parameters()},
        }
        # One entry: safetensors writes several in an order that changes from process to process.
        save_file(tables, place / "embeddings.safetensors", {"scorer": self.scorer_name})
        for name, ids in (("entities", self.vocabulary.entities), ("relations", self.vocabulary.relations)):
            (place / f"{name}.tsv").write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
        entities, relations = self.vocabulary.entities, self.vocabulary.relations
        held = [(entities[head], relations[kind], entities[tail]) for head, kind, tail in self.vocabulary.held_out]
        (place / "held_out.tsv").write_text("".join("\t".join(one) + "\n" for one in held), encoding="utf-8")

    def scores(self, batch: RankingBatch, entities: Tensor | None = None) -> Tensor:
        """Return ``(queries, entities)`` scores of some entities, or of all."""
        table = self.entity_table()
        query = self.scorer.query(table[batch.entity], self.relation_table()[batch.relation], batch.side)
        asked = table if entities is None else table[entities]
        return self.scorer.tiles(query.unsqueeze(0), asked.unsqueeze(0)).squeeze(0)

    def _repurpose(self, batch: RepurposingBatch, shown: int = 100) -> list[dict[str, Any]]:
        """Return a row for each disease: the best compounds by their best therapeutic relation, known ones marked."""
        table, relations = self.entity_table(), self.relation_table()
        each = []
        for relation, missing in zip(batch.relation, batch.missing, strict=True):
            known = table[batch.disease]
            query = self.scorer.query(known, relations[relation].expand(len(known), -1), missing)
            each.append(self.scorer.tiles(query.unsqueeze(0), table[batch.compounds].unsqueeze(0)).squeeze(0))
        best, by = torch.stack(each).max(0)
        top = best.topk(min(shown, best.shape[1]), dim=1)
        places = zip(batch.known_disease.tolist(), batch.known.tolist(), batch.known_split.tolist(), strict=True)
        told: dict[tuple[int, int], str] = {}
        for disease, compound, split in places:
            told.setdefault((disease, compound), _SPLITS[split])
        rows = []
        for place, disease in enumerate(batch.disease.tolist()):
            candidates = [
                {
                    **self._called(int(batch.compounds[compound])),
                    "score": round(score, 5),
                    "relation": self.vocabulary.relations[int(batch.relation[by[place, compound]])],
                    "known": told.get((place, compound)),
                }
                for score, compound in zip(top.values[place].tolist(), top.indices[place].tolist(), strict=True)
            ]
            rows.append({**self._called(disease), "compounds": candidates})
        return rows

    def _called(self, entity: int) -> dict[str, str]:
        return {"id": self.vocabulary.entities[entity], "name": self.vocabulary.names[entity]}
