"""PubMed by NCBI's E-utilities: a search, and the abstracts of what it finds.

Over httpx and lxml rather than Biopython's Entrez: that one paces itself by a global, takes a cut answer for a whole
one, and reads a DTD into a folder of the user's to parse with.

NCBI allows 3 requests a second, 10 with a key, wants ``tool`` and ``email`` with each, and gives no more than the first
9,999 records of a PubMed search: a larger one is cut by date of entry until each part is smaller. A part is fetched
from the history server; the numbers of its records are noted first, so that a later process, for which that server has
forgotten the search, posts what is missing and gets the same set.
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
LIMIT = 9_999  # records of one PubMed search that NCBI gives
_FIRST, _LAST = date(1700, 1, 1), date(2100, 12, 31)  # days of entry that any record can have
_KEY = "NCBI_API_KEY"
T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """A set of records on NCBI's history server.

    Attributes:
        webenv, query_key: the set's address there.
        pmids: the numbers of its records, in the order in which the server gives them, at most `LIMIT`.
    """

    webenv: str
    query_key: str
    pmids: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """The E-utilities as one user asks them.

    The key ``NCBI_API_KEY`` of the environment is sent with each request, in the form, and stands in no message.

    Attributes:
        web: a client whose rate is at most `rate`.
        email: where NCBI can reach the user.
        tool: the program's name, for NCBI.
        url: the address that the names of the utilities are put behind.
    """

    web: "Web"
    email: str
    tool: str = "kedrec"
    url: str = EUTILS

    def __post_init__(self) -> None:
        if "@" not in self.email:
            raise KedrecError(f"email: {self.email!r} is not an address; NCBI asks for one of the user who searches")

    def ask(self, utility: str, parse: Callable[["etree._Element"], T], **form: str) -> T:
        """Return ``parse`` of the XML that a utility answers.

        Raises:
            KedrecError: as `Web`; what NCBI says in an answer of status 200 is asked again before it is an error.
        """
        key = os.environ.get(_KEY)
        common = {"db": "pubmed", "retmode": "xml", "tool": self.tool, "email": self.email}
        secret = {"api_key": key} if key else {}  # a parameter that `Web` keeps out of its messages
        return self.web.post(
            f"{self.url}/{utility}.fcgi", lambda body: parse(_checked(body)), {**common, **form, **secret}
        )


def rate() -> float:
    """Return the requests a second that NCBI allows: 10 with ``NCBI_API_KEY`` in the environment, else 3."""
    return 10.0 if os.environ.get(_KEY) else 3.0


def search(service: Service, term: str, *, before: str | None = None, most: int | None = None) -> list[Found]:
    """Find the records of a PubMed query, as sets of at most `LIMIT` on the history server; of none, no set.

    Args:
        service: whom to ask.
        term: in PubMed's syntax.
        before: a day ``YYYY-MM-DD``; only what was published earlier is found.
        most: so many records at most, those that PubMed ranks first; ``None`` takes all.

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
    there = sum(len(part.pmids) for part in found)
    if there < count:
        log.warning("PubMed counts %d records for %r and gives %d", count, term, there)
    return found


def _dated(term: str, before: str | None, most: int | None) -> str:
    """Return the query with its cut-off, if what is asked for can be asked for."""
    if most is not None and not 1 <= most <= LIMIT:
        raise KedrecError(f"most: {most} is out of range; NCBI gives 1 to {LIMIT:,} records of a search")
    if not term.strip():
        raise KedrecError("term: the PubMed query is empty; expected one such as 'metformin AND diabetes mellitus'")
    if before is None:
        return term
    last = check_cut_off(before).strftime("%Y/%m/%d")
    return f'({term}) AND ("1000/01/01"[Date - Publication] : "{last}"[Date - Publication])'


def _search_between(service: Service, term: str, days: tuple[date, date] | None) -> tuple[int, list[Found]]:
    """Return how many records were entered on these days, and the sets that hold them."""
    form = {"term": term, "usehistory": "y", "retmax": str(LIMIT)}
    if days is not None:
        form |= {"datetype": "edat", "mindate": f"{days[0]:%Y/%m/%d}", "maxdate": f"{days[1]:%Y/%m/%d}"}
    count, found = service.ask("esearch", _found(LIMIT), **form)
    if count <= LIMIT:
        return count, [found] if count else []
    first, last = days or (_FIRST, _LAST)
    if first == last:
        raise KedrecError(f"{count:,} records of {term!r} were entered on {first}; NCBI gives {LIMIT:,}: narrow it")
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
        service: whom to ask.
        found: a set on its history server.
        size: records a page.
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
    """Fill a folder with the abstracts of a PubMed query and return its ``documents.jsonl``.

    What a killed process had fetched is kept (see `Harvest`); a folder that is finished is left as it is.
    ``harvest.json`` lists the numbers that gave no document: no abstract, retracted, not surely before the cut-off,
    not returned by NCBI. A query that finds nothing gives no documents.

    Args:
        service: whom to ask.
        term: in PubMed's syntax.
        folder: where to work.
        before: a day ``YYYY-MM-DD``; a document whose date is not surely earlier is left out.
        most: so many records at most, those that PubMed ranks first; ``None`` takes all.
        size: records a page.

    Raises:
        KedrecError: as `search` and `Harvest`.
    """
    _dated(term, before, most)  # a query that is wrong must not begin the folder
    asked = {"source": "pubmed", "term": term, "before": before, "most": most, "url": without_secrets(service.url)}
    harvest = Harvest(folder, asked)
    if harvest.finished:
        return harvest.documents
    sets: list[Found] = []
    if "search" not in harvest:
        sets = search(service, term, before=before, most=most)
        pmids = {pmid for found in sets for pmid in found.pmids}
        harvest.keep("search", facts={"pmids": sorted(pmids, key=int)})
    wanted = dict.fromkeys(harvest.pieces["search"]["pmids"])
    there = {pmid for facts in harvest.pieces.values() for pmid in facts.get("there", ())}
    for _ in range(2):  # NCBI gives a page now and then without some of its records; they are asked for once more
        for found in sets or post(service, _missing(wanted, there)):
            for records in fetch_abstracts(service, found, size=size):
                asked_for = [record for record in records if record.pmid in wanted]
                _keep(harvest, asked_for, before)
                there |= {record.pmid for record in asked_for}
                tell("PubMed records", len(there), len(wanted))
        sets = []
    return harvest.finish({f"PMID{pmid}": "not returned by NCBI" for pmid in _missing(wanted, there)})


def _keep(harvest: Harvest, records: Sequence[Record], before: str | None) -> None:
    documents = {record.pmid: record.document for record in records if record.document is not None}
    left_out = {f"PMID{record.pmid}": record.reason for record in records if record.document is None}
    for pmid, document in list(documents.items()):
        if before is not None and not surely_before(document.date, before):
            left_out[f"PMID{pmid}"] = f"not surely before {before}"
            del documents[pmid]
    pmids = [record.pmid for record in records]
    harvest.keep(f"records {len(harvest.pieces)}", documents.values(), left_out, {"there": pmids})


def _missing(wanted: Iterable[str], there: Set[str]) -> list[str]:
    return [pmid for pmid in wanted if pmid not in there]


def _checked(body: bytes) -> "etree._Element":
    """Return the root of an answer that is not an error in the dress of one."""
    if body.lstrip().startswith(b"{"):
        raise ValueError(f"NCBI says: {body.decode(errors='replace').strip():.300}")
    root = parse_xml(body)
    if errors := [text.strip() for element in root.iter("ERROR", "Error") if (text := element.text or "").strip()]:
        raise ValueError(f"NCBI says: {errors[0]:.300}")
    return root


def _address(root: "etree._Element") -> tuple[str, str]:
    webenv, key = root.findtext("WebEnv", "").strip(), root.findtext("QueryKey", "").strip()
    if not webenv or not key:
        raise ValueError(f"<{local_name(root)}> without WebEnv and QueryKey")
    return webenv, key


def _found(most: int) -> Callable[["etree._Element"], tuple[int, Found]]:
    """Return a reader of a search's answer: how many records there are, and the set of the first ``most``."""

    def read(root: "etree._Element") -> tuple[int, Found]:
        if local_name(root) != "eSearchResult" or not root.findtext("Count", "").strip().isdecimal():
            raise ValueError(f"<{local_name(root)}> is not the answer of a search")
        count = int(root.findtext("Count", ""))
        for unknown in root.findall("ErrorList/PhraseNotFound"):
            log.warning("PubMed does not know the phrase %r of the query", unknown.text)
        pmids = tuple((one.text or "").strip() for one in root.findall("IdList/Id"))
        if len(pmids) != min(count, most):
            raise ValueError(f"{len(pmids):,} numbers of {min(count, most):,} records")
        return count, Found(*(_address(root) if count else ("", "")), pmids)

    return read


def _records(root: "etree._Element") -> list[Record]:
    if local_name(root) != "PubmedArticleSet":
        raise ValueError(f"<{local_name(root)}> in place of a PubmedArticleSet")
    return parse_records(root)
