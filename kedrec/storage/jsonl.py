"""Rows as JSONL."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kedrec.storage.atomic_files import write_atomic

_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


def jsonl(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as JSONL, one a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Return the rows that `jsonl` has written."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines]


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one object a line, completely or not at all; Unicode's line separators are escaped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False).translate(_LINE_ENDS) for row in rows)
    write_atomic(path, "".join(line + "\n" for line in lines))
