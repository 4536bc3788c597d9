"""Citations scored by models: whether the passage is similar to the citing sentence, and whether it entails it."""

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


def judged_answers(rows: Sequence[Mapping[str, Any]], encoder: str | None, entailment: str | None) -> dict[str, float]:
    """Return `judged_citations` of the rows of a test, ``test/NAME`` -> number; empty without citations.

    Args:
        rows: predictions.
        encoder: name of a bi-encoder; ``None`` scores no citations.
        entailment: name of an NLI model; ``None`` for none.
    """
    if encoder is None or not any(checked_citations(row) for row in rows if "rationale" in row):
        return {}
    nli = Entailment(entailment) if entailment is not None else None
    found = judged_citations(rows, Encoder(encoder), nli)
    return {f"test/{name}": value for name, value in found.items()}


def judged_citations(
    rows: Sequence[Mapping[str, Any]], encoder: Encoder | None = None, entailment: Entailment | None = None
) -> dict[str, float]:
    """Return the shares of citations that are supported according to models.

    Args:
        rows: predictions, as `kedrec.evaluation.citation_metrics.citing_metrics` takes them.
        encoder: measures similarity; ``None`` leaves it out.
        entailment: an NLI model; ``None`` leaves it out.

    Returns:
        ``citation_embedding_support``: share of the citations that exist and whose sentence and text have a cosine of
        ``citation_embedding_threshold`` or more, see `likeness_threshold`. ``citation_entailment``: share that exist
        and whose text entails the sentence with a probability above 0.5. Both with their 95 % interval ``_low``,
        ``_high``, diseases resampled whole; none where no citation was made.
    """
    found: dict[str, float] = {}
    made = judge_citations(rows, encoder, entailment)
    if encoder is not None and made:
        least = likeness_threshold(encoder, Store())
        found |= shares("citation_embedding_support", made, lambda one: (one.similarity or 0.0) >= least and one.shown)
        found["citation_embedding_threshold"] = least
    if entailment is not None:
        found |= shares("citation_entailment", made, lambda one: (one.entailed or 0.0) > _ENTAILED)
    return found


def judge_citations(
    rows: Sequence[Mapping[str, Any]], encoder: Encoder | None = None, entailment: Entailment | None = None
) -> list[Citation]:
    """Return the citations of all rationales, with the scores of the models if the prompt has the cited text."""
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


def likeness_threshold(encoder: Encoder, store: Store) -> float:
    """Return the cosine that 5 % of sentences reach against excerpts that were chosen for another disease.

    Cosines of different encoders are not comparable. The threshold comes from the sample, from the 717 citing sentences
    of its rationales and the excerpts that they cite. For all-MiniLM-L6-v2 it is 0.35: 93 % of the sentences reach it
    against the excerpts that they cite, and 58 % against other excerpts on the same disease. So it detects texts off
    the topic, but not false statements about a drug.

    Args:
        encoder: whose cosines.
        store: keeps the cosines of the sample.
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
