"""The passages of an experiment: what can be retrieved, and which drugs and diseases each passage names."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from kedrec.errors import KedrecError, nearest
from kedrec.graph.named_graph import NamedGraph
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.retrieval.retriever import Retriever, open_corpus
from kedrec.sources.text.dates import check_cut_off, surely_before
from kedrec.sources.text.text_source import Texts, documents_identity, texts_name
from kedrec.storage.artifact_store import Store
from kedrec.text.comentions import Comentions
from kedrec.text.mentions import find_mentions
from kedrec.text.passage import Passage

_MENTIONS_VERSION = 1  # increase it with a change of `find_mentions`: stored lists of passages are then made again

Identity = dict[str, str | int | None]


class Corpus:
    """Passages, and the drugs and diseases of a graph that they name.

    Args:
        named: the graph with the names of its entities.
        retriever: of the passages; ``None`` without any.
        identity: what the passages and the names in them depend on, for keys of the store and for the run's card.
    """

    def __init__(self, named: NamedGraph, retriever: Retriever | None, identity: Identity) -> None:
        self.named = named
        self.retriever = retriever
        self.identity = identity

    @classmethod
    def without_texts(cls, named: NamedGraph, chunk_tokens: int) -> "Corpus":
        """Return a corpus without passages."""
        return cls(named, None, _identity(named, None, chunk_tokens, None))

    @classmethod
    def open(
        cls,
        texts: Texts,
        named: NamedGraph,
        encoder: Encoder,
        store: Store,
        *,
        chunk_tokens: int,
        before: str | None = None,
        naming_drugs: bool = False,
    ) -> "Corpus":
        """Read documents and cut them into passages.

        Args:
            texts: documents, as ``open_corpus`` takes them.
            named: the graph with the names of its entities.
            encoder: bi-encoder for retrieval.
            store: keeps passages and index.
            chunk_tokens: length of a passage, about.
            before: day from which on passages are left out, ``YYYY-MM-DD``; one without a date is left out too.
            naming_drugs: index only passages that name a drug of the graph: no query is about anything else.

        Raises:
            KedrecError: a file is absent or not of its form, or no passage is left.
        """
        retriever = open_corpus(texts, encoder, store, chunk_tokens)
        identity = _identity(named, documents_identity(texts), chunk_tokens, before)
        if before is not None:
            retriever = _older(retriever, before, texts_name(texts))
        if naming_drugs:
            retriever = _naming_drugs(retriever, named, identity, store)
        return cls(named, retriever, identity)

    @property
    def sources(self) -> list[str]:
        """The sources that there are passages of, sorted."""
        return [] if self.retriever is None else self.retriever.sources

    @property
    def tokenizer_identity(self) -> str | None:
        """Identifies the tokenizer, which decides where passages are cut; ``None`` without passages."""
        return None if self.retriever is None else self.retriever.encoder.tokenizer_identity

    @cached_property
    def passages(self) -> list[Passage]:
        """All passages, of any source."""
        return [] if self.retriever is None else _all_passages(self.retriever)

    @cached_property
    def mentions(self) -> dict[str, set[int]]:
        """For each drug and disease with a name the rows of ``passages`` that name it."""
        entities = [entity for entity in self.named.infos if entity.startswith(("Compound::", "Disease::"))]
        return find_mentions(self.passages, {entity: self.named.names(entity) for entity in entities})

    @property
    def mentioned(self) -> set[str]:
        """The drugs and diseases that some passage names."""
        return set(self.mentions)

    @cached_property
    def comentions(self) -> Comentions:
        """Finds the passages that name both a drug and a disease."""
        return Comentions(self.named, self.passages, self.mentions)

    def mentioned_together(self, drug: str, disease: str) -> bool:
        """Whether some passage, of any source, names both."""
        return bool(self.mentions.get(drug, set()) & self.mentions.get(disease, set()))

    def literature_count(self, drug: str) -> int:
        """Return how many passages, of any source, name a drug."""
        return len(self.mentions.get(drug, ()))

    def check_sources(self, sources: Sequence[str], texts: Texts) -> None:
        """Make sure that there are passages of some sources.

        Args:
            sources: their names.
            texts: the documents, for the message.

        Raises:
            KedrecError: there is none of one of them; names the nearest.
        """
        for source in sources:
            if source not in self.sources:
                known = self.sources
                raise KedrecError(
                    f"{texts_name(texts)}: no passage of source {source!r}{nearest(source, known)}; "
                    f"there are {list(known)}; name some of these in data.init_args.retrieval.sources"
                )


def _identity(named: NamedGraph, texts: str | None, chunk_tokens: int, before: str | None) -> Identity:
    identity: Identity = {
        "graph": named.graph.source_hash,
        "names": named.names_hash,
        "texts": texts,
        "chunk_tokens": chunk_tokens,
    }
    return identity if before is None else {**identity, "before": before}


def _all_passages(retriever: Retriever) -> list[Passage]:
    return [passage for source in retriever.sources for passage in retriever.passages(source)]


def _older(retriever: Retriever, before: str, texts: str) -> Retriever:
    check_cut_off(before)
    earlier = retriever.restricted(lambda passage: surely_before(passage.date, before))
    if not earlier.sources:
        raise KedrecError(
            f"{texts}: no passage has a date before {before}; set data.init_args.retrieval.before to a later day"
        )
    return earlier


def _naming_drugs(retriever: Retriever, named: NamedGraph, identity: Identity, store: Store) -> Retriever:
    """Return a retriever over the passages that name a drug of the graph."""

    def build(folder: Path) -> None:
        drugs = {entity: named.names(entity) for entity in named.graph.entities if entity.startswith("Compound::")}
        passages = _all_passages(retriever)
        rows = set().union(*find_mentions(passages, drugs).values())
        if not rows:
            raise KedrecError(
                "no passage names a drug of the graph; put an entities.tsv with the drugs' names beside the graph"
            )
        (folder / "ids.json").write_text(json.dumps([passages[row].id for row in sorted(rows)]), encoding="utf-8")

    key = {**identity, "tokenizer": retriever.encoder.tokenizer_identity, "finding": _MENTIONS_VERSION}
    ids = set(json.loads((store.get("naming-drugs", key, build) / "ids.json").read_text(encoding="utf-8")))
    return retriever.restricted(lambda passage: passage.id in ids)
