"""The base class of models whose rows a scorer compares: the loss of links, their scores, the exported embeddings."""

from pathlib import Path

import torch
from torch import Tensor

from kedrec.errors import KedrecError
from kedrec.graph.exported_scorer import recorded_name
from kedrec.graph.scorer import Scorer
from kedrec.graph.scorers import SCORERS, ScorerName
from kedrec.graph.vocabulary import Side
from kedrec.lladr.entity_ranker import Ranker
from kedrec.lladr.link_losses import link_loss
from kedrec.lladr.trainable_scorer import TrainableScorer, trainable_scorer
from kedrec.lladr.triple_batches import TripleBatch
from kedrec.runtime.environment import can_compile, fused

_WORTH = 1 << 18  # numbers in a batch's heads: below, starting inductor takes longer than it saves


def _true_scores(
    scorer: TrainableScorer, known: Tensor, relation: Tensor, replaced: Tensor, missing: Side
) -> tuple[Tensor, Tensor]:
    """Return the queries of true triples, and the scores of their true answers."""
    query = scorer.query(known, relation, missing)
    return query, scorer.pairs(query, replaced)


class LinkPredictor(Ranker):
    """A model whose rows of entities and relations a scorer compares.

    Args:
        scorer: a short name of `kedrec.graph.scorers`, or a scorer from outside the package.
        dim: of the scorer, as its paper counts it.
        gamma: margin of the distances.
        adversarial_temperature: of self-adversarial negatives; ``None`` weighs negatives alike.
        compiled: distances in C++, or by inductor, where the machine has a compiler.
        seed: of the candidates that LLaDR's protocol draws.
    """

    def __init__(
        self,
        scorer: ScorerName | Scorer,
        dim: int,
        gamma: float,
        adversarial_temperature: float | None,
        compiled: bool,
        seed: int,
    ) -> None:
        super().__init__(seed)
        for name, value in {"dim": dim, "gamma": gamma}.items():
            if value <= 0:
                raise KedrecError(f"model.init_args.{name}: {value}; expected a number above 0")
        self.adversarial_temperature = adversarial_temperature
        self.compiled = compiled
        self.formula = scorer if isinstance(scorer, Scorer) else SCORERS[scorer]()
        self.scorer = trainable_scorer(self.formula, dim, gamma, compiled)

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
        known, replaced = (tail, head) if batch.side == "head" else (head, tail)
        compiles = self.compiled and known.numel() >= _WORTH and can_compile(known.device.type)
        true_scores = fused(_true_scores, dynamic=False) if compiles else _true_scores
        loss = fused(link_loss, dynamic=False) if compiles else link_loss
        query, positive = true_scores(self.scorer, known, relation, replaced, batch.side)
        drawn = negatives.view(chunks, -1, negatives.shape[1])
        negative = self.scorer.tiles(query.view(chunks, -1, query.shape[1]), drawn)
        return loss(positive, negative, batch.weight, self.adversarial_temperature, batch.false)

    def export(self, folder: Path) -> None:
        """Write ``embeddings/``: the scored rows in float32, their ids, the scorer, and the held-out triples."""
        from safetensors.torch import save_file

        target = folder / "embeddings"
        target.mkdir()
        tables = {
            "entity": self.entity_table().float().contiguous(),
            "relation": self.relation_table().float().contiguous(),
            "scorer.gamma": torch.tensor(self.scorer.gamma),
            "scorer.range": torch.tensor(self.scorer.range),
            **{f"scorer.{name}": value.detach().float() for name, value in self.scorer.named_parameters()},
        }
        # One entry: safetensors writes several in an order that changes from process to process.
        save_file(tables, target / "embeddings.safetensors", {"scorer": recorded_name(self.formula)})
        for name, ids in (("entities", self.vocabulary.entities), ("relations", self.vocabulary.relations)):
            (target / f"{name}.tsv").write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
        entities, relations = self.vocabulary.entities, self.vocabulary.relations
        held = [(entities[head], relations[kind], entities[tail]) for head, kind, tail in self.vocabulary.held_out]
        (target / "held_out.tsv").write_text("".join("\t".join(one) + "\n" for one in held), encoding="utf-8")

    def answer_scores(self, entity: Tensor, relation: Tensor, missing: Side, entities: Tensor | None = None) -> Tensor:
        """Return ``(queries, entities)`` scores of some entities, or of all."""
        table = self.entity_table()
        query = self.scorer.query(table[entity], self.relation_table()[relation], missing)
        candidates = table if entities is None else table[entities]
        return self.scorer.tiles(query.unsqueeze(0), candidates.unsqueeze(0)).squeeze(0)
