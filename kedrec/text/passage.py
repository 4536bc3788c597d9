"""A passage: the unit that is retrieved and cited."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document, the unit that is retrieved and cited.

    Attributes:
        id: the document's id; from the second passage of a document on with ``#2``, ``#3``, ... behind it.
        document: the document's id.
        source: the document's source, e.g. ``clinical_trials``.
        title: the document's title.
        text: one or more whole sentences.
        date: the document's date.
        license: the document's terms.
        url: where a reader finds the document.
    """

    id: str
    document: str
    source: str
    title: str
    text: str
    date: str = ""
    license: str = ""
    url: str = ""

    @property
    def titled_text(self) -> str:
        """Title and text, which are embedded together, so that each passage of a document carries its subject."""
        end = "" if not self.title or self.title[-1] in ".?!" else "."
        return f"{self.title}{end} {self.text}".strip()
