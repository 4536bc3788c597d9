"""Citations scored by models: is the passage similar to the sentence that cites it, and does it entail it?"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedrec.evaluation.citation_metrics import Citation, checked_citations, shares
from kedrec.evaluation.entailment import Entailment
from kedrec.graph.named_graph import spoken_names
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.sources.graph.entity_names import load_entity_info
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import key_hash
from kedrec.text.citations import cited, without_citations
from kedrec.text.excerpt import excerpt, name_pattern
from kedrec.text.sentences import sentences

log = logging.getLogger(__name__)

_SAMPLE = Path(__file__).parents[1] / "sample"
_EXCERPT = 32  # words, as `InstructionData` shows them by default
_CHANCE = 0.05  # share of the sample's sentences above the threshold against an excerpt of another disease
_ENTAILED = 0.5  # likelier than not


def answers_support(rows: Sequence[Mapping[str, Any]], encoder: str | None, entailment: str | None) -> dict[str, float]:
    """Return `citation_support_metrics` of the rows of a test, ``test/NAME`` -> number; nothing without citations.

    Args:
        rows: predictions.
        encoder: name of a bi-encoder; ``None`` scores no citations.
        entailment: name of an NLI model; ``None`` for none.
    """
    if encoder is None or not any(checked_citations(row) for row in rows if "rationale" in row):
        return {}
    nli = Entailment(entailment) if entailment is not None else None
    found = citation_support_metrics(rows, Encoder(encoder), nli)
    return {f"test/{name}": value for name, value in found.items()}


def citation_support_metrics(
    rows: Sequence[Mapping[str, Any]], encoder: Encoder | None = None, entailment: Entailment | None = None
) -> dict[str, float]:
    """Return the shares of the rationales' citations that models score as supported.

    Args:
        rows: predictions, as `kedrec.evaluation.citation_metrics.citation_metrics` takes them.
        encoder: a bi-encoder; ``None`` leaves its metrics out.
        entailment: an NLI model; ``None`` leaves its metric out.

    Returns:
        ``citation_embedding_support``: share of citations that exist and whose sentence and excerpt have a cosine of
        at least ``citation_embedding_threshold``, see `similarity_threshold`. ``citation_entailment``: share of
        citations that exist and whose excerpt entails the sentence with a probability above 0.5. Both with their 95 %
        interval ``_low``, ``_high``, whole diseases resampled; nothing without citations.
    """
    found: dict[str, float] = {}
    made = scored_citations(rows, encoder, entailment)
    if encoder is not None and made:
        least = similarity_threshold(encoder, Store())
        found |= shares("citation_embedding_support", made, lambda one: (one.similarity or 0.0) >= least and one.shown)
        found["citation_embedding_threshold"] = least
    if entailment is not None:
        found |= shares("citation_entailment", made, lambda one: (one.entailed or 0.0) > _ENTAILED)
    return found


def scored_citations(
    rows: Sequence[Mapping[str, Any]], encoder: Encoder | None = None, entailment: Entailment | None = None
) -> list[Citation]:
    """Return the citations of all rationales; those whose excerpt was shown carry the scores of the models."""
    made = [citation for row in rows if "rationale" in row for citation in checked_citations(row)]
    read = [at for at, citation in enumerate(made) if citation.shown]
    said = [made[at].sentence for at in read]
    texts = [made[at].text for at in read]
    if encoder is not None and read:
        for at, cosine in zip(read, _cosines(encoder, said, texts), strict=True):
            made[at] = replace(made[at], similarity=float(cosine))
    if entailment is not None and read:
        probabilities = entailment.probabilities(list(zip(texts, said, strict=True)))
        for at, probability in zip(read, probabilities, strict=True):
            made[at] = replace(made[at], entailed=float(probability))
    return made


def similarity_threshold(encoder: Encoder, store: Store) -> float:
    """Return the cosine that 5 % of sentences reach against excerpts that were chosen for another disease.

    Cosines of different encoders cannot be compared, so each encoder has a threshold of its own. It is measured on the
    sample, with the 717 citing sentences of its rationales and the excerpts of the passages that they cite. For
    all-MiniLM-L6-v2 it is 0.35: 93 % of the sentences reach it against the excerpts that they cite, and 58 % against
    other excerpts on the same disease. The threshold detects passages on another subject, not statements that are
    untrue of a drug.

    Args:
        encoder: computes the cosines.
        store: holds the cosines of the sample.
    """
    diseases, said, texts = _sample_citations()
    key = {"encoder": encoder.identity, "citations": key_hash({"sentences": said, "texts": texts})}

    def measure(folder: Path) -> None:
        log.info("measuring, once, the cosines of the encoder between sentences and excerpts of the sample")
        np.save(folder / "cosines.npy", _unit(encoder.encode_queries(said)) @ _unit(encoder.encode(texts)).T)

    cosines = np.load(store.get("citation-cosines", key, measure) / "cosines.npy")
    names = np.array(diseases)
    return round(float(np.quantile(cosines[names[:, None] != names], 1 - _CHANCE)), 4)


def _sample_citations() -> tuple[list[str], list[str], list[str]]:
    """Return disease, sentence and excerpt of each citation of the sample's rationales."""
    infos = load_entity_info(_SAMPLE / "entities.tsv")
    passages = {row["id"]: row["text"] for row in _lines("passages.jsonl")}
    found: list[tuple[str, str, str]] = []
    for row in _lines("rationales.jsonl"):
        ids = (row["disease"], row["relevant"], row["irrelevant"])
        wanted = [name_pattern(spoken_names(entity, infos.get(entity))) for entity in ids]
        for sentence in sentences(row["rationale"]):
            for passage in cited(sentence):
                shown = excerpt(passages[passage], wanted, _EXCERPT)
                found.append((row["disease"], without_citations(sentence), shown))
    diseases, said, texts = (list(column) for column in zip(*found, strict=True))
    return diseases, said, texts


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_SAMPLE / name).read_text(encoding="utf-8").splitlines()]


def _cosines(encoder: Encoder, said: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the cosine of each sentence with its text, ``(texts,)``; a text is embedded once."""
    each = list(dict.fromkeys(texts))
    row = {text: at for at, text in enumerate(each)}
    vectors = _unit(encoder.encode(each))[[row[text] for text in texts]]
    return np.asarray((_unit(encoder.encode_queries(said)) * vectors).sum(axis=1))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors at length 1; models that are compared by the dot product give others."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, np.finfo(np.float32).tiny))
