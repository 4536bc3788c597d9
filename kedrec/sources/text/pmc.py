"""Fetches full texts of PubMed Central's open-access subset, article by article, from its public cloud bucket.

NLM's README of the bucket and https://pmc.ncbi.nlm.nih.gov/tools/pmcaws/ describe the layout since April 2026 (the
earlier prefixes and the FTP service were removed in August 2026):

* Version N of an article has the prefix ``PMC<id>.<N>/`` and the JATS file ``PMC<id>.<N>.xml`` below it. The address
  ``?list-type=2&prefix=PMC<id>.&delimiter=/`` lists the versions without an account; it lists none for an article that
  the bucket lacks.
* ``metadata/PMC<id>.<N>.json`` has ``is_pmc_openaccess``, ``is_manuscript``, ``is_historical_ocr``, ``is_retracted``,
  ``license_code`` and ``xml_url``, an ``s3://`` address that ends with ``?md5=`` and the checksum.
* A higher version is not always better: it can be the author's manuscript of a published article.

The bucket also holds manuscripts that may be mined but are not open access; they are left out.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kedrec.errors import KedrecError
from kedrec.runtime.progress import tell
from kedrec.sources.http.client import Web
from kedrec.sources.http.responses import StatusError, shown, without_secrets
from kedrec.sources.text import jats
from kedrec.sources.text.dates import check_cut_off, surely_before
from kedrec.sources.text.documents import Document
from kedrec.sources.text.harvest import Harvest
from kedrec.sources.text.markup import local_name, parse_xml
from kedrec.storage.hashing import key_hash

log = logging.getLogger(__name__)

BUCKET = "https://pmc-oa-opendata.s3.amazonaws.com"
RATE = 20.0  # requests per second; the bucket has no limit of its own
_CLOSED = "not in the open-access subset"
_ABSENT = frozenset({403, 404})  # S3 returns 403 for an absent key in a bucket that may not be listed


def fetch(
    web: Web, pmcids: Iterable[str], folder: Path, *, before: str | None = None, url: str = BUCKET, workers: int = 8
) -> Path:
    """Write the full texts of articles into a folder; return its ``documents.jsonl``.

    Articles that an interrupted process fetched are reused (see `Harvest`); a finished folder is not changed.
    ``harvest.json`` lists the articles without a document: not in the open-access subset, retracted, without XML or
    text, or not certainly before the cut-off date. An article takes three requests, and one more per further version.

    Args:
        web: HTTP client, limited to `RATE`.
        pmcids: ids such as ``PMC1790863``; duplicates are fetched once.
        folder: where the documents are written.
        before: cut-off date ``YYYY-MM-DD``; documents that are not certainly older are left out.
        url: the bucket, or a mirror of it.
        workers: articles fetched in parallel.

    Raises:
        KedrecError: an id is not a PubMed Central id; and as `Web` and `Harvest`.
    """
    unique_ids = sorted({_checked_id(pmcid) for pmcid in pmcids})
    if before is not None:
        check_cut_off(before)
    request = {"source": "pmc", "articles": len(unique_ids), "hash": key_hash({"ids": unique_ids}), "before": before}
    harvest = Harvest(folder, {**request, "url": without_secrets(url)})
    if harvest.finished:
        return harvest.documents
    missing = [pmcid for pmcid in unique_ids if pmcid not in harvest]
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(missing), 8 * workers):
            batch = missing[start : start + 8 * workers]
            for pmcid, article in zip(batch, pool.map(lambda one: fetch_article(web, one, url), batch), strict=True):
                if isinstance(article, Document) and before is not None and not surely_before(article.date, before):
                    harvest.keep(pmcid, left_out={pmcid: f"not surely before {before}"})
                elif isinstance(article, Document):
                    harvest.keep(pmcid, [article])
                else:
                    harvest.keep(pmcid, left_out={pmcid: article})
                tell("PubMed Central articles", len(harvest.pieces), len(unique_ids))
    return harvest.finish()


def fetch_article(web: Web, pmcid: str, url: str = BUCKET) -> Document | str:
    """Return one article, or the reason why there is none.

    Raises:
        KedrecError: as `Web`, except for a key that the bucket lacks.
    """
    versions = web.get(f"{url}/", _versions, {"list-type": "2", "prefix": f"{pmcid}.", "delimiter": "/"})
    try:
        return _article(web, pmcid, versions, url)
    except StatusError as fault:
        if fault.status in _ABSENT:
            return _CLOSED
        raise


def _article(web: Web, pmcid: str, versions: list[int], url: str) -> Document | str:
    best = _best([web.get(f"{url}/metadata/{pmcid}.{version}.json", _described) for version in versions])
    if isinstance(best, str):
        return best
    address = urlsplit(str(best["xml_url"]))
    if not re.fullmatch(rf"/{pmcid}\.\d+/[\w.-]+\.xml", address.path):
        raise KedrecError(
            f"{shown(url)}/metadata: the XML of {pmcid} has the address {best['xml_url']!r:.200}; expected a path such "
            f"as /{pmcid}.1/NAME.xml; the article was not fetched; leave {pmcid} out, or start again later"
        )
    expected = parse_qs(address.query).get("md5", [""])[0]
    body = web.get(f"{url}{address.path}", lambda body: _whole(body, expected))
    try:
        document = jats.parse(body)
    except ValueError as fault:
        log.warning("%s%s: %s", shown(url), address.path, fault)
        return "its XML cannot be read"
    if document.id != pmcid or not document.text:
        return f"its XML is that of {document.id}" if document.id != pmcid else "no text"
    return document if document.license else replace(document, license=str(best.get("license_code") or ""))


def _best(metadata: list[dict[str, Any]]) -> dict[str, Any] | str:
    """Return the metadata of the version to read: the last published one, else the last; or the reason for none."""
    open_ones = [one for one in metadata if one["is_pmc_openaccess"] is True]
    if not open_ones:
        return _CLOSED
    best = next((one for one in reversed(open_ones) if not one.get("is_manuscript")), open_ones[-1])
    if best.get("is_retracted"):
        return "retracted"
    return best if best.get("xml_url") and not best.get("is_historical_ocr") else "no XML of its text"


def _checked_id(pmcid: str) -> str:
    found = re.fullmatch(r"(?:PMC)?([1-9]\d*)", pmcid.strip(), re.IGNORECASE)
    if not found:
        raise KedrecError(f"{pmcid!r} is not a PubMed Central id; expected one such as PMC1790863")
    return f"PMC{found[1]}"


def _versions(body: bytes) -> list[int]:
    """Return the version numbers in a listing of the bucket, ascending."""
    root = parse_xml(body)
    if local_name(root) != "ListBucketResult":
        raise ValueError(f"<{local_name(root)}> instead of <ListBucketResult>")
    names = [element.text or "" for element in root.findall("{*}CommonPrefixes/{*}Prefix")]
    return sorted(int(found[1]) for name in names if (found := re.fullmatch(r"PMC\d+\.(\d+)/", name)))


def _described(body: bytes) -> dict[str, Any]:
    metadata = json.loads(body)
    if not isinstance(metadata, dict) or "is_pmc_openaccess" not in metadata:
        raise ValueError("not the metadata of an article: is_pmc_openaccess is missing")
    return metadata


def _whole(body: bytes, md5: str) -> bytes:
    """Return the body if it has the expected checksum or, without one, is well-formed XML."""
    if not md5:
        parse_xml(body)
    elif (found := hashlib.md5(body, usedforsecurity=False).hexdigest()) != md5:
        raise ValueError(f"its MD5 is {found}, expected {md5}")
    return body
