"""Link prediction by a frozen language model with soft prompts learned from the graph: CSProm-KG."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from kedrec.baselines.conve import ConvE
from kedrec.baselines.soft_prompts import PromptedEncoder, Prompter
from kedrec.baselines.verbalization import readable_relations
from kedrec.errors import KedrecError, check_above_zero, check_least, check_share_below_one
from kedrec.graph.scorers import ComplEx, DistMult
from kedrec.graph.vocabulary import Side, Vocabulary
from kedrec.lladr.entity_ranker import Ranker
from kedrec.lladr.trainable_scorer import TrainableScorer, trainable_scorer
from kedrec.lladr.triple_batches import TripleBatch

_QUERIES = 256  # that the encoder reads at once while entities are ranked


@dataclass(frozen=True)
class AdamWSettings:
    """AdamW with linear warm-up and a cosine to zero.

    Attributes:
        learning_rate: the peak, reached after the warm-up.
        weight_decay: decoupled from the gradient.
        warmup_steps: optimizer steps of linear warm-up.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    warmup_steps: int = 20


class CSProm(Ranker):
    """CSProm-KG (Chen et al., Findings of ACL 2023): rows of entity and relation as soft prompts of a frozen BERT.

    The rows of the known entity and of the relation become prompts for each layer; the encoder reads them before the
    entity's name and description and the relation's words. One matrix projects the outputs at the prompts to the entity
    and the relation from which the scorer makes a query, which is compared with the rows of all entities. Relations
    have a second row for the missing head, and "reversed:" before their words. The loss is the cross entropy over all
    entities with label smoothing, on true triples alone.

    The paper has BERT-base or BERT-large, ConvE, 10 prompts a row, at most 40 words of description, and a learning rate
    of 5e-4; it finds ConvE better than the other scorers. Its local adversarial regularization, a margin against
    entities with words in common with the answer, is left out.

    Args:
        encoder: ``minilm`` (bundled), a folder, or a hub name of a BERT. It stays frozen and is not stored.
        layers: of the encoder that are used, from the first; ``null`` uses all.
        scorer: conve, distmult or complex, over rows of ``dim`` numbers, twice as many for complex.
        dim: of the scorer, as its paper counts it.
        prompts: number of prompts per row and layer.
        prompt_hidden: width between the two matrices that compute prompts.
        max_tokens: of the encoder's text, the special ones included.
        dropout: of prompts, and within ConvE.
        label_smoothing: share of the answer's probability that is spread over all entities.
        optimizer: AdamW.
        seed: of initial values and of the candidates that LLaDR's protocol draws.
    """

    title = "CSProm-KG"

    def __init__(
        self,
        encoder: str = "minilm",
        layers: int | None = None,
        scorer: Literal["conve", "distmult", "complex"] = "conve",
        dim: int = 128,
        prompts: int = 2,
        prompt_hidden: int = 256,
        max_tokens: int = 64,
        dropout: float = 0.2,
        label_smoothing: float = 0.1,
        optimizer: AdamWSettings = AdamWSettings(),
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        check_least("model", 1, dim=dim, prompts=prompts, prompt_hidden=prompt_hidden, layers=layers)
        check_least("model", 8, max_tokens=max_tokens)
        check_above_zero("model", **{"optimizer.learning_rate": optimizer.learning_rate})
        check_share_below_one("model", dropout=dropout, label_smoothing=label_smoothing)
        self.encoder_name = encoder
        self.layers = layers
        self.scorer_name = scorer
        self.dim = dim
        self.prompts = prompts
        self.prompt_hidden = prompt_hidden
        self.max_tokens = max_tokens
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.optimizer = optimizer
        self.strict_loading = False  # a checkpoint holds the trained parts, not the frozen encoder
        self.encoder: PromptedEncoder | None = None
        self.texts: list[str]
        self.relation_texts: list[str]
        self.entity: nn.Embedding
        self.relation: nn.Embedding
        self.bias: nn.Parameter
        self.prompter: Prompter
        self.projection: nn.Linear
        self.scorer: TrainableScorer

    def configure_model(self) -> None:
        """Load the encoder and make the trained parts, once the data are there."""
        if self.encoder is None:
            self.make_parts(self.read_vocabulary())

    def make_parts(self, vocabulary: Vocabulary) -> None:
        """Load the encoder and make the trained parts for a vocabulary."""
        self.vocabulary = vocabulary
        described = vocabulary.descriptions or [""] * len(vocabulary.names)
        named = zip(vocabulary.names, described, strict=True)
        self.texts = [f"{name}: {description}" if description else name for name, description in named]
        spoken = readable_relations(vocabulary.relations)
        self.relation_texts = [*spoken, *(f"reversed: {words}" for words in spoken)]
        self.encoder = PromptedEncoder(self.encoder_name, self.layers)
        if self.max_tokens > (most := self.encoder.net.config.max_position_embeddings):
            raise KedrecError(f"model.init_args.max_tokens: {self.max_tokens}; the encoder reads {most} at most")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.scorer = self._scorer()
            width = self.scorer.entity_width
            self.entity = nn.Embedding(len(vocabulary.entities), width)
            self.relation = nn.Embedding(2 * len(vocabulary.relations), width)
            for table in (self.entity, self.relation):
                nn.init.normal_(table.weight, std=0.3)
            self.bias = nn.Parameter(torch.zeros(len(vocabulary.entities)))
            shape = (self.encoder.layers, self.prompts, self.encoder.width)
            self.prompter = Prompter(width, self.prompt_hidden, *shape, self.dropout)
            self.projection = nn.Linear(self.prompts * self.encoder.width, width)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with linear warm-up and a cosine to zero, stepped each optimizer step."""
        from transformers import get_cosine_schedule_with_warmup

        settings = self.optimizer
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, settings.learning_rate, weight_decay=settings.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = get_cosine_schedule_with_warmup(optimizer, min(settings.warmup_steps, steps), steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: TripleBatch, _: int) -> Tensor:
        """Return the loss of the missing entities."""
        loss = self.loss(batch)
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(batch.head))
        return loss

    def loss(self, batch: TripleBatch) -> Tensor:
        """Return the cross entropy over all entities, nats a triple, a scalar; negatives are not used."""
        given, target = (batch.tail, batch.head) if batch.side == "head" else (batch.head, batch.tail)
        logits = self._logits(self._encoded(given, batch.relation, batch.side), None)
        return nn.functional.cross_entropy(logits, target, label_smoothing=self.label_smoothing)

    @torch.no_grad()
    def answer_scores(self, entity: Tensor, relation: Tensor, missing: Side, entities: Tensor | None = None) -> Tensor:
        """Return ``(queries, entities)`` logits."""
        parts = (slice(start, start + _QUERIES) for start in range(0, len(entity), _QUERIES))
        return torch.cat([self._logits(self._encoded(entity[of], relation[of], missing), entities) for of in parts])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remove the frozen encoder."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in state.items() if not name.startswith("encoder.")}

    def export(self, folder: Path) -> None:
        """Write ``csprom/``: the trained parts, and the ids of entities and relations in the order of their rows."""
        from safetensors.torch import save_file

        target_folder = folder / "csprom"
        target_folder.mkdir()
        trained = {name: value for name, value in self.state_dict().items() if not name.startswith("encoder.")}
        save_file(trained, target_folder / "model.safetensors")
        for name, ids in (("entities", self.vocabulary.entities), ("relations", self.vocabulary.relations)):
            (target_folder / f"{name}.tsv").write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")

    def _encoded(self, given: Tensor, relation: Tensor, missing: Side) -> Tensor:
        """Return the queries, ``(queries, width)``, of given entities and relations."""
        assert self.encoder is not None
        if missing == "head":
            relation = relation + len(self.vocabulary.relations)
        texts = [self.texts[one] for one in given.tolist()]
        tokens = self.encoder.tokenize(texts, [self.relation_texts[one] for one in relation.tolist()], self.max_tokens)
        tokens = {name: value.to(self.device) for name, value in tokens.items()}
        prompts = [self.prompter(rows) for rows in (self.entity(given), self.relation(relation))]
        states = self.encoder(tokens, torch.cat(prompts, dim=2))
        known, relation_query = (self.projection(part.flatten(1)) for part in states.chunk(2, dim=1))
        # Always as for a tail: queries for heads have relation rows of their own.
        query: Tensor = self.scorer.query(known, relation_query, "tail")
        return query

    def _logits(self, query: Tensor, entities: Tensor | None) -> Tensor:
        """Return the scores of queries with the rows of some entities, or of all: ``(queries, entities)``."""
        chosen = slice(None) if entities is None else entities
        rows = self.entity.weight[chosen]
        return self.scorer.tiles(query.unsqueeze(0), rows.unsqueeze(0)).squeeze(0) + self.bias[chosen]

    def _scorer(self) -> TrainableScorer:
        if self.scorer_name == "conve":
            return ConvE(self.dim, dropout=self.dropout)
        return trainable_scorer(DistMult() if self.scorer_name == "distmult" else ComplEx(), self.dim, gamma=1.0)
