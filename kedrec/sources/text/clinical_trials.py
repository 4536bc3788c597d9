"""Fetches the studies of a condition and an intervention from ClinicalTrials.gov (API v2) as documents.

A study gives up to two documents, because its parts became public at different times: the protocol (``NCT01234567``),
dated by the day on which the study was first posted, and the results (``NCT01234567-results``), dated by the day on
which they were first posted. A cut-off date therefore never lets results through before the register posted them.

The API has only the present version of a study. Status, start and completion are known to change after registration;
they are left out of the protocol if there is a cut-off date and the study was updated since. Other edits of the
protocol, for example of outcomes or criteria, cannot be detected.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedrec.errors import KedrecError
from kedrec.runtime.progress import tell
from kedrec.sources.http.responses import shown, without_secrets
from kedrec.sources.text.dates import check_cut_off, surely_before
from kedrec.sources.text.documents import Document
from kedrec.sources.text.harvest import Harvest
from kedrec.sources.text.trial_text import protocol_paragraphs, result_paragraphs

if TYPE_CHECKING:
    from kedrec.sources.http.client import Web

STUDIES = "https://clinicaltrials.gov/api/v2/studies"
RATE = 0.8  # requests a second; users of the API report a limit of about 50 a minute
_FIELDS = (
    "NCTId|BriefTitle|OfficialTitle|StatusModule|DescriptionModule|ConditionsModule|DesignModule|"
    "ArmsInterventionsModule|OutcomesModule|EligibilityModule|OutcomeMeasuresModule|AdverseEventsModule|"
    "LimitationsAndCaveats|HasResults"
)


# Operators of Essie, the register's search language: https://clinicaltrials.gov/find-studies/constructing-complex-search-queries
# A comma means AND. That page does not say whether operators are case-sensitive.
_OPERATOR = re.compile(
    r"\b(AND|OR|NOT|ALL|MISSING|RANGE|DISTANCE|AREA|SEARCH|COVERAGE|EXPANSION|TILT)\b", re.IGNORECASE
)
_PLAIN = re.compile(r"[\w .'’-]*")  # noqa: RUF001  (an apostrophe)


@dataclass(frozen=True)
class TrialQuery:
    """A search by name; one of the two names may be empty.

    Attributes:
        condition: such as ``asthma`` or ``Diabetes Mellitus, Type 2``.
        intervention: such as ``salmeterol``.
    """

    condition: str = ""
    intervention: str = ""

    @property
    def expressions(self) -> tuple[str, str]:
        """The values of ``query.cond`` and ``query.intr``, in the register's Essie syntax.

        A name of plain words is sent unchanged: the register then also matches its words separately. A name with an
        operator, such as a comma, a bracket or AND, is sent in quotation marks: as a phrase, or a synonym of it.
        """
        return _expression(self.condition), _expression(self.intervention)


def fetch(
    web: "Web",
    queries: Sequence[TrialQuery],
    folder: Path,
    *,
    before: str | None = None,
    url: str = STUDIES,
    page_size: int = 200,
) -> Path:
    """Write the documents of all studies that any query matches into a folder; return its ``documents.jsonl``.

    The pages that an interrupted process fetched are reused (see `Harvest`); a finished folder is not changed. A study
    that several queries match is written once. ``harvest.json`` lists the studies without a document: those without
    text, and those whose posting before the cut-off date is not certain.

    Args:
        web: HTTP client, limited to `RATE`.
        queries: searches.
        folder: where the documents are written.
        before: cut-off date ``YYYY-MM-DD``; documents that are not certainly older are left out.
        url: address of ``/studies``.
        page_size: studies per request, 1 to 1000; a study with results takes some tens of kilobytes.

    Raises:
        KedrecError: there is no query, a query is empty, or ``page_size`` is out of range; the service returns a page
            token twice; and as `Web` and `Harvest`.
    """
    if not queries or any(not any(query.expressions) for query in queries):
        raise KedrecError("queries: each needs a condition or an intervention; an empty one would fetch all studies")
    if not 1 <= page_size <= 1000:
        raise KedrecError(f"page_size: {page_size} is out of range; expected 1 to 1000")
    if before is not None:
        check_cut_off(before)
    pairs = sorted({query.expressions for query in queries})
    request = {"source": "clinical_trials", "queries": pairs, "before": before, "url": without_secrets(url)}
    harvest = Harvest(folder, request)
    if harvest.finished:
        return harvest.documents
    for done, (condition, intervention) in enumerate(pairs, start=1):
        params = _params(condition, intervention, before, page_size)
        _walk(web, harvest, url, params, before)
        tell("ClinicalTrials.gov queries", done, len(pairs))
    return harvest.finish()


def study_documents(study: dict[str, Any], *, before: str | None = None) -> list[Document]:
    """Return the documents of one study: its protocol and, if posted, its results; none if it has no text.

    Args:
        study: an element of ``studies`` in an answer of API v2.
        before: cut-off date ``YYYY-MM-DD``; documents that are not certainly older are left out, and so is the status
            of a study that was updated since.

    Raises:
        KedrecError: the study has another format, e.g. that of the old API (``FullStudiesResponse``).
    """
    if "protocolSection" not in study:
        found = ", ".join(study) or "nothing"
        old = "FullStudiesResponse" in study or "Study" in study
        hint = "the format of the old API, withdrawn in 2024" if old else "not a study"
        raise KedrecError(
            f"expected a study of API v2 with 'protocolSection', found {found:.200}: {hint}; fetch it again"
        )
    protocol = study["protocolSection"]
    try:
        nct = protocol["identificationModule"]["nctId"]
        return _documents(nct, protocol, study.get("resultsSection") or {}, before)
    except (AttributeError, KeyError, TypeError) as fault:
        nct = (
            protocol.get("identificationModule", {}).get("nctId", "a study")
            if isinstance(protocol, dict)
            else "a study"
        )
        raise KedrecError(
            f"{nct}: not in the format of API v2 ({type(fault).__name__}: {fault}); fetch it again"
        ) from fault


def _documents(nct: str, protocol: dict[str, Any], results: dict[str, Any], before: str | None) -> list[Document]:
    titles, status = protocol["identificationModule"], protocol.get("statusModule", {})
    title = " ".join((titles.get("briefTitle") or titles.get("officialTitle") or "").split())
    posted, found, updated = (
        status.get(f"{name}PostDateStruct", {}).get("date", "") for name in ("studyFirst", "resultsFirst", "lastUpdate")
    )
    current = before is None or surely_before(updated, before)
    parts = [
        (nct, title, posted, protocol_paragraphs(protocol, status=current)),
        (f"{nct}-results", f"Results of: {title}" if title else "", found, result_paragraphs(results)),
    ]
    return [
        Document(
            id=name,
            source="clinical_trials",
            title=title,
            text="\n\n".join(paragraphs),
            date=date,
            license="ClinicalTrials.gov, public",
            url=f"https://clinicaltrials.gov/study/{nct}",
        )
        for name, title, date, paragraphs in parts
        if paragraphs and (before is None or surely_before(date, before))
    ]


def _expression(name: str) -> str:
    """Return a name as one search term without operators; a backslash becomes a space."""
    words = " ".join(name.replace("\\", " ").split())
    if _PLAIN.fullmatch(words) and not _OPERATOR.search(words):
        return words
    return '"' + words.replace('"', '\\"') + '"'


def _params(condition: str, intervention: str, before: str | None, page_size: int) -> dict[str, str]:
    params = {"query.cond": condition, "query.intr": intervention, "fields": _FIELDS, "pageSize": str(page_size)}
    if before is not None:
        params["filter.advanced"] = f"AREA[StudyFirstPostDate]RANGE[MIN,{check_cut_off(before)}]"
    return {name: value for name, value in params.items() if value} | {"format": "json", "markupFormat": "markdown"}


def _walk(web: "Web", harvest: Harvest, url: str, params: dict[str, str], before: str | None) -> None:
    """Fetch the pages of a query that are not in the folder yet."""
    query = [params.get("query.cond", ""), params.get("query.intr", "")]
    token, tokens, number, begun = "", {""}, 0, False
    while token or not number:
        number += 1
        piece = json.dumps([*query, number])
        if piece not in harvest:
            try:
                studies, following = web.get(url, _page, params | ({"pageToken": token} if token else {}))
            except KedrecError as fault:
                if begun or not token:
                    raise
                raise KedrecError(
                    f"{fault}; the page token is from an earlier process: if the service no longer accepts it, delete "
                    f"{harvest.documents.parent} and start again"
                ) from fault
            if following and following in tokens | {token}:
                raise KedrecError(
                    f"{shown(url)}: page {number} of {query} names a next page that was already fetched, "
                    "which is a fault of the service: start again later; the pages fetched so far are reused"
                )
            _keep(harvest, piece, studies, following, before)
            begun = True
        token = harvest.pieces[piece]["next"]
        tokens.add(token)


def _keep(harvest: Harvest, piece: str, studies: list[dict[str, Any]], following: str, before: str | None) -> None:
    documents: list[Document] = []
    left_out: dict[str, str] = {}
    for study in studies:
        found = study_documents(study, before=before)
        documents += found
        if not found:
            dated = before is not None and study_documents(study)
            left_out[study["protocolSection"]["identificationModule"]["nctId"]] = (
                f"not surely posted before {before}" if dated else "no text"
            )
    harvest.keep(piece, documents, left_out, {"next": following})


def _page(body: bytes) -> tuple[list[dict[str, Any]], str]:
    """Return the studies of a page and the token of the next page, empty on the last one."""
    page = json.loads(body)
    studies = page.get("studies") if isinstance(page, dict) else None
    if not isinstance(studies, list) or not all(isinstance(study, dict) for study in studies):
        raise ValueError("expected a JSON object with a list of 'studies'")
    return studies, str(page.get("nextPageToken") or "")
