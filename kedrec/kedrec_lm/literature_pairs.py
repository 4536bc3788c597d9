"""Pairs that the literature speaks of, with graph and texts that are fetched where they are not given."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kedrec.errors import KedrecError
from kedrec.graph.named_graph import NamedGraph
from kedrec.graph.therapeutic import THERAPEUTIC, stated_edges
from kedrec.kedrec_lm.pair_source import PairSet, PairSource, file_or_sampled_pairs, open_texts
from kedrec.kedrec_lm.question_settings import PairSettings, RetrievalSettings, SplitSettings
from kedrec.kedrec_lm.rationale_source import count_by_split
from kedrec.kedrec_lm.web_texts import WebTexts
from kedrec.retrieval.corpus import Corpus
from kedrec.runtime.preparation_plan import Stage
from kedrec.sources.graph.named_drkg import Drkg
from kedrec.sources.text.text_source import TextSource
from kedrec.splits.pairs import Pair
from kedrec.storage.artifact_store import Store

DRKG = "drkg"
"""As the path of a graph: DRKG is fetched."""


@dataclass(frozen=True)
class DownloadSettings:
    """What is fetched, and from where.

    Attributes:
        drkg: where DRKG and its names come from.
        web: how texts are fetched; needed where no texts are given.
    """

    drkg: Drkg = field(default_factory=Drkg)
    web: WebTexts | None = None


class LiteraturePairs(PairSource):
    """Pairs of which some passage names disease and relevant drug.

    Where texts are fetched for pairs that were sampled, sampling cannot look at texts: of the sampled pairs those are
    taken that the fetched texts name.

    Args:
        graph: as in `PairSource`, or ``drkg``.
        texts: as in `PairSource`, or ``None``: then trials and articles on each pair are fetched.
        pairs: which pairs; ``mentioned`` has no effect.
        split: which of the treatments are held out.
        retrieval: how the texts are cut and retrieved.
        seed: of the pairs.
        download: what is fetched, and from where.

    Raises:
        KedrecError: texts are neither given nor fetched.
    """

    def __init__(
        self,
        graph: str,
        texts: str | TextSource | None,
        pairs: PairSettings,
        split: SplitSettings,
        retrieval: RetrievalSettings,
        seed: int,
        download: DownloadSettings,
    ) -> None:
        super().__init__(graph, texts, replace(pairs, mentioned=texts is not None), split, retrieval, seed)
        if texts is None and download.web is None:
            raise KedrecError(
                "data.init_args.texts is null, and data.init_args.download.web is absent, so no texts can be fetched; "
                "name texts, or set download.web.email"
            )
        self.download = download
        self.web = download.web if texts is None else None

    def load(self, store: Store) -> PairSet:
        """Return the pairs."""
        if self.web is not None:
            self.web.check()
        graph, facts = self._locate_graph(store)
        named, embeddings = NamedGraph.load(graph, store), self.load_embeddings()
        if self.web is None:
            corpus = self.open_corpus(named, store)
            pairs, split = file_or_sampled_pairs(self.pairs, self.split, self.seed, corpus, embeddings, store)
        else:
            without = Corpus.without_texts(named, self.retrieval.chunk_tokens)
            sampled, split = file_or_sampled_pairs(self.pairs, self.split, self.seed, without, embeddings, store)
            texts = self.web.fetch(_names(named, sampled), self.retrieval.before, store)
            corpus = open_texts(str(texts), named, self.retrieval, False, store)
            pairs = [pair for pair in sampled if _mentioned(corpus, pair)]
            facts["pairs_drawn"] = count_by_split(sampled)
        facts |= self._coverage(corpus)
        return PairSet(named, corpus, pairs, split, embeddings, self.pairs.file or graph, facts)

    def plan_graph(self, store: Store) -> list[Stage]:
        """Return the stages of fetching the graph; none where it is given."""
        return self.download.drkg.stages(store) if self.graph == DRKG else []

    def plan_texts(self, queries: int) -> list[Stage]:
        """Return the stage of fetching texts for so many (disease, drug); none where texts are given."""
        if self.web is None:
            return []
        requests = {"requests to the web, at least": self.web.requests(queries)}
        return [Stage("texts", False, requests, "the passages to embed are known when they are there")]

    def plan_queries(self, store: Store) -> tuple[list[Pair], int]:
        """Return the pairs that texts are fetched for, and how many (disease, drug) these are."""
        graph, _ = self._locate_graph(store)
        without = Corpus.without_texts(NamedGraph.load(graph, store), self.retrieval.chunk_tokens)
        pairs, _ = file_or_sampled_pairs(self.pairs, self.split, self.seed, without, None, store)
        return pairs, len(_names(without.named, pairs))

    def _locate_graph(self, store: Store) -> tuple[str, dict[str, Any]]:
        """Return where the graph lies, fetched if need be, and what the card reports of it."""
        if self.graph != DRKG:
            return self.graph, {}
        folder = self.download.drkg.prepare(store)
        return str(folder), {"drkg": self.download.drkg.facts(folder)}

    def _coverage(self, corpus: Corpus) -> dict[str, int]:
        """Return how many of the graph's therapeutic pairs some passage names."""
        graph = corpus.named.merged
        edges = stated_edges(graph, graph.match_relations(self.pairs.relations, THERAPEUTIC))
        return {
            "therapeutic_pairs_of_the_graph": len(edges),
            "of_those_a_passage_names_both": sum(corpus.mentioned_together(*edge) for edge in edges),
        }


def _mentioned(corpus: Corpus, pair: Pair) -> bool:
    """Whether some passage names disease and relevant drug, and some the irrelevant drug.

    A drug without any passage could be recognised by their lack.
    """
    return corpus.mentioned_together(pair.relevant, pair.disease) and corpus.literature_count(pair.irrelevant) > 0


def _names(named: NamedGraph, pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    """Return the names of each disease with each of its drugs, once."""
    queries = {(pair.disease, drug) for pair in pairs for drug in (pair.relevant, pair.irrelevant)}
    return sorted({(named.names(disease)[0], named.names(drug)[0]) for disease, drug in queries})
