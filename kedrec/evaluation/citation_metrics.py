"""Faithfulness of rationales: whether each citation is of a passage in the prompt that supports the sentence."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kedrec.evaluation.bootstrap import with_interval
from kedrec.evaluation.choice_metrics import disease_of
from kedrec.text.citations import before_stops, cited, supports, without_citations
from kedrec.text.sentences import sentences


@dataclass(frozen=True)
class Citation:
    """A citation of a rationale, checked.

    Attributes:
        disease: id of the disease of the rationale.
        written: the text between the brackets, such as ``2``.
        sentence: the citing sentence without brackets.
        passage: id of the passage with this number; ``None`` if there is none.
        text: the part of the passage in the prompt; empty if it was cut off, or if there is no passage.
        supported: whether the text shares content with the sentence, see `supports`; names alone do not count.
        misattributed: whether the sentence attributes to one drug what the text states of the other: both name drugs,
            but none in common.
        similarity: cosine of sentence and text by an encoder, if one is used.
        entailed: probability that the text entails the sentence by an NLI model, if one is used.
    """

    disease: str
    written: str
    sentence: str
    passage: str | None
    text: str
    supported: bool
    misattributed: bool
    similarity: float | None = None
    entailed: float | None = None

    @property
    def exists(self) -> bool:
        """Whether the cited passage exists."""
        return self.passage is not None

    @property
    def shown(self) -> bool:
        """Whether the prompt has any text of the cited passage."""
        return bool(self.text.strip())


def checked_citations(row: Mapping[str, Any], rationale: str = "rationale") -> list[Citation]:
    """Return the checked citations of a rationale; one after a full stop belongs to the sentence before it.

    Args:
        row: prediction with ``pair``, ``disease``, ``drugs``, ``passages`` (ids, numbered from 1), ``texts`` (their
            parts in the prompt) and a rationale.
        rationale: field of the rationale; ``reference`` checks the teacher's against the texts of the prompt.
    """
    names = " ".join((*row["drugs"], row["disease"]))
    disease = disease_of(row)
    shown = {str(number): found for number, found in enumerate(zip(row["passages"], row["texts"], strict=True), 1)}

    def check(sentence: str, written: str) -> Citation:
        passage, text = shown.get(written, (None, ""))
        bare = without_citations(sentence).strip()
        told, read = (_named(row["drugs"], part) for part in (bare, text))
        apart = bool(told and read) and not told & read
        return Citation(disease, written, bare, passage, text, supports(bare, text, names), apart)

    said = sentences(before_stops(row[rationale]))
    return [check(sentence, written) for sentence in said for written in dict.fromkeys(cited(sentence))]


def citation_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return how well the cited passages support the rationales.

    The teacher may have read more than the excerpts that the student is shown. The metrics of the teacher's citations
    against these excerpts are returned too: a model that repeats its teacher word by word gets them.

    Args:
        rows: predictions; those with a ``rationale`` count, with the fields that `checked_citations` reads and
            ``reference``.

    Returns:
        ``citation_support``: share of citations that exist and support their sentence; absent without citations.
        ``citation_misattribution``: share of citations whose sentence names one of the two drugs and whose passage
        names only the other. ``all_citations_supported``: share of rationales with at least one citation whose
        citations are all supported; absent where no passage was shown. ``NAME_reference``: the same of the teacher's
        rationales. Each with its 95 % interval ``_low``, ``_high``, whole diseases resampled.
    """
    explained = [row for row in rows if "rationale" in row]
    found: dict[str, float] = {}
    for field, ending in (("rationale", ""), ("reference", "_reference")):
        checked = [checked_citations(row, field) for row in explained]
        made = [citation for citations in checked for citation in citations]
        found |= shares(f"citation_support{ending}", made, lambda citation: citation.supported)
        found |= shares(f"citation_misattribution{ending}", made, lambda citation: citation.misattributed)
        if any(row["passages"] for row in explained):
            found |= with_interval(
                f"all_citations_supported{ending}",
                zip(explained, checked, strict=True),
                lambda one: disease_of(one[0]),
                lambda one: (bool(one[1]) and all(citation.supported for citation in one[1]), 1),
            )
    return found


def _named(drugs: Sequence[str], text: str) -> set[str]:
    """Return the drugs that a text names, by whole words."""
    return {drug for drug in drugs if re.search(rf"(?<!\w){re.escape(drug)}(?!\w)", text, re.IGNORECASE)}


def shares(name: str, made: Sequence[Citation], good: Callable[[Citation], bool]) -> dict[str, float]:
    """Return the share of citations that are good, ``NAME``, with ``NAME_low`` and ``NAME_high``; none without any."""
    if not made:
        return {}
    return with_interval(name, made, lambda citation: citation.disease, lambda citation: (good(citation), 1))
