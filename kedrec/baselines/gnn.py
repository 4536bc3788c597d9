"""Link prediction by graph neural networks: R-GCN, GraphSAGE and GAT under a scorer of triples."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from kedrec.baselines.message_passing import Encoder, EncoderSettings, MessageGraph
from kedrec.errors import KedrecError
from kedrec.evaluation.added_metrics import Metric
from kedrec.graph.scorer import Scorer
from kedrec.graph.scorers import ScorerName
from kedrec.graph.vocabulary import Modality
from kedrec.lladr.anchor_projection import Anchors
from kedrec.lladr.link_predictor import LinkPredictor
from kedrec.lladr.triple_batches import TripleBatch
from kedrec.training.base_classes import ExperimentData


@dataclass(frozen=True)
class AdamSettings:
    """Adam.

    Attributes:
        learning_rate: at the start; a tenth of it for the last quarter of the steps.
        weight_decay: L2 penalty.
    """

    learning_rate: float = 0.01
    weight_decay: float = 0.0


class GNN(LinkPredictor):
    """A graph neural network that encodes entities, under a scorer of triples.

    In a training step, edges between the two ends of a predicted triple, of any relation and direction, carry no
    message. Validation and test pass messages over the training graph alone. Where the data have anchors, their learned
    projections are added to the input of the first layer.

    Args:
        encoder: the graph neural network.
        scorer: as in KGE.
        dim: of the scorer.
        gamma: margin of the distances.
        adversarial_temperature: of self-adversarial negatives; ``null`` weighs negatives alike.
        optimizer: Adam.
        compiled: as in KGE.
        metrics: further metrics of the test, from outside the package.
        seed: of initial values and of the candidates that LLaDR's protocol draws.
    """

    def __init__(
        self,
        encoder: EncoderSettings,
        scorer: ScorerName | Scorer = "distmult",
        dim: int = 128,
        gamma: float = 12.0,
        adversarial_temperature: float | None = None,
        optimizer: AdamSettings = AdamSettings(),
        compiled: bool = True,
        metrics: Sequence[Metric] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(scorer, dim, gamma, adversarial_temperature, compiled, seed)
        encoder.check(self.scorer.entity_width)
        self.encoder_settings = encoder
        self.metrics = metrics
        self.optimizer = optimizer
        self.graph: MessageGraph | None = None
        self.entity: nn.Embedding
        self.relation: nn.Embedding
        self.encoder: Encoder
        self.anchors: Anchors | None = None
        self._encoded: Tensor | None = None

    def configure_model(self) -> None:
        """Make graph, tables and layers, once the data are there."""
        if self.graph is not None:
            return
        data: ExperimentData = self.trainer.datamodule  # type: ignore[attr-defined]
        if data.vocabulary is None or data.training_triples is None:
            raise KedrecError(
                f"data.class_path: {type(data).__name__} has no triples to pass messages on; use TripleData"
            )
        self.vocabulary = data.vocabulary
        entities, relations = len(self.vocabulary.entities), len(self.vocabulary.relations)
        triples = torch.from_numpy(data.training_triples)
        self.make_layers(triples, entities, relations, self.vocabulary.anchors)

    def make_layers(self, triples: Tensor, entities: int, relations: int, modalities: Sequence[Modality] = ()) -> None:
        """Make the message graph of ``(n, 3)`` triples and everything that is learned."""
        self.graph = MessageGraph(triples, entities, relations, grouped=self.encoder_settings.layer == "rgcn")
        if modalities:
            self.anchors = Anchors(modalities, self.encoder_settings.width, "learned", self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.entity = nn.Embedding(entities, self.encoder_settings.width)
            nn.init.xavier_uniform_(self.entity.weight)
            relation = torch.empty(relations, self.scorer.relation_width)
            self.scorer.initialise_relations(relation, torch.Generator().manual_seed(self.seed))
            self.relation = nn.Embedding(relations, relation.shape[1], _weight=relation)
            self.encoder = Encoder(self.encoder_settings, self.scorer.entity_width, 2 * relations)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return Adam, and a learning rate that drops to a tenth for the last quarter of the steps."""
        settings = self.optimizer
        optimizer = torch.optim.Adam(
            self.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [int(0.75 * steps)], gamma=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: TripleBatch, _: int) -> Tensor:
        """Return the links' loss."""
        loss = self.loss(batch)
        self.log("train/link_loss", loss.detach(), prog_bar=True, batch_size=len(batch.head))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Begin a report; the entities are encoded again."""
        self._encoded = None
        super().on_validation_epoch_start()

    def on_test_epoch_start(self) -> None:
        """Begin a report; the entities are encoded again: the weights may be those of another checkpoint."""
        self._encoded = None
        super().on_test_epoch_start()

    def loss(self, batch: TripleBatch) -> Tensor:
        """Return the loss of true and corrupted triples, a scalar, without messages between true ends."""
        head, tail, negatives = self._encode(batch)
        return self.link_loss(batch, head, self.relation(batch.relation), tail, negatives)

    def _encode(self, batch: TripleBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the encoded rows of heads, tails and negatives."""
        assert self.graph is not None
        scored = torch.cat([batch.head, batch.tail, batch.negatives.flatten()])
        hidden = self.graph.between(batch.head.cpu(), batch.tail.cpu())
        settings = self.encoder_settings
        if settings.fanouts is None:
            messages = self.graph.without(hidden).to(self.device)
            rows = self.encoder([messages] * settings.layers, self._first_rows())[scored]
        else:
            distinct, index = scored.unique(return_inverse=True)  # type: ignore[no-untyped-call]
            read, layers = self.graph.sampled(distinct.cpu(), settings.fanouts, hidden)
            layers = [layer.to(self.device) for layer in layers]
            rows = self.encoder(layers, self._first_rows(read.to(self.device)))[index]
        head, tail, negatives = torch.split(rows, [len(batch.head), len(batch.tail), batch.negatives.numel()])
        return head, tail, negatives

    def _first_rows(self, entities: Tensor | None = None) -> Tensor:
        """Return the input of the first layer for some entities, or for all: ``(n, width)``."""
        rows: Tensor = self.entity.weight if entities is None else self.entity(entities)
        if self.anchors is None:
            return rows
        if entities is None:
            entities = torch.arange(len(rows), device=rows.device)
        anchor, known = self.anchors(entities)
        read: Tensor = rows + anchor * known
        return read

    def entity_table(self) -> Tensor:
        """Return all entities, encoded over the whole training graph, ``(entities, width)``."""
        assert self.graph is not None
        if self._encoded is None:
            was = self.encoder.training
            self.encoder.eval()
            with torch.no_grad():
                messages = self.graph.whole.to(self.device)
                table: Tensor = self.encoder([messages] * self.encoder_settings.layers, self._first_rows())
            self.encoder.train(was)
            self._encoded = table
        return self._encoded

    def relation_table(self) -> Tensor:
        """Return the relations' rows, ``(relations, width)``."""
        return self.relation.weight.detach()
