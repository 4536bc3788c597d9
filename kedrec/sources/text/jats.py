"""Turns an article in JATS, the XML of PubMed Central, into a document.

The document has the title, the abstract and the sections of the body, in order, one paragraph each; a heading is a
paragraph that ends with a full stop. These are left out: tables and figures with their captions, which say little
without the table or figure; references and citation marks; footnotes; sections on authors and files (contributions,
interests, funding); and everything after the body (acknowledgements, appendices).
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kedrec.sources.text.dates import earliest, iso_date
from kedrec.sources.text.documents import Document
from kedrec.sources.text.markup import flat_text, inline_piece, local_name, parse_xml, tidy

if TYPE_CHECKING:
    from lxml import etree

_BLOCKS = frozenset(
    """
    sec p title list list-item def-list def-item def term disp-quote boxed-text verse-group verse-line statement speech
    preformat
    """.split()  # noqa: SIM905
)
_SKIPPED = frozenset(("supplementary-material", "ref-list", "COI-statement", "display-objects"))  # kinds of sections
_ASIDE = re.compile(
    r"(authors?'? contributions?|(declaration of )?(competing|conflicts? of|conflicting) interests?|disclosures?|"
    r"acknowledge?ments?|funding( statement)?|pre-publication history|supporting information|supplementary materials?|"
    r"additional files?|data availability( statement)?|availability of data and materials?)[.:]?",
    re.IGNORECASE,
)
_PUBLISHED = frozenset(("epub", "ppub", "epub-ppub", "pub"))
_NOT_PUBLIC = frozenset(("nihms-submitted", "received", "accepted", "rev-recd", "collection"))
_HREF = "{http://www.w3.org/1999/xlink}href"


def parse(xml: bytes) -> Document:
    """Return the article of a JATS or NLM file, by itself or inside an answer of efetch or OAI.

    The date is the earlier of print and electronic publication, ISO, possibly partial. The licence is the address of a
    Creative Commons licence if there is one, else the licence's text. The text is empty if the article has neither
    abstract nor body.

    Raises:
        ValueError: the file is not XML, holds no article, or the article has no PMC id.
    """
    root = parse_xml(xml)
    article = root if local_name(root) == "article" else next(root.iter("{*}article"), None)
    meta = None if article is None else article.find("{*}front/{*}article-meta")
    if article is None or meta is None:
        raise ValueError(f"it holds no article; its root element is {local_name(root)!r}")
    pmcid = _pmcid(meta)
    paragraphs = [*_abstract(meta)]
    if (body := article.find("{*}body")) is not None:
        paragraphs += _paragraphs(body)
    return Document(
        id=pmcid,
        source="pmc",
        title=flat_text(meta.find("{*}title-group/{*}article-title")),
        text="\n\n".join(paragraphs),
        date=_date(meta),
        license=_license(meta),
        url=f"https://pmc.ncbi.nlm.nih.gov/articles/{pmcid}/",
    )


def _pmcid(meta: "etree._Element") -> str:
    for element in meta.findall("{*}article-id"):
        if element.get("pub-id-type") in ("pmc", "pmcid"):
            found = re.fullmatch(r"(?:PMC)?(\d+)(?:\.\d+)?", (element.text or "").strip())
            if found:
                return f"PMC{found[1]}"
    raise ValueError("the article has no PMC id")


def _abstract(meta: "etree._Element") -> Iterator[str]:
    """Yield the paragraphs of the abstract; of several, the first without a type (lay summaries have a type)."""
    found = meta.findall("{*}abstract")
    if found:
        yield from _paragraphs(next((one for one in found if not one.get("abstract-type")), found[0]))


def _paragraphs(element: "etree._Element") -> Iterator[str]:
    line = [element.text or ""]
    for child in element:
        name = local_name(child)
        if name not in _BLOCKS:
            line.append(inline_piece(child, "".join(line[-3:])))
        elif not _aside(child):
            yield from _ended(line, element)
            line = []
            yield from _paragraphs(child)
        line.append(child.tail or "")
    yield from _ended(line, element)


def _aside(block: "etree._Element") -> bool:
    """Whether a section is about the article rather than its subject."""
    heading = flat_text(block.find("{*}title")).replace("\u2019", "'")
    return local_name(block) == "sec" and (block.get("sec-type") in _SKIPPED or bool(_ASIDE.fullmatch(heading)))


def _ended(line: list[str], element: "etree._Element") -> Iterator[str]:
    """Yield the finished line as a paragraph, if it holds a word."""
    text = tidy("".join(line))
    heading = local_name(element) == "title"
    if re.search(r"\w", text) and not (heading and text.lower().strip(".:") == "abstract"):
        yield f"{text}." if heading and text[-1] not in ".:?!" else text


def _date(meta: "etree._Element") -> str:
    kinds: dict[str, list[str]] = {}
    for element in meta.findall("{*}pub-date"):
        parts = (element.findtext(f"{{*}}{name}", "").strip() for name in ("year", "month", "day"))
        kind = element.get("pub-type") or element.get("date-type") or "pub"
        kinds.setdefault(kind, []).append(iso_date(*parts))
    published = [date for kind, dates in kinds.items() if kind in _PUBLISHED for date in dates]
    others = [date for kind, dates in kinds.items() if kind not in _PUBLISHED | _NOT_PUBLIC for date in dates]
    return earliest(published) or earliest(others) or earliest(kinds.get("collection", []))


def _license(meta: "etree._Element") -> str:
    """Return the address of a Creative Commons licence, else the text of the licence or the copyright."""
    licenses = meta.findall("{*}permissions/{*}license")
    addresses = [
        address.strip()
        for one in licenses
        for element in one.iter()
        for address in (element.get(_HREF), element.text if local_name(element) == "license_ref" else None)
        if address
    ]
    if common := [address for address in addresses if "creativecommons.org" in address]:
        return common[0]
    statements = ("{*}permissions/{*}copyright-statement", "{*}copyright-statement")
    texts = [flat_text(one) for one in licenses] + [flat_text(meta.find(path)) for path in statements]
    return next((text for text in (*texts, *addresses) if text), "")
