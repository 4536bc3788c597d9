"""Turns PubMed's XML into documents: abstracts of articles and of book chapters."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kedrec.sources.text.dates import earliest, iso_date
from kedrec.sources.text.documents import Document
from kedrec.sources.text.markup import flat_text, local_name

if TYPE_CHECKING:
    from lxml import etree

_RETRACTED = "D016441"  # MeSH's id of the publication type Retracted Publication
_YEAR, _MONTH = re.compile(r"\b\d{4}\b"), re.compile(r"\b[A-Z][a-z]{2}")


@dataclass(frozen=True, slots=True)
class Record:
    """One publication in PubMed.

    Attributes:
        pmid: its number in PubMed.
        document: its abstract; ``None`` if there is no usable one.
        reason: why there is no document; else empty.
    """

    pmid: str
    document: Document | None
    reason: str = ""


def parse_records(root: "etree._Element") -> list[Record]:
    """Return the records of a ``PubmedArticleSet``, in order.

    A document's id is the PMC id if there is one, else ``PMID`` and the number. A labelled part of an abstract becomes
    a paragraph ``LABEL: text``. The date is the earlier of print and electronic publication, possibly partial; of a
    range of dates the last one; of a book chapter, which its authors update, the last revision. A retracted article
    gives no document.

    Raises:
        ValueError: a record has no PubMed number.
    """
    kinds = {"PubmedArticle": _article, "PubmedBookArticle": _chapter}
    return [kinds[name](record) for record in root if (name := local_name(record)) in kinds]


def _article(record: "etree._Element") -> Record:
    citation = record.find("MedlineCitation")
    article = None if citation is None else citation.find("Article")
    if citation is None or article is None:
        raise ValueError("a PubmedArticle without MedlineCitation or Article")
    types = article.findall("PublicationTypeList/PublicationType")
    if any(one.get("UI") == _RETRACTED for one in types):
        return Record(_pmid(citation), None, "retracted")
    dates = [_date(one) for one in (article.find("Journal/JournalIssue/PubDate"), *article.findall("ArticleDate"))]
    ids = record.find("PubmedData/ArticleIdList")
    return _record(_pmid(citation), ids, flat_text(article.find("ArticleTitle")), article, earliest(dates))


def _chapter(record: "etree._Element") -> Record:
    chapter = record.find("BookDocument")
    if chapter is None:
        raise ValueError("a PubmedBookArticle without a BookDocument")
    title = flat_text(chapter.find("ArticleTitle")) or flat_text(chapter.find("Book/BookTitle"))
    dates = (_date(chapter.find(name)) for name in ("DateRevised", "ContributionDate", "Book/PubDate"))
    return _record(_pmid(chapter), chapter.find("ArticleIdList"), title, chapter, next(filter(None, dates), ""))


def _record(pmid: str, ids: "etree._Element | None", title: str, holder: "etree._Element", date: str) -> Record:
    paragraphs = [_paragraph(part) for part in holder.findall("Abstract/AbstractText")]
    text = "\n\n".join(filter(None, paragraphs))
    if not text:
        return Record(pmid, None, "no abstract")
    found = [] if ids is None else [one.text or "" for one in ids if one.get("IdType") == "pmc"]
    pmcid = next((one.strip() for one in found if re.fullmatch(r"\s*PMC\d+\s*", one)), "")
    where = f"https://pmc.ncbi.nlm.nih.gov/articles/{pmcid}/" if pmcid else f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/"
    document = Document(
        id=pmcid or f"PMID{pmid}",
        source="pmc",
        title=title,
        text=text,
        date=date,
        license="PubMed abstract; the publisher's terms may apply",
        url=where,
    )
    return Record(pmid, document)


def _pmid(citation: "etree._Element") -> str:
    pmid = citation.findtext("PMID", "").strip()
    if not pmid.isdecimal():
        raise ValueError("a record without a PMID")
    return pmid


def _paragraph(part: "etree._Element") -> str:
    text, label = flat_text(part), part.get("Label", "").strip()
    return f"{label}: {text}" if text and label not in ("", "UNLABELLED") else text


def _date(element: "etree._Element | None") -> str:
    if element is None:
        return ""
    if written := element.findtext("MedlineDate", ""):  # "1998 Dec-1999 Jan", "2000 Spring"
        years, months = _YEAR.findall(written), _MONTH.findall(written)
        return iso_date(years[-1], months[-1] if months else "") if years else ""
    return iso_date(*(element.findtext(name, "").strip() for name in ("Year", "Month", "Day")))
