"""Knowledge-graph embeddings, alone or anchored in text by LLaDR's dual loss."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from numpy.typing import NDArray
from torch import Tensor, nn

from kedrec.errors import KedrecError, check_least
from kedrec.evaluation.added_metrics import Metric
from kedrec.graph.entity_types import type_codes
from kedrec.graph.scorer import Scorer
from kedrec.graph.scorers import ScorerName
from kedrec.graph.vocabulary import Modality
from kedrec.lladr.anchor_projection import Anchors, initialise_unseen
from kedrec.lladr.kge_settings import AnchorLossSettings, OptimizerSettings
from kedrec.lladr.link_losses import anchor_loss
from kedrec.lladr.link_predictor import LinkPredictor
from kedrec.lladr.row_optimizers import LazyAdam, RowAdagrad, gather_rows
from kedrec.lladr.triple_batches import TripleBatch
from kedrec.training.base_classes import ExperimentData


class KGE(LinkPredictor):
    """A scorer of triples over learned rows of entities and relations (LLaDR, arXiv 2510.12181).

    With anchors an entity's row is ``rho * learned + (1 - rho) * anchor``. This mixed row is scored, pulled to the
    anchor, stored and exported; ``learned`` is not stored on its own. Where the anchors are fixed, the mixed row has
    ``rho`` times the learning rate: Adam and Adagrad, whose steps do not depend on a gradient's scale, would move the
    learned part by as much. Rows without an anchor are learned alone, at the same learning rate.

    Args:
        scorer: transe_l1, transe_l2, distmult, complex, rotate, protate or hake; or ``class_path`` and ``init_args``
            of a `kedrec.graph.scorer.Scorer` from outside the package.
        dim: of the scorer, as its paper counts it; rows of ComplEx, RotatE and HAKE are twice as wide.
        gamma: margin of the distances; it also sets the range of initial values, (gamma + 2) / dim.
        adversarial_temperature: of self-adversarial negatives; ``null`` weighs negatives alike.
        anchor: how entities are mixed with their anchors and pulled to them, where the data have anchors.
        zeta_link: weight of the links' loss.
        optimizer: of the rows.
        unseen_neighbours: where the data have anchors, the test gives each entity without a training triple the learned
            part of so many entities that are nearest by their anchors; 0, as in the paper, leaves it at its initial
            values.
        compiled: distances, rotations and phases in C++, or by inductor, where the machine has a compiler.
        metrics: further metrics of the test, from outside the package.
        seed: of initial values and of the candidates that LLaDR's protocol draws.
    """

    many_processes = True

    def __init__(
        self,
        scorer: ScorerName | Scorer,
        dim: int = 400,
        gamma: float = 12.0,
        adversarial_temperature: float | None = 1.0,
        anchor: AnchorLossSettings = AnchorLossSettings(),  # noqa: B008  (frozen, as the next one is)
        zeta_link: float = 1.8,
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008
        unseen_neighbours: int = 0,
        compiled: bool = True,
        metrics: Sequence[Metric] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(scorer, dim, gamma, adversarial_temperature, compiled, seed)
        anchor.check()
        optimizer.check()
        check_least("model", 0, zeta_link=zeta_link, unseen_neighbours=unseen_neighbours)
        self.metrics = metrics
        self.anchor = anchor
        self.zeta_link = zeta_link
        self.optimizer = optimizer
        self.unseen_neighbours = unseen_neighbours
        self.entity: nn.Embedding | None = None
        self.relation: nn.Embedding
        self.anchors: Anchors | None = None

    def configure_model(self) -> None:
        """Make the tables, once the data are there."""
        if self.entity is not None:
            return
        self.vocabulary = self.read_vocabulary()
        self.make_tables(len(self.vocabulary.entities), len(self.vocabulary.relations), self.vocabulary.anchors)

    def make_tables(self, entities: int, relations: int, modalities: Sequence[Modality] = ()) -> None:
        """Give rows to so many entities and relations, mixed with their anchors where there are any."""
        if modalities:
            self.anchors = Anchors(modalities, self.scorer.entity_width, self.anchor.projection, self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        entity = torch.empty(entities, self.scorer.entity_width)
        entity.uniform_(-self.scorer.range, self.scorer.range, generator=generator)
        if self._mixed_in is not None:
            self._mixed_in.mix_into(entity, self.anchor.rho)
        relation = torch.empty(relations, self.scorer.relation_width)
        self.scorer.initialise_relations(relation, generator)
        # Sparse embeddings: DDP then reduces the rows of the batch alone.
        sparse = self.optimizer.name != "adam"
        self.entity, self.relation = (
            nn.Embedding(len(table), table.shape[1], sparse=sparse, _weight=table) for table in (entity, relation)
        )

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the chosen optimiser of the tables."""
        assert self.entity is not None
        table = self.entity.weight
        others = [parameter for parameter in self.parameters() if parameter is not table]
        rate = self.optimizer.learning_rate * (1.0 if self._mixed_in is None else self.anchor.rho)
        groups: list[dict[str, Any]] = [{"params": [table], "lr": rate}, {"params": others}]
        if self.optimizer.name == "adam":
            return torch.optim.Adam(groups, lr=self.optimizer.learning_rate, fused=True)
        return (RowAdagrad if self.optimizer.name == "adagrad" else LazyAdam)(groups, lr=self.optimizer.learning_rate)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the chosen optimizer, and a learning rate that drops to a tenth after the given share of the steps."""
        if self.optimizer.name != "adam" and self.trainer.gradient_clip_val:
            raise KedrecError(
                f"trainer.gradient_clip_val: {self.optimizer.name} moves the rows of a batch and cannot clip; leave it "
                "out, or set model.init_args.optimizer.name=adam"
            )
        optimizer = self.make_optimizer()
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [int(self.optimizer.drop_after * steps)], gamma=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: TripleBatch, _: int) -> Tensor:
        """Return the weighted sum of the links' and the anchors' loss."""
        losses = self.losses(batch)
        # The steps that Lightning logs: it counts the present one as done.
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            logged = {f"train/{name}_loss": loss.detach() for name, loss in losses.items()}
            self.log_dict(logged, prog_bar=True, batch_size=len(batch.head))
        weights = {"link": self.zeta_link, "anchor": self.anchor.zeta}
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()

    def losses(self, batch: TripleBatch) -> dict[str, Tensor]:
        """Return the ``link`` loss and, where entities are pulled to anchors, the ``anchor`` loss, each a scalar.

        The entities that are pulled are those that are not corrupted, as in the authors' code.
        """
        head, tail, negatives = self._rows(batch.head, batch.tail, batch.negatives.flatten())
        (relation,) = gather_rows(self.relation.weight, batch.relation, sparse=self.relation.sparse)
        losses = {"link": self.link_loss(batch, head, relation, tail, negatives)}
        ids, rows = (batch.tail, tail) if batch.side == "head" else (batch.head, head)
        if self.anchor.distance is not None and self.anchors is not None:
            losses["anchor"] = anchor_loss(self.anchor.distance, rows, *self.anchors(ids))
        return losses

    def on_test_epoch_start(self) -> None:
        """Begin a report, and give rows to the entities without a training triple."""
        super().on_test_epoch_start()
        data: ExperimentData = self.trainer.datamodule  # type: ignore[attr-defined]
        if self.unseen_neighbours and self.anchors is not None and data.training_triples is not None:
            self.initialise_unseen(data.training_triples)

    def initialise_unseen(self, triples: NDArray[np.int32]) -> None:
        """Give rows to the entities that are in none of ``(n, 3)`` triples; repeating it changes nothing."""
        assert self.entity is not None
        assert self.anchors is not None
        table = self.entity.weight.detach()
        seen = torch.zeros(len(table), dtype=torch.bool, device=table.device)
        seen[torch.from_numpy(np.unique(triples[:, ::2])).to(table.device)] = True
        kinds = torch.from_numpy(type_codes(self.vocabulary.entities)[1]).to(table.device)
        stored = torch.zeros(())
        if self._mixed_in is not None:
            anchor, known = self.anchors(torch.arange(len(table), device=table.device))
            stored = torch.where(known, (1 - self.anchor.rho) * anchor, 0.0)
        learned = table - stored
        initialise_unseen(learned, self.anchors, kinds, seen, self.unseen_neighbours)
        table[~seen] = (learned + stored)[~seen]

    @property
    def _mixed_in(self) -> Anchors | None:
        """The anchors that are mixed into the stored rows: those that do not change."""
        return self.anchors if self.anchors is not None and not self.anchors.learned else None

    def _rows(self, *ids: Tensor) -> tuple[Tensor, ...]:
        """Return the rows that are scored, ``(n, width)`` for each of several ``(n,)`` ids."""
        assert self.entity is not None
        rows = gather_rows(self.entity.weight, *ids, sparse=self.entity.sparse)
        if self.anchors is None or not self.anchors.learned:
            return rows
        anchors = (self.anchors(part) for part in ids)
        return tuple(
            torch.where(known, self.anchor.rho * part + (1 - self.anchor.rho) * anchor, part)
            for part, (anchor, known) in zip(rows, anchors, strict=True)
        )

    def entity_table(self) -> Tensor:
        """Return all rows that are scored, mixed, ``(entities, width)``."""
        assert self.entity is not None
        if self.anchors is None or not self.anchors.learned:
            return self.entity.weight.detach()
        with torch.no_grad():
            return self._rows(torch.arange(len(self.entity.weight), device=self.entity.weight.device))[0]

    def relation_table(self) -> Tensor:
        """Return the relations' rows, ``(relations, width)``."""
        return self.relation.weight.detach()
