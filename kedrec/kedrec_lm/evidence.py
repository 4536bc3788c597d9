"""The passages that are retrieved for the questions, without those that leak a held-out treatment."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from kedrec.graph.named_graph import NamedGraph
from kedrec.retrieval.corpus import Corpus
from kedrec.retrieval.retriever import Retrieved, query_text
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import Split

QueryKey = tuple[Split, str, str]
"""Of a query: the split of its question, the disease, and one of the question's drugs."""

_DEEPER = (50, 800)  # of the nearest passages, where the first are filtered out


@dataclass(frozen=True)
class RetrievedEvidence:
    """The passages of each query.

    Attributes:
        hits: query -> its passages, source by source, nearest first.
        filtered: split -> questions for which a passage was filtered out.
    """

    hits: Mapping[QueryKey, Sequence[Retrieved]] = field(default_factory=dict)
    filtered: Mapping[Split, int] = field(default_factory=dict)

    def of(self, pair: Pair, drug: str) -> Sequence[Retrieved]:
        """Return the passages of a pair's disease with one of its drugs."""
        return self.hits.get((pair.split, pair.disease, drug), ())


def retrieve_evidence(
    corpus: Corpus,
    pairs: Sequence[Pair],
    per_drug: int,
    leaking: Mapping[Split, Collection[str]] | None = None,
) -> RetrievedEvidence:
    """Retrieve ``per_drug`` passages of each source for each (disease, drug) of the pairs.

    Args:
        corpus: the passages.
        pairs: that the questions are about.
        per_drug: passages of a source.
        leaking: split -> ids of passages that its questions must not show; the next nearest are taken instead.
    """
    if corpus.retriever is None:
        return RetrievedEvidence()
    keys_of = {pair: [(pair.split, pair.disease, drug) for drug in (pair.relevant, pair.irrelevant)] for pair in pairs}
    keys = sorted({key for both in keys_of.values() for key in both})
    hits: dict[QueryKey, list[Retrieved]] = {key: [] for key in keys}
    affected: set[QueryKey] = set()
    for source in corpus.sources:
        open_keys = keys
        for depth in (per_drug, *_DEEPER):
            queried, open_keys = open_keys, []
            for key, nearby in zip(queried, _nearest(corpus, queried, source, depth), strict=True):
                allowed = [hit for hit in nearby if hit.passage.id not in (leaking or {}).get(key[0], ())][:per_drug]
                if depth != _DEEPER[-1] and len(allowed) < min(per_drug, len(nearby)):
                    open_keys.append(key)
                else:
                    hits[key] += allowed
            affected.update(open_keys)
    filtered = Counter(pair.split for pair, both in keys_of.items() if affected.intersection(both))
    return RetrievedEvidence(hits, filtered)


def _nearest(corpus: Corpus, keys: Sequence[QueryKey], source: str, depth: int) -> list[list[Retrieved]]:
    if corpus.retriever is None or not keys:
        return []
    named: NamedGraph = corpus.named
    queries = [query_text(named.names(disease)[0], named.names(drug)[0]) for _, disease, drug in keys]
    return corpus.retriever.retrieve(queries, source, depth, prefer=[named.names(drug) for *_, drug in keys])
