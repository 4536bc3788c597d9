"""Searches PubMed with NCBI's E-utilities and fetches the abstracts of the records.

It uses httpx and lxml instead of Biopython's Entrez, which limits its rate with a global variable, accepts a truncated
answer, and writes DTDs into a folder of the user's.

NCBI allows 3 requests a second, 10 with a key, requires ``tool`` and ``email`` in each, and returns only the first
9,999 records of a PubMed search. A larger search is split by entry date until each part is smaller. The parts are
fetched from the history server. The numbers of their records are saved first: a later process, for which the history
server no longer has the search, posts the missing numbers and gets the same records.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kedrec.errors import KedrecError
from kedrec.runtime.progress import tell
from kedrec.sources.http.responses import without_secrets
from kedrec.sources.text.dates import check_cut_off, surely_before
from kedrec.sources.text.harvest import Harvest
from kedrec.sources.text.markup import local_name, parse_xml
from kedrec.sources.text.pubmed import Record, parse_records

if TYPE_CHECKING:
    from lxml import etree

    from kedrec.sources.http.client import Web

log = logging.getLogger(__name__)

EUTILS = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
LIMIT = 9_999  # most records of one PubMed search that NCBI returns
_FIRST, _LAST = date(1700, 1, 1), date(2100, 12, 31)  # bounds of the entry dates of all records
_KEY = "NCBI_API_KEY"
T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """A set of records on NCBI's history server.

    Attributes:
        webenv, query_key: address of the set there.
        pmids: numbers of its records, in the server's order, at most `LIMIT`.
    """

    webenv: str
    query_key: str
    pmids: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """A client of the E-utilities.

    The environment's ``NCBI_API_KEY`` is sent in the form of each request and never appears in a message.

    Attributes:
        web: HTTP client, limited to `rate`.
        email: the user's address, for NCBI.
        tool: the program's name, for NCBI.
        url: address in front of the utilities' names.
    """

    web: "Web"
    email: str
    tool: str = "kedrec"
    url: str = EUTILS

    def __post_init__(self) -> None:
        if "@" not in self.email:
            raise KedrecError(
                f"email: {self.email!r} is not an e-mail address; NCBI requires that of the user who searches"
            )

    def ask(self, utility: str, parse: Callable[["etree._Element"], T], **form: str) -> T:
        """Return ``parse`` of the XML that a utility returns.

        Raises:
            KedrecError: as `Web`; an error that NCBI reports with status 200 is retried first.
        """
        key = os.environ.get(_KEY)
        common = {"db": "pubmed", "retmode": "xml", "tool": self.tool, "email": self.email}
        secret = {"api_key": key} if key else {}  # `Web` never shows this parameter in messages
        return self.web.post(
            f"{self.url}/{utility}.fcgi", lambda body: parse(_checked(body)), {**common, **form, **secret}
        )


def rate() -> float:
    """Return NCBI's limit of requests per second: 10 with ``NCBI_API_KEY`` in the environment, else 3."""
    return 10.0 if os.environ.get(_KEY) else 3.0


def search(service: Service, term: str, *, before: str | None = None, most: int | None = None) -> list[Found]:
    """Search PubMed; return the records as sets of at most `LIMIT` on the history server, none if nothing matches.

    Args:
        service: client of the E-utilities.
        term: query in PubMed's syntax.
        before: cut-off date ``YYYY-MM-DD``; only earlier publications match.
        most: maximal number of records, those that PubMed ranks first; ``None`` for all.

    Raises:
        KedrecError: as `Service.ask`, or more than `LIMIT` records were entered on one day.
    """
    term = _dated(term, before, most)
    if most is not None:
        count, first = service.ask(
            "esearch", _found(most), term=term, usehistory="y", retmax=str(most), sort="relevance"
        )
        return [first] if count else []
    count, found = _search_between(service, term, None)
    received = sum(len(part.pmids) for part in found)
    if received < count:
        log.warning("PubMed counts %d records for %r but returns %d", count, term, received)
    return found


def _dated(term: str, before: str | None, most: int | None) -> str:
    """Return the query with its cut-off date.

    Raises:
        KedrecError: the query is empty, or ``most`` is out of range.
    """
    if most is not None and not 1 <= most <= LIMIT:
        raise KedrecError(
            f"most: {most} is out of range; expected 1 to {LIMIT:,}, the most that NCBI returns of a search"
        )
    if not term.strip():
        raise KedrecError("term: the PubMed query is empty; expected one such as 'metformin AND diabetes mellitus'")
    if before is None:
        return term
    last = check_cut_off(before).strftime("%Y/%m/%d")
    return f'({term}) AND ("1000/01/01"[Date - Publication] : "{last}"[Date - Publication])'


def _search_between(service: Service, term: str, days: tuple[date, date] | None) -> tuple[int, list[Found]]:
    """Return the number of records entered between two days, and the sets that hold them."""
    form = {"term": term, "usehistory": "y", "retmax": str(LIMIT)}
    if days is not None:
        form |= {"datetype": "edat", "mindate": f"{days[0]:%Y/%m/%d}", "maxdate": f"{days[1]:%Y/%m/%d}"}
    count, found = service.ask("esearch", _found(LIMIT), **form)
    if count <= LIMIT:
        return count, [found] if count else []
    first, last = days or (_FIRST, _LAST)
    if first == last:
        raise KedrecError(
            f"term: {count:,} records of {term!r} were entered on {first}, more than the {LIMIT:,} that NCBI returns; "
            "use a narrower query"
        )
    middle = first + (last - first) // 2
    halves = ((first, middle), (middle + timedelta(days=1), last))
    return count, [part for half in halves for part in _search_between(service, term, half)[1]]


def post(service: Service, pmids: Sequence[str]) -> list[Found]:
    """Put records on the history server, in sets of at most `LIMIT`."""
    sets = [tuple(pmids[start : start + LIMIT]) for start in range(0, len(pmids), LIMIT)]
    return [Found(*service.ask("epost", _address, id=",".join(part)), part) for part in sets]


def fetch_abstracts(service: Service, found: Found, *, size: int = 200) -> Iterator[list[Record]]:
    """Yield the records of a set, page by page.

    Args:
        service: client of the E-utilities.
        found: a set on its history server.
        size: records per page.
    """
    for start in range(0, len(found.pmids), size):
        page = {"retstart": str(start), "retmax": str(min(size, len(found.pmids) - start))}
        place = {"WebEnv": found.webenv, "query_key": found.query_key}
        yield service.ask("efetch", _records, rettype="xml", **place, **page)


def fetch(
    service: Service,
    term: str,
    folder: Path,
    *,
    before: str | None = None,
    most: int | None = None,
    size: int = 200,
) -> Path:
    """Write the abstracts of a PubMed query into a folder; return its ``documents.jsonl``.

    Records that an interrupted process fetched are reused (see `Harvest`); a finished folder is not changed.
    ``harvest.json`` lists the records without a document: no abstract, retracted, not certainly before the cut-off
    date, or not returned by NCBI.

    Args:
        service: client of the E-utilities.
        term: query in PubMed's syntax.
        folder: where the documents are written.
        before: cut-off date ``YYYY-MM-DD``; documents that are not certainly older are left out.
        most: maximal number of records, those that PubMed ranks first; ``None`` for all.
        size: records per page.

    Raises:
        KedrecError: as `search` and `Harvest`.
    """
    _dated(term, before, most)  # check the query before the folder is made
    request = {"source": "pubmed", "term": term, "before": before, "most": most, "url": without_secrets(service.url)}
    harvest = Harvest(folder, request)
    if harvest.finished:
        return harvest.documents
    sets: list[Found] = []
    if "search" not in harvest:
        sets = search(service, term, before=before, most=most)
        pmids = {pmid for found in sets for pmid in found.pmids}
        harvest.keep("search", facts={"pmids": sorted(pmids, key=int)})
    pmids_of_search = dict.fromkeys(harvest.pieces["search"]["pmids"])
    received = {pmid for facts in harvest.pieces.values() for pmid in facts.get("there", ())}
    for _ in range(2):  # NCBI sometimes leaves records out of a page; they are requested once more
        for found in sets or post(service, _missing(pmids_of_search, received)):
            for records in fetch_abstracts(service, found, size=size):
                asked_for = [record for record in records if record.pmid in pmids_of_search]
                _keep(harvest, asked_for, before)
                received |= {record.pmid for record in asked_for}
                tell("PubMed records", len(received), len(pmids_of_search))
        sets = []
    return harvest.finish({f"PMID{pmid}": "not returned by NCBI" for pmid in _missing(pmids_of_search, received)})


def _keep(harvest: Harvest, records: Sequence[Record], before: str | None) -> None:
    documents = {record.pmid: record.document for record in records if record.document is not None}
    left_out = {f"PMID{record.pmid}": record.reason for record in records if record.document is None}
    for pmid, document in list(documents.items()):
        if before is not None and not surely_before(document.date, before):
            left_out[f"PMID{pmid}"] = f"not surely before {before}"
            del documents[pmid]
    pmids = [record.pmid for record in records]
    harvest.keep(f"records {len(harvest.pieces)}", documents.values(), left_out, {"there": pmids})


def _missing(pmids_of_search: Iterable[str], received: Set[str]) -> list[str]:
    return [pmid for pmid in pmids_of_search if pmid not in received]


def _checked(body: bytes) -> "etree._Element":
    """Return the root of an answer; raise if it reports an error with status 200."""
    if body.lstrip().startswith(b"{"):
        raise ValueError(f"NCBI reports: {body.decode(errors='replace').strip():.300}")
    root = parse_xml(body)
    if errors := [text.strip() for element in root.iter("ERROR", "Error") if (text := element.text or "").strip()]:
        raise ValueError(f"NCBI reports: {errors[0]:.300}")
    return root


def _address(root: "etree._Element") -> tuple[str, str]:
    webenv, key = root.findtext("WebEnv", "").strip(), root.findtext("QueryKey", "").strip()
    if not webenv or not key:
        raise ValueError(f"<{local_name(root)}> without WebEnv and QueryKey")
    return webenv, key


def _found(most: int) -> Callable[["etree._Element"], tuple[int, Found]]:
    """Return a parser of a search's answer: the number of records, and the set of the first ``most``."""

    def read(root: "etree._Element") -> tuple[int, Found]:
        if local_name(root) != "eSearchResult" or not root.findtext("Count", "").strip().isdecimal():
            raise ValueError(f"<{local_name(root)}> is not the answer of a search; expected <eSearchResult>")
        count = int(root.findtext("Count", ""))
        for unknown in root.findall("ErrorList/PhraseNotFound"):
            log.warning("PubMed does not know the phrase %r of the query", unknown.text)
        pmids = tuple((one.text or "").strip() for one in root.findall("IdList/Id"))
        if len(pmids) != min(count, most):
            raise ValueError(f"{len(pmids):,} record numbers, expected {min(count, most):,}")
        return count, Found(*(_address(root) if count else ("", "")), pmids)

    return read


def _records(root: "etree._Element") -> list[Record]:
    if local_name(root) != "PubmedArticleSet":
        raise ValueError(f"<{local_name(root)}> instead of <PubmedArticleSet>")
    return parse_records(root)
