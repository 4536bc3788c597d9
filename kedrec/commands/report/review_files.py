"""Reads filled reviews: sheets saved by a spreadsheet, and exports of Label Studio.

Fields used of Label Studio's JSON: ``id``, ``data`` and ``annotations`` (``completions`` in old versions) of a task;
``id``, ``created_at``, ``completed_by``, ``was_cancelled``, ``skipped`` and ``result`` of an annotation; ``from_name``
and ``value`` of a result. JSON-MIN has one flat entry per annotation: the fields of the data and of the controls, and
``id``, ``annotation_id``, ``created_at`` and ``annotator``.
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
    """The unchecked answers to one item in a file.

    Attributes:
        location: file, and row of a sheet or task of Label Studio, for error messages.
        reviewer: the file's name without its extension; for a Label Studio export, followed by the annotator.
        item: id of the item.
        written: name of each answer -> its text.
        annotation: id and time of Label Studio's annotation; empty for a sheet.
    """

    location: str
    reviewer: str
    item: str
    written: Mapping[str, str]
    annotation: tuple[str, ...] = ()


def read_filled(path: Path) -> Iterator[Filled]:
    """Yield the items of a file, answered or not.

    Raises:
        KedrecError: the file cannot be read, or has an unknown format.
    """
    try:
        text = _decoded(path.read_bytes())
    except OSError as fault:
        raise KedrecError(f"{path}: cannot be read ({fault.strerror}); expected a filled sheet") from fault
    return _exported(path, text) if text.lstrip()[:1] in ("[", "{") else _sheet(path, text)


def _decoded(content: bytes) -> str:
    """Decode a file: UTF-8, UTF-16 (Excel's "Unicode"), or Windows-1252 (Excel's default in western Europe)."""
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
            f"{path}: expected the column {missing[0]!r} exactly once, as in sheet.csv; of Label Studio, give a JSON "
            "export"
        )
    for number, row in enumerate(rows, start=2):
        cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
        written = {name: cells.get(name, "") for name in (*_NUMBERS, COMMENT)}
        if cells.get(ITEM):
            yield Filled(f"{path}, row {number}", path.stem, cells[ITEM], written)
        elif any(written.values()):
            raise KedrecError(
                f"{path}, row {number}: the row has answers but no {ITEM}; copy the {ITEM} from the original sheet"
            )


def _table(path: Path, text: str) -> tuple[list[str], list[list[str]]]:
    """Return column names and rows; the separator is whichever of comma, semicolon and tab the file uses."""
    reason = "no header"
    for separator in (",", ";", "\t"):
        try:
            header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        except (csv.Error, ValueError) as fault:
            reason = str(fault)
            continue
        names = [cell.partition(":")[0].strip().lower() for cell in header]
        if ITEM in names:
            return names, rows
    raise KedrecError(
        f"{path}: not a filled sheet.csv: the column {ITEM!r} is missing ({reason}); save the sheet as CSV again"
    )


def _exported(path: Path, text: str) -> Iterator[Filled]:
    try:
        for task in json.loads(text):
            yield from _annotated(path, task) if "data" in task else _flat(path, task)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise KedrecError(
            f"{path}: not a JSON or JSON-MIN export of a review from Label Studio ({type(fault).__name__}: {fault}); "
            "export the project again"
        ) from fault


def _annotated(path: Path, task: Mapping[str, Any]) -> Iterator[Filled]:
    """Yield the items of a task in a JSON export."""
    for annotation in task.get("annotations", task.get("completions")) or []:
        if not (annotation.get("was_cancelled") or annotation.get("skipped")):
            answers = {result["from_name"]: result["value"] for result in annotation["result"]}
            who = annotation.get("completed_by")
            who = who.get("id", who.get("email")) if isinstance(who, Mapping) else who
            yield from _items(path, task["id"], task["data"], answers, who, annotation["id"], annotation["created_at"])


def _flat(path: Path, entry: Mapping[str, Any]) -> Iterator[Filled]:
    """Yield the items of an entry in a JSON-MIN export."""
    if entry["annotation_id"] is not None:
        who, when = entry["annotator"], entry["created_at"]
        yield from _items(path, entry["id"], entry, entry, who, entry["annotation_id"], when)


def _items(
    path: Path, task: Any, data: Mapping[str, Any], answers: Mapping[str, Any], who: Any, annotation: Any, when: Any
) -> Iterator[Filled]:
    number = 1
    while number == 1 or f"{ITEM}_{number}" in data:
        written = {name: _written(answers.get(f"{name}_{number}")) for name in (*_NUMBERS, COMMENT)}
        once = (str(annotation), str(when))
        yield Filled(f"{path}, task {task}", f"{path.stem}:{who}", str(data[f"{ITEM}_{number}"]), written, once)
        number += 1


def _written(value: Any) -> str:
    """Return an answer as text: from a result's value, or from JSON-MIN's short form of a single answer."""
    if isinstance(value, Mapping):
        value = value.get("choices", value.get("text", ""))
    parts: Sequence[Any] = value if isinstance(value, list) else [value]
    return " / ".join(_written(part) if isinstance(part, Mapping) else str(part) for part in parts if part is not None)
