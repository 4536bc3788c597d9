"""Retrieval: for each query the passages of one source that are nearest, each from another document."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kedrec.errors import KedrecError, nearest
from kedrec.retrieval.bi_encoder import Encoder, Vectors
from kedrec.retrieval.chunking import chunk
from kedrec.retrieval.vector_index import Index, build_index
from kedrec.runtime.distributed import process_count, process_number
from kedrec.runtime.progress import tell
from kedrec.sources.text.text_source import Texts, documents_identity, documents_of
from kedrec.storage.artifact_store import Store
from kedrec.text.excerpt import name_pattern
from kedrec.text.passage import Passage

_CHUNKING_VERSION = 1  # increase it with a change of `read_documents` or `chunk`: documents are then cut again
_SLICE = 4096  # passages whose vectors are stored together; about a minute's work for MiniLM on two cores


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A passage and its score, the inner product with the query (the cosine, for a normalising encoder)."""

    passage: Passage
    score: float


def query_text(disease: str, drug: str) -> str:
    """Return the query on a candidate drug for a disease."""
    return f"{drug} for the treatment of {disease}"


class Retriever:
    """Finds passages by source; each source is embedded and indexed on first use, and kept in the store.

    Args:
        passages: of all sources.
        encoder: embeds passages and queries.
        store: keeps vectors and indexes, under the hash of the passages, the encoder and the settings.
        pool: candidates considered a query; a larger pool more likely holds a passage with the preferred names.
        exact_below: passages of a source from which on hnswlib replaces exact search.
        m: links of a node in the hnswlib graph.
        ef_construction: candidates considered for each link.
        ef: candidates considered in a search.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        encoder: Encoder,
        store: Store,
        *,
        pool: int = 50,
        exact_below: int = 5000,
        m: int = 16,
        ef_construction: int = 200,
        ef: int = 200,
    ) -> None:
        self.encoder = encoder
        self.store = store
        self.pool = pool
        self._index_settings = {"exact_below": exact_below, "m": m, "ef_construction": ef_construction, "ef": ef}
        self._passages: dict[str, list[Passage]] = {}
        for passage in passages:
            self._passages.setdefault(passage.source, []).append(passage)
        self._indexes: dict[str, Index] = {}

    @property
    def sources(self) -> list[str]:
        """The sources that there are passages of, sorted."""
        return sorted(self._passages)

    def passages(self, source: str) -> Sequence[Passage]:
        """Return the passages of a source, in the order of the index's rows.

        Raises:
            KedrecError: there is no passage of that source.
        """
        if source not in self._passages:
            raise KedrecError(
                f"no passage is of the source {source!r}; there are {', '.join(self.sources) or 'none at all'}"
                + nearest(source, self.sources)
            )
        return self._passages[source]

    def restricted(self, keep: Callable[[Passage], bool]) -> "Retriever":
        """Return a retriever over the passages that ``keep`` holds for; the others are never embedded for it."""
        kept = [passage for source in self.sources for passage in self._passages[source] if keep(passage)]
        return Retriever(kept, self.encoder, self.store, pool=self.pool, **self._index_settings)

    def retrieve(
        self, queries: Sequence[str], source: str, k: int, prefer: Sequence[Sequence[str]] | None = None
    ) -> list[list[Retrieved]]:
        """Return up to ``k`` passages a query, best first, no two of one document; equal scores in corpus order.

        Args:
            queries: texts, e.g. of `query_text`.
            source: whose passages are searched.
            k: passages a query.
            prefer: for each query words (the drug's names) whose passages come first among the ``pool`` nearest; a
                bi-encoder of MiniLM's size often ranks a similar drug above the queried one.

        Raises:
            KedrecError: there is no passage of that source, ``k`` is below 1, or ``prefer`` is not one a query.
        """
        if k < 1:
            raise KedrecError(f"k, the passages a query gets, must be 1 or more, not {k}")
        if prefer is not None and len(prefer) != len(queries):
            raise KedrecError(f"prefer wants words for each of the {len(queries)} queries; it has {len(prefer)}")
        passages, index = self.passages(source), self.index(source)
        vectors = self.encoder.encode_queries(queries)
        words = (
            [name_pattern(names) if names else None for names in prefer]
            if prefer is not None
            else [None] * len(queries)
        )
        results: list[list[Retrieved]] = [[] for _ in queries]
        open_rows = np.arange(len(queries))
        pool = max(self.pool, k)
        while len(open_rows):
            rows, scores = index.search(vectors[open_rows], pool)
            for query, near, score in zip(open_rows.tolist(), rows.tolist(), scores.tolist(), strict=True):
                nearby = [Retrieved(passages[row], value) for row, value in zip(near, score, strict=True)]
                results[query] = _best(nearby, words[query], k)
            # a pool that long documents fill with their own passages is widened until it holds k documents
            open_rows = (
                open_rows[[len(results[query]) < k for query in open_rows]] if pool < len(index) else open_rows[:0]
            )
            pool *= 4
        return results

    def index(self, source: str) -> Index:
        """Return the index of a source, built on first use and from then on read from the store."""
        if source not in self._indexes:
            passages = self.passages(source)
            if not self.store.holds("index", self._index_key(passages)):
                self._embed(passages)

            def build(folder: Path) -> None:
                ids = [passage.id for passage in passages]
                settings = self._index_settings
                vectors = self._vectors(passages)
                build_index(vectors, ids, folder / "index", encoder=self.encoder.identity, **settings)

            folder = self.store.get("index", self._index_key(passages), build)
            self._indexes[source] = Index.load(folder / "index", self.encoder.identity)
        return self._indexes[source]

    def missing_vectors(self, source: str) -> int:
        """Return how many passages of a source are still to be embedded; builds nothing."""
        passages = self.passages(source)
        if self.store.holds("index", self._index_key(passages)):
            return 0
        return sum(len(part) for part in _slices(passages) if not self.store.holds("vectors", self._vectors_key(part)))

    def _index_key(self, passages: Sequence[Passage]) -> dict[str, Any]:
        return {**self._vectors_key(passages), **self._index_settings}

    def _vectors_key(self, passages: Sequence[Passage]) -> dict[str, Any]:
        return {"passages": _passages_hash(passages), "encoder": self.encoder.identity}

    def _embed(self, passages: Sequence[Passage]) -> None:
        """Embed in slices that are stored, so that an interrupted run continues where it was.

        The processes of a job begin at different slices, and each then embeds what the others have not done: a slice is
        the same whichever process embeds it.
        """
        parts, number, count = _slices(passages), process_number(), process_count()
        done = 0
        for at in sorted(range(len(parts)), key=lambda at: (at % count != number % count, (at - number) % len(parts))):
            self._slice(parts[at])
            done += len(parts[at])
            tell(f"{passages[0].source} passages embedded", done, len(passages))

    def _vectors(self, passages: Sequence[Passage]) -> Vectors:
        """Return the vectors, ``(passages, dim)``."""
        return np.concatenate([self._slice(part) for part in _slices(passages)])

    def _slice(self, part: Sequence[Passage]) -> Vectors:
        def build(folder: Path) -> None:
            vectors = self.encoder.encode([passage.titled_text for passage in part])
            np.save(folder / "vectors.npy", vectors, allow_pickle=False)

        folder = self.store.get("vectors", self._vectors_key(part), build)
        vectors: Vectors = np.load(folder / "vectors.npy", allow_pickle=False)
        return vectors


def _slices(passages: Sequence[Passage]) -> list[Sequence[Passage]]:
    return [passages[start : start + _SLICE] for start in range(0, len(passages), _SLICE)]


def open_corpus(texts: Texts, encoder: Encoder, store: Store, chunk_tokens: int = 200, pool: int = 50) -> Retriever:
    """Return a retriever over documents; what was prepared before is read from the store.

    Args:
        texts: a file or folder, as `read_documents` takes it, or a text source.
        encoder: embeds passages and queries; its tokenizer measures the passages.
        store: keeps passages, vectors and indexes.
        chunk_tokens: tokens of a passage, about.
        pool: candidates considered a query.

    Raises:
        KedrecError: the documents are not of the form, or the store cannot be written.
    """
    key = {
        "documents": documents_identity(texts),
        "tokenizer": encoder.tokenizer_identity,
        "chunk_tokens": chunk_tokens,
        "cutting": _CHUNKING_VERSION,
    }

    def build(folder: Path) -> None:
        with (folder / "passages.jsonl").open("w", encoding="utf-8") as handle:
            for passage in chunk(documents_of(texts), encoder.count_tokens, chunk_tokens):
                handle.write(json.dumps(asdict(passage), ensure_ascii=False) + "\n")

    path = store.get("passages", key, build) / "passages.jsonl"
    return Retriever(list(_stored_passages(path)), encoder, store, pool=pool)


def _stored_passages(path: Path) -> Iterator[Passage]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield Passage(**json.loads(line))


def _passages_hash(passages: Sequence[Passage]) -> str:
    """Return a hash of the passages' ids and embedded texts."""
    content = hashlib.sha256()
    for passage in passages:
        content.update(json.dumps([passage.id, passage.titled_text]).encode())
    return content.hexdigest()


def _best(nearby: Sequence[Retrieved], words: re.Pattern[str] | None, k: int) -> list[Retrieved]:
    """Return ``k`` of the passages that ``nearby`` holds best first, those that match first, one a document."""
    if words is not None:
        nearby = sorted(nearby, key=lambda one: words.search(one.passage.titled_text) is None)
    documents: dict[str, Retrieved] = {}
    for one in nearby:
        documents.setdefault(one.passage.document, one)
    return list(documents.values())[:k]
