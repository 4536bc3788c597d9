"""Whether rationales are faithful: each citation is one of a passage that was shown, and that says what is said."""

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
        disease: id of the disease that the rationale is on.
        written: what stands between the brackets, such as ``2``.
        sentence: that cites, brackets taken out.
        passage: id of the passage that has this number; ``None`` where there is none.
        text: what was shown of it; empty where it was cut away, or there is none.
        supported: the text shares content with the sentence, as `supports` measures: names alone do not count.
        misattributed: the sentence says of one of the two drugs what the text says of the other: it names drugs, the
            text does too, and none of the same.
        similarity: cosine of sentence and text by an encoder, where one was asked.
        entailed: probability that the text entails the sentence by an NLI model, where one was asked.
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
        """Whether it cites anything."""
        return self.passage is not None

    @property
    def shown(self) -> bool:
        """Whether there was anything to read of what it cites."""
        return bool(self.text.strip())


def checked_citations(row: Mapping[str, Any], rationale: str = "rationale") -> list[Citation]:
    """Return the citations of a rationale, each checked; one after a full stop is of the sentence before it.

    Args:
        row: prediction with ``pair``, ``disease``, ``drugs``, ``passages`` (ids, from number 1 on), ``texts`` (what was
            shown of each) and a rationale.
        rationale: the row's field; ``reference`` checks the teacher's against what the model was shown.
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
