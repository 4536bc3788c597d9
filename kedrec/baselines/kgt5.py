"""Link prediction as translation: a T5 that reads a query and generates the name of the missing entity."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from kedrec.baselines.name_tokenizer import train_tokenizer
from kedrec.baselines.name_tree import NameTree, name_trees, tree_log_likelihood
from kedrec.baselines.verbalization import distinct_names, readable_relations
from kedrec.errors import KedrecError, check_above_zero, check_least, check_share_below_one
from kedrec.graph.vocabulary import Side, Vocabulary
from kedrec.lladr.entity_ranker import Ranker
from kedrec.lladr.triple_batches import TripleBatch
from kedrec.sources.weights import base_folder, load_tokenizer
from kedrec.storage.artifact_store import Store

_BYTES_A_LOGIT = 16  # a float32 and what the softmax over it makes


@dataclass(frozen=True)
class AdafactorSettings:
    """Adafactor with linear warm-up and a cosine to zero.

    Attributes:
        learning_rate: the peak, as a share of a weight's own size, reached after the warm-up.
        warmup_steps: optimizer steps of linear warm-up.
    """

    learning_rate: float = 0.03
    warmup_steps: int = 50


class KGT5(Ranker):
    """KGT5 (Saxena et al., ACL 2022): ``predict tail: HEAD | RELATION`` in, the tail's name out.

    Names that several entities share are followed by the entity's id, as in the paper where descriptions do not
    distinguish them. The paper trains T5-small's architecture from random weights, as here without ``base``, with
    Adafactor.

    An entity's score is the log-likelihood of its name, nats, for every candidate and without sampling. The paper
    samples 500 names from the decoder instead and ranks all other entities last: cheaper where there are millions of
    entities, and a lower bound of the model's quality. Here a query costs one pass of the encoder and one of the
    decoder over all distinct prefixes of the candidates' names: 6,600 tokens for the sample's 2,032 entities, 0.14 s of
    a core. The cost grows with the number of entities: a graph of 100,000 needs a GPU.

    Args:
        base: a folder or hub name of a T5 whose weights and tokenizer training starts from, in safetensors, which
            then replace the next six arguments. ``null`` starts from random weights and a tokenizer learned from the
            names.
        width: of the hidden rows.
        layers: of the encoder, and as many of the decoder.
        heads: of attention, ``width / heads`` wide each.
        feed_forward: width of the layers between.
        dropout: share that is dropped in training.
        tokens: most tokens of the learned tokenizer.
        optimizer: Adafactor.
        label_smoothing: share of a token's probability that is spread over all tokens in training.
        ranking_memory: bytes that the scores of tokens may take while entities are ranked.
        seed: of the initialisation and of the candidates that LLaDR's protocol draws.
    """

    title = "KGT5"

    def __init__(
        self,
        base: str | None = None,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        feed_forward: int = 256,
        dropout: float = 0.1,
        tokens: int = 2000,
        optimizer: AdafactorSettings = AdafactorSettings(),
        label_smoothing: float = 0.0,
        ranking_memory: int = 256 * 2**20,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        sizes = {"width": width, "layers": layers, "heads": heads, "feed_forward": feed_forward}
        check_least("model", 1, **sizes, ranking_memory=ranking_memory)
        if width % heads:
            raise KedrecError(f"model.init_args.heads: {heads} do not divide the width {width}")
        if tokens < 258:
            raise KedrecError(f"model.init_args.tokens: {tokens}; expected 258 or more, the bytes and two special ones")
        check_above_zero("model", **{"optimizer.learning_rate": optimizer.learning_rate})
        check_share_below_one("model", dropout=dropout, label_smoothing=label_smoothing)
        self.base = base
        self.sizes = sizes
        self.dropout = dropout
        self.tokens = tokens
        self.optimizer = optimizer
        self.label_smoothing = label_smoothing
        self.ranking_memory = ranking_memory
        self.net: Any = None
        self.tokenizer: Any = None
        self.names: list[str]
        self.relations: list[str]
        self._tokens: list[list[int]]
        self._trees: tuple[list[int] | None, list[NameTree]] | None = None

    def configure_model(self) -> None:
        """Make or load net and tokenizer, once the data are there."""
        if self.net is None:
            self.make_net(self.read_vocabulary())

    def make_net(self, vocabulary: Vocabulary) -> None:
        """Make or load net and tokenizer for a vocabulary."""
        self.vocabulary = vocabulary
        self.names = distinct_names(vocabulary.names, vocabulary.entities)
        self.relations = readable_relations(vocabulary.relations)
        if self.base is None:
            self.tokenizer = train_tokenizer(self._spoken(), self.tokens)
            self.net = self._random_net()
        else:
            self.net, self.tokenizer = _pretrained(self.base)
        self._tokens = self.tokenizer(self.names).input_ids

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adafactor with linear warm-up and a cosine to zero, stepped each optimizer step."""
        from transformers import get_cosine_schedule_with_warmup
        from transformers.optimization import Adafactor

        # T5's initial embeddings are a hundred times as large as its matrices: steps must scale with the weights.
        kind: Any = Adafactor
        optimizer = kind(
            self.net.parameters(), lr=self.optimizer.learning_rate, scale_parameter=True, relative_step=False
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = get_cosine_schedule_with_warmup(optimizer, min(self.optimizer.warmup_steps, steps), steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: TripleBatch, _: int) -> Tensor:
        """Return the loss of the missing entities' names."""
        loss = self.loss(batch)
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(batch.head))
        return loss

    def loss(self, batch: TripleBatch) -> Tensor:
        """Return the cross entropy of the replaced side's names, nats per token, a scalar; negatives are not used."""
        given, target = (batch.tail, batch.head) if batch.side == "head" else (batch.head, batch.tail)
        query = self._queries(given, batch.relation, batch.side)
        rows = [torch.tensor(self._tokens[entity]) for entity in target.tolist()]
        labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100).to(self.device)
        logits = self.net(**query, labels=labels).logits
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=-100, label_smoothing=self.label_smoothing
        )

    @torch.no_grad()
    def answer_scores(self, entity: Tensor, relation: Tensor, missing: Side, entities: Tensor | None = None) -> Tensor:
        """Return the log-likelihoods of names, nats, ``(queries, entities)``."""
        trees = self._trees_of(entities)
        names = len(self.names) if entities is None else len(entities)
        scores = torch.empty(len(entity), names, device=self.device)
        largest = max(len(tree.read) for tree in trees)
        size = max(1, self.ranking_memory // (_BYTES_A_LOGIT * largest * self.net.config.vocab_size))
        for start in range(0, len(entity), size):
            part = slice(start, start + size)
            query = self._queries(entity[part], relation[part], missing)
            states = self.net.encoder(**query).last_hidden_state
            for tree in trees:
                likelihood = tree_log_likelihood(self.net, tree, states, query["attention_mask"])
                scores[part, tree.name] = likelihood.to(scores.dtype)
        return scores

    def export(self, folder: Path) -> None:
        """Write ``kgt5/``: net and tokenizer as transformers loads them, and the words for entities and relations."""
        target = folder / "kgt5"
        self.net.save_pretrained(target)
        self.tokenizer.save_pretrained(target)
        spoken = {"entities": (self.vocabulary.entities, self.names)}
        spoken["relations"] = (self.vocabulary.relations, self.relations)
        for name, columns in spoken.items():
            rows = "".join(f"{one}\t{words}\n" for one, words in zip(*columns, strict=True))
            (target / f"{name}.tsv").write_text(rows, encoding="utf-8")

    @staticmethod
    def _text(entity: str, relation: str, missing: Side) -> str:
        return f"predict {missing}: {entity} | {relation}"

    def _spoken(self) -> Iterator[str]:
        """Yield each name, and each as a query, so that the words of all queries become few tokens."""
        yield from self.names
        for row, name in enumerate(self.names):
            yield self._text(name, self.relations[row % len(self.relations)], "head" if row % 2 else "tail")

    def _queries(self, entity: Tensor, relation: Tensor, missing: Side) -> dict[str, Tensor]:
        """Return ``input_ids`` and ``attention_mask``, ``(queries, time)``."""
        queries = zip(entity.tolist(), relation.tolist(), strict=True)
        texts = [self._text(self.names[one], self.relations[kind], missing) for one, kind in queries]
        made = self.tokenizer(texts, padding=True, return_tensors="pt")
        return {name: made[name].to(self.device) for name in ("input_ids", "attention_mask")}

    def _trees_of(self, entities: Tensor | None) -> list[NameTree]:
        """Return the names of some entities as trees; the last result is cached."""
        key = None if entities is None else entities.tolist()
        if self._trees is None or self._trees[0] != key:
            names: Sequence[list[int]] = self._tokens if key is None else [self._tokens[row] for row in key]
            start = self.net.config.decoder_start_token_id
            self._trees = (key, [tree.to(self.device) for tree in name_trees(names, start)])
        return self._trees[1]

    def _random_net(self) -> Any:
        from transformers import T5Config, T5ForConditionalGeneration

        settings = {
            "vocab_size": len(self.tokenizer),
            "d_model": self.sizes["width"],
            "d_kv": self.sizes["width"] // self.sizes["heads"],
            "d_ff": self.sizes["feed_forward"],
            "num_layers": self.sizes["layers"],
            "num_heads": self.sizes["heads"],
            "dropout_rate": self.dropout,
            "pad_token_id": self.tokenizer.pad_token_id,
            "eos_token_id": self.tokenizer.eos_token_id,
            "decoder_start_token_id": self.tokenizer.pad_token_id,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return T5ForConditionalGeneration(T5Config(**settings)).train()


def _pretrained(base: str) -> tuple[Any, Any]:
    """Return a T5 and its tokenizer.

    Raises:
        KedrecError: it is missing, not a T5, or cannot be loaded.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, T5ForConditionalGeneration

    folder = base_folder(base, Store())
    try:
        kind = AutoConfig.from_pretrained(folder, trust_remote_code=False).model_type
        if kind != "t5":
            raise KedrecError(f"model.init_args.base: {base} is of type {kind!r}; expected a T5")
        net: Any = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        tokenizer = load_tokenizer(folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as fault:
        reason = str(fault).partition("\n")[0]
        raise KedrecError(f"model.init_args.base: {base} cannot be loaded ({reason}); fetch it again") from fault
    return net.train(), tokenizer
