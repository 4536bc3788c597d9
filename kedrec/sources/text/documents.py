"""Reads documents: passages as JSONL, PubMed abstracts as JSONL, and the TOP benchmark's table of trials.

The file's name decides the format; each may be plain, ``.gz`` or ``.zst``. ``passages*.jsonl`` holds documents, and so
does a JSONL file of another name if the path names the file itself; ``pubmed_abstracts.jsonl`` holds abstracts;
``trials_phase123.csv`` has the columns of the TOP benchmark of trial outcomes.
"""

import ast
import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.storage.compressed_text import text_lines
from kedrec.storage.hashing import file_hash

_FORMS = re.compile(r"(passages.*\.jsonl|pubmed_abstracts\.jsonl|trials_phase123\.csv)(\.gz|\.zst)?")
_LOOKED_FOR = "passages*.jsonl, pubmed_abstracts.jsonl, trials_phase123.csv (plain, .gz or .zst)"
_BULLET = re.compile(r"(?:[-*•]|\(?\d{1,2}[.)]|\(?[a-z][.)])\s+")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a text source.

    Attributes:
        id: unique among all documents, e.g. ``NCT00000102`` or ``PMC1429708``; rationales cite it.
        source: ``clinical_trials``, ``pmc``, or any other word; ``data.init_args.retrieval.sources`` selects by it.
        title: one line; may be empty.
        text: the body, paragraphs separated by an empty line.
        date: publication date or year, as the source writes it.
        license: the terms of the text.
        url: where a reader finds it.
    """

    id: str
    source: str
    title: str
    text: str
    date: str = ""
    license: str = ""
    url: str = ""


def read_documents(path: str | Path) -> Iterator[Document]:
    """Yield the documents of a file or folder, in file order; an exact duplicate is yielded once.

    Args:
        path: a JSONL file of documents (fields id, title, text; optionally source, date, license, url), one of the
            other two formats, or a folder that holds any of these under the names given at the top of this module.
            A document without ``source`` gets the file's name without its endings, e.g. ``passages``.

    Raises:
        KedrecError: the path does not exist, a file is damaged or not UTF-8, a record lacks a field, or two different
            texts share one id; the message names file and line.
    """
    files = _document_files(Path(path))
    return unique_documents((f"{file}:{line}", one) for file in files for line, one in _read_file(file))


def unique_documents(located: Iterable[tuple[str, Document]]) -> Iterator[Document]:
    """Yield documents in their order; an exact duplicate is yielded once.

    Args:
        located: where a document lies, for messages, and the document.

    Raises:
        KedrecError: two different texts share one id.
    """
    seen: dict[str, tuple[int, str]] = {}
    for location, document in located:
        content = hash((document.source, document.title, document.text))
        known, first = seen.setdefault(document.id, (content, location))
        if first == location:
            yield document
        elif known != content:
            raise KedrecError(
                f"{location}: the id {document.id!r} is already used for a different text at {first}; "
                "rationales cite ids, so each must be unique: rename one of the two"
            )


def documents_hash(path: str | Path) -> str:
    """Return a SHA-256, 64 hex digits, of the names and bytes of the files that `read_documents` would read."""
    files = [(file.name, file_hash(file)) for file in _document_files(Path(path))]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _document_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise KedrecError(f"{path}: no such file or folder; expected a JSONL file of documents, or a folder of them")
    files = sorted(file for file in path.iterdir() if file.is_file() and _FORMS.fullmatch(file.name))
    if not files:
        raise KedrecError(f"{path}: no documents in this folder; looked for {_LOOKED_FOR}")
    return files


def _read_file(file: Path) -> Iterator[tuple[int, Document]]:
    if file.name.startswith("trials_phase123.csv"):
        return _trials(file)
    if file.name.startswith("pubmed_abstracts.jsonl"):
        return ((line, _abstract(row, file, line)) for line, row in _json_rows(file))
    return ((line, _document(row, file, line)) for line, row in _json_rows(file))


def _json_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in text_lines(file):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except json.JSONDecodeError as fault:
            raise KedrecError(f"{file}:{line}: not JSON ({fault}); expected one JSON object a line") from fault
        if not isinstance(row, dict):
            raise KedrecError(f"{file}:{line}: expected a JSON object with id, title, text; found {row!r:.60}")
        yield line, row


def _field(row: dict[str, Any], name: str, file: Path, line: int, *, blank: bool = False) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not (blank or value.strip()):
        found = f"found {value!r:.60}" if name in row else f"the record has {', '.join(row) or 'nothing'}"
        raise KedrecError(f"{file}:{line}: expected a {'' if blank else 'non-empty '}string {name!r}; {found}")
    return value


def _document(row: dict[str, Any], file: Path, line: int) -> Document:
    needed = {name: _field(row, name, file, line) for name in ("id", "text")}
    source = _field(row, "source", file, line) if "source" in row else file.name.partition(".jsonl")[0]
    spelt = {"license": "licence"}  # both spellings are common
    extra = {
        name: _field(row, key, file, line, blank=True)
        for name in ("date", "license", "url")
        for key in (name, spelt.get(name, name))
        if key in row
    }
    return Document(source=source, title=_field(row, "title", file, line, blank=True), **needed, **extra)


def _abstract(row: dict[str, Any], file: Path, line: int) -> Document:
    pmid = _field(row, "pmid", file, line)
    pmcid = row.get("pmcid")
    where = f"https://pmc.ncbi.nlm.nih.gov/articles/{pmcid}/" if pmcid else f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/"
    return Document(
        id=pmcid or f"PMID{pmid}",
        source="pmc",
        title=_field(row, "title", file, line, blank=True),
        text=_field(row, "abstract", file, line),
        date=row.get("year") or "",
        license="PubMed abstract; the publisher's terms may apply",
        url=where,
    )


def _trials(file: Path) -> Iterator[tuple[int, Document]]:
    """Yield one document a trial; its rows, which repeat some of the values, are merged."""
    trials: dict[str, tuple[int, dict[str, list[str]]]] = {}
    reader = csv.DictReader(f"{content}\n" for _, content in text_lines(file))
    columns = ("nctid", "phase", "status", "diseases", "drugs", "criteria")
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise KedrecError(f"{file}:1: the table has no column {', '.join(missing)}; expected {', '.join(columns)}")
    try:
        for row in reader:
            cells = {name: _field(row, name, file, reader.line_num) for name in columns}
            _, merged = trials.setdefault(cells["nctid"], (reader.line_num, {name: [] for name in columns}))
            for name, cell in cells.items():
                values = _listed(cell, name, file, reader.line_num) if name in ("diseases", "drugs") else [cell]
                merged[name] += [value for value in values if value not in merged[name]]
    except csv.Error as fault:
        raise KedrecError(f"{file}:{reader.line_num}: not a CSV record ({fault})") from fault
    for trial, (line, merged) in trials.items():
        yield line, _trial(trial, merged)


def _listed(cell: str, name: str, file: Path, line: int) -> list[str]:
    try:
        values = ast.literal_eval(cell)
    except (ValueError, SyntaxError) as fault:
        raise KedrecError(f"{file}:{line}: {name}: expected a list such as ['asthma']; found {cell!r:.60}") from fault
    if not isinstance(values, list):
        raise KedrecError(f"{file}:{line}: {name}: expected a list such as ['asthma']; found {cell!r:.60}")
    return [str(value) for value in values]


def _trial(trial: str, merged: dict[str, list[str]]) -> Document:
    """Compose a trial's text, without the outcome label and the reason for stopping, which would leak the answer."""
    phase, drugs, diseases, status = (", ".join(merged[name]) for name in ("phase", "drugs", "diseases", "status"))
    return Document(
        id=trial,
        source="clinical_trials",
        title=f"{phase[:1].upper()}{phase[1:]} trial of {drugs} in {diseases}",
        text="\n\n".join(
            [
                f"Conditions: {diseases}. Interventions: {drugs}. Phase: {phase}. Status: {status}.",
                *(_criteria(text) for text in merged["criteria"]),
            ]
        ),
        license="ClinicalTrials.gov, public",
        url=f"https://clinicaltrials.gov/study/{trial}",
    )


def _criteria(text: str) -> str:
    """Return eligibility criteria with wrapped lines joined and each bullet turned into a sentence."""
    paragraphs = (" ".join(block.split()) for block in re.split(r"\n\s*\n|\n(?=\s+[-*•]\s)", text))
    return " ".join(
        _sentences(_BULLET.sub("", block, count=1) if _BULLET.match(block) else block for block in paragraphs if block)
    )


def _sentences(blocks: Iterable[str]) -> Iterator[str]:
    for block in blocks:
        yield block if block[-1] in ".:?!" else block.rstrip(";, ") + "."
