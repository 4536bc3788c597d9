"""Sources of pairs: they give the pairs that questions are about, with their graph, passages and split."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kedrec.graph.disease_hierarchy import load_kin
from kedrec.graph.named_graph import NamedGraph
from kedrec.graph.trained_embeddings import Exported
from kedrec.kedrec_lm.pair_sampling import sample_pairs
from kedrec.kedrec_lm.question_settings import PairSettings, RetrievalSettings, SplitSettings
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.retrieval.corpus import Corpus
from kedrec.sources.text.text_source import TextSource
from kedrec.splits.pairs import Pair, load_pairs, save_pairs
from kedrec.splits.split_consistency import by_canonical_ids
from kedrec.splits.split_creation import given_split, split_from_pairs, split_treatments
from kedrec.splits.treatment_split import FILE, TreatmentSplit
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import file_hash

_SAMPLER_VERSION = 3  # increase it with a change of `sample_pairs` or `split_treatments`: pairs are then sampled again


@dataclass(frozen=True)
class PairSet:
    """Pairs, and what their questions are made of.

    Attributes:
        named: the graph with the names of its entities.
        corpus: the passages.
        pairs: of all splits.
        split: of the graph's treatments.
        embeddings: that measure the similarity of drugs, where a run's are named.
        origin: file of the pairs, or of the graph that they are sampled from, for messages.
        facts: for the card.
    """

    named: NamedGraph
    corpus: Corpus
    pairs: list[Pair]
    split: TreatmentSplit
    embeddings: Exported | None
    origin: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class PairSource(ABC):
    """Gives pairs.

    Args:
        graph: triples TSV (plain, gz, zst) or a folder that holds one; entity names lie beside it.
        texts: passages JSONL, a folder of texts, or a text source; ``None`` for none.
        pairs: which pairs.
        split: which of the treatments are held out.
        retrieval: how the texts are cut and retrieved.
        seed: of the pairs.
        reads_texts: whether the texts are read; ``False`` where neither pairs, prompts nor rationales need them.

    Attributes:
        private: whether the pairs are patient data.
    """

    private = False

    def __init__(
        self,
        graph: str,
        texts: str | TextSource | None,
        pairs: PairSettings,
        split: SplitSettings,
        retrieval: RetrievalSettings,
        seed: int,
        *,
        reads_texts: bool = True,
    ) -> None:
        pairs.check()
        self.graph = graph
        self.texts = texts
        self.pairs = pairs
        self.split = split
        self.retrieval = retrieval
        self.seed = seed
        self.reads_texts = reads_texts

    @abstractmethod
    def load(self, store: Store) -> PairSet:
        """Return the pairs, which are sampled once and kept in the store.

        Raises:
            KedrecError: a file is absent or not of its form, or no pair is left.
        """

    def open_corpus(self, named: NamedGraph, store: Store) -> Corpus:
        """Return the passages, none where the texts are not read."""
        texts = self.texts if self.reads_texts else None
        return open_texts(texts, named, self.retrieval, self.pairs.mentioned, store)

    def load_embeddings(self) -> Exported | None:
        """Return the embeddings that the settings name."""
        return None if self.pairs.embeddings is None else Exported.load(self.pairs.embeddings)


class GraphPairs(PairSource):
    """Pairs of a file, or sampled from the therapeutic edges of a graph."""

    def load(self, store: Store) -> PairSet:
        """Return the pairs."""
        named = NamedGraph.load(self.graph, store)
        corpus = self.open_corpus(named, store)
        embeddings = self.load_embeddings()
        pairs, split = file_or_sampled_pairs(self.pairs, self.split, self.seed, corpus, embeddings, store)
        return PairSet(named, corpus, pairs, split, embeddings, self.pairs.file or self.graph)


def open_texts(
    texts: str | TextSource | None,
    named: NamedGraph,
    retrieval: RetrievalSettings,
    naming_drugs: bool,
    store: Store,
) -> Corpus:
    """Return the passages of some texts, none without texts.

    Args:
        texts: a file or folder, or a text source.
        named: the graph.
        retrieval: how they are cut; whose passages must be there.
        naming_drugs: index only passages that name a drug of the graph.
        store: keeps passages and index.

    Raises:
        KedrecError: the texts are absent or not of their form, or lack a source.
    """
    if texts is None:
        return Corpus.without_texts(named, retrieval.chunk_tokens)
    corpus = Corpus.open(
        texts,
        named,
        Encoder(retrieval.encoder),
        store,
        chunk_tokens=retrieval.chunk_tokens,
        before=retrieval.before,
        naming_drugs=naming_drugs,
    )
    corpus.check_sources(retrieval.sources, texts)
    return corpus


def file_or_sampled_pairs(
    settings: PairSettings, split: SplitSettings, seed: int, corpus: Corpus, embeddings: Exported | None, store: Store
) -> tuple[list[Pair], TreatmentSplit]:
    """Return the pairs that the settings name, and the split that they are consistent with.

    Args:
        settings: file, or how pairs are sampled.
        split: file, or how the treatments are split.
        seed: of the experiment.
        corpus: with the graph.
        embeddings: measure the similarity of drugs; ``None`` for the neighbours that they share.
        store: keeps sampled pairs.

    Raises:
        KedrecError: a file is not of its form, or as ``split_treatments`` and ``sample_pairs``.
    """
    named = corpus.named
    given = given_split(split.file, named, settings.relations)
    if settings.file is None:
        return _stored_pairs(settings, given or split, seed, corpus, embeddings, store)
    pairs = load_pairs(settings.file)
    return pairs, given or split_from_pairs(named, settings.relations, by_canonical_ids(pairs, named.canonical_id))


def _stored_pairs(
    settings: PairSettings,
    split: SplitSettings | TreatmentSplit,
    seed: int,
    corpus: Corpus,
    embeddings: Exported | None,
    store: Store,
) -> tuple[list[Pair], TreatmentSplit]:
    key = {
        "sampling": _SAMPLER_VERSION,
        "relations": settings.relations,
        "negatives": settings.negatives,
        "embeddings": None if embeddings is None else embeddings.identity,
        "hardness": settings.hardness,
        "balanced": settings.balanced,
        "hierarchy": None if settings.hierarchy is None else file_hash(Path(settings.hierarchy)),
        "limits": settings.limits,
        "mentioned": settings.mentioned,
        "seed": seed,
        # Which names stand in one passage depends on where passages are cut, and that on the tokenizer.
        "tokenizer": corpus.tokenizer_identity,
        "split": split.identity if isinstance(split, TreatmentSplit) else (split.by, split.validation, split.test),
        **corpus.identity,
    }

    def build(folder: Path) -> None:
        pairs, manifest = _sample(settings, split, seed, corpus, embeddings)
        manifest.save(folder / FILE)
        save_pairs(pairs, folder / "pairs.parquet")

    folder = store.get("pairs", key, build)
    return load_pairs(folder / "pairs.parquet"), TreatmentSplit.load(folder / FILE)


def _sample(
    settings: PairSettings,
    split: SplitSettings | TreatmentSplit,
    seed: int,
    corpus: Corpus,
    embeddings: Exported | None,
) -> tuple[list[Pair], TreatmentSplit]:
    named, graph = corpus.named, corpus.named.merged
    # An irrelevant drug without a passage could be recognised by the lack of passages.
    drugs = corpus.mentioned if settings.mentioned else None
    eligible = corpus.mentioned_together if settings.mentioned else None
    if isinstance(split, TreatmentSplit):
        manifest = split
    else:
        manifest = split_treatments(
            graph,
            split_by=split.by,
            validation=split.validation,
            test=split.test,
            seed=seed,
            relations=settings.relations,
            eligible=eligible,
            drugs=drugs,
            dated=corpus.comentions.date if corpus.passages else None,
        )
        texts = corpus.identity["texts"] if manifest.dates else None
        manifest = replace(manifest, names=named.names_hash, texts=None if texts is None else str(texts))
    compounds = [graph.entities[row] for row in graph.of_type("Compound").tolist()]
    pairs = sample_pairs(
        graph,
        manifest,
        relations=settings.relations,
        negatives=settings.negatives,
        embedding=None if embeddings is None else embeddings.rows(compounds),
        hardness=settings.hardness,
        balanced=settings.balanced,
        seed=seed,
        limit=settings.limits,
        drugs=drugs,
        eligible=eligible,
        kin=None if settings.hierarchy is None else load_kin(settings.hierarchy, named.canonical_id),
    )
    return pairs, manifest
