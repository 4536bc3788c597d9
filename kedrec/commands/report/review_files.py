"""Filled reviews as files hold them: sheets saved by a spreadsheet, and Label Studio's exports.

Of Label Studio's JSON are read, of each task, ``id``, ``data`` and ``annotations`` (``completions`` of old versions),
and of these ``id``, ``created_at``, ``completed_by``, ``was_cancelled``, ``skipped`` and of each ``result``
``from_name`` and ``value``; of JSON-MIN, which has one flat entry an annotation, the data's own fields, the controls'
by their names, ``id``, ``annotation_id``, ``created_at`` and ``annotator``.
"""

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedrec.commands.report.review_form import COMMENT, RANK, SCALES
from kedrec.commands.report.review_sheet import ITEM
from kedrec.errors import KedrecError

_NUMBERS = (RANK, *(scale.name for scale in SCALES))


@dataclass(frozen=True)
class Filled:
    """What a file says of one item, not yet checked.

    Attributes:
        place: file and row or task, for messages.
        reviewer: the file's name without its ending; with the annotator in Label Studio.
        item: its id.
        written: the answers by their names.
        annotation: what tells Label Studio's annotation from all others; empty in a sheet.
    """

    place: str
    reviewer: str
    item: str
    written: Mapping[str, str]
    annotation: tuple[str, ...] = ()


def read_filled(path: Path) -> Iterator[Filled]:
    """Give the items of a file, answered or not.

    Raises:
        KedrecError: it is none of the known forms.
    """
    try:
        text = _decoded(path.read_bytes())
    except OSError as fault:
        raise KedrecError(f"{path}: cannot be read ({fault.strerror}); expected a filled sheet") from fault
    return _exported(path, text) if text.lstrip()[:1] in ("[", "{") else _sheet(path, text)


def _decoded(content: bytes) -> str:
    """Return a file's text: UTF-8, what Excel calls Unicode (UTF-16), or what it writes in western Europe."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _sheet(path: Path, text: str) -> Iterator[Filled]:
    header, rows = _table(path, text)
    missing = [name for name in (ITEM, *_NUMBERS) if header.count(name) != 1]
    if missing:
        raise KedrecError(
            f"{path}: no column {missing[0]!r}, or two; expected the columns of sheet.csv, filled in (of Label "
            "Studio's exports JSON is read)"
        )
    for number, row in enumerate(rows, start=2):
        cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
        written = {name: cells.get(name, "") for name in (*_NUMBERS, COMMENT)}
        if cells.get(ITEM):
            yield Filled(f"{path}, row {number}", path.stem, cells[ITEM], written)
        elif any(written.values()):
            raise KedrecError(f"{path}, row {number}: answers without an {ITEM}; copy it from the sheet that was sent")


def _table(path: Path, text: str) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns and the rows; cells are parted by what the user's spreadsheet parts them by."""
    reason = "no line of column names"
    for separator in (",", ";", "\t"):
        try:
            header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        except (csv.Error, ValueError) as fault:
            reason = str(fault)
            continue
        names = [cell.partition(":")[0].strip().lower() for cell in header]
        if ITEM in names:
            return names, rows
    raise KedrecError(f"{path}: not a filled sheet.csv: no column {ITEM!r} ({reason}); save the sheet as CSV again")


def _exported(path: Path, text: str) -> Iterator[Filled]:
    try:
        for task in json.loads(text):
            yield from _annotated(path, task) if "data" in task else _flat(path, task)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise KedrecError(
            f"{path}: no export of Label Studio's, JSON or JSON-MIN, of a review ({type(fault).__name__}: {fault}); "
            "export the project again"
        ) from fault


def _annotated(path: Path, task: Mapping[str, Any]) -> Iterator[Filled]:
    """Give the items of a task of the JSON export."""
    for annotation in task.get("annotations", task.get("completions")) or []:
        if not (annotation.get("was_cancelled") or annotation.get("skipped")):
            answers = {result["from_name"]: result["value"] for result in annotation["result"]}
            who = annotation.get("completed_by")
            who = who.get("id", who.get("email")) if isinstance(who, Mapping) else who
            yield from _items(path, task["id"], task["data"], answers, who, annotation["id"], annotation["created_at"])


def _flat(path: Path, entry: Mapping[str, Any]) -> Iterator[Filled]:
    """Give the items of an entry of the JSON-MIN export."""
    if entry["annotation_id"] is not None:
        who, when = entry["annotator"], entry["created_at"]
        yield from _items(path, entry["id"], entry, entry, who, entry["annotation_id"], when)


def _items(
    path: Path, task: Any, data: Mapping[str, Any], answers: Mapping[str, Any], who: Any, annotation: Any, when: Any
) -> Iterator[Filled]:
    place = 1
    while place == 1 or f"{ITEM}_{place}" in data:
        written = {name: _written(answers.get(f"{name}_{place}")) for name in (*_NUMBERS, COMMENT)}
        once = (str(annotation), str(when))
        yield Filled(f"{path}, task {task}", f"{path.stem}:{who}", str(data[f"{ITEM}_{place}"]), written, once)
        place += 1


def _written(value: Any) -> str:
    """Return an answer in words: of a result's value, or as JSON-MIN shortens it where there is one alone."""
    if isinstance(value, Mapping):
        value = value.get("choices", value.get("text", ""))
    parts: Sequence[Any] = value if isinstance(value, list) else [value]
    return " / ".join(_written(part) if isinstance(part, Mapping) else str(part) for part in parts if part is not None)
