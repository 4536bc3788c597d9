"""Writes fetched documents into a folder piece by piece; a killed process loses only the piece being fetched."""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.sources.text.documents import Document
from kedrec.storage.atomic_files import disk_faults_named, write_atomic

log = logging.getLogger(__name__)

_REMEDY = "free some space and start again; what was fetched is reused"


class Harvest:
    """A folder that ends with two files: ``documents.jsonl``, and ``harvest.json`` with the request and omissions.

    While it is filled the folder holds a journal of JSON lines: the request, then for each piece its documents and a
    line that completes the piece. The next process cuts off whatever follows the last such line. The final files depend
    only on the documents, not on interruptions: ids are unique and sorted.

    Only one process may write: the caller holds a lock, as `kedrec.storage.artifact_store.Store.get` does with
    ``resumable=True``.

    Args:
        folder: created if absent.
        request: what the documents depend on, as JSON values: source, query, cut-off date; no API key.

    Raises:
        KedrecError: the folder belongs to another request, or the disk is full; from each method.
    """

    def __init__(self, folder: Path, request: Mapping[str, Any]) -> None:
        self.documents = folder / "documents.jsonl"
        self._summary = folder / "harvest.json"
        self._journal = folder / "journal.jsonl"
        self._request = json.loads(json.dumps(request))
        self._pieces: dict[str, dict[str, Any]] = {}
        self._left_out: dict[str, str] = {}
        self._offsets: dict[str, int] = {}  # document id to the offset of its line in the journal, bytes
        with disk_faults_named(folder, _REMEDY):
            folder.mkdir(parents=True, exist_ok=True)
            self.finished = self._read_summary()
            if self.finished:
                self._journal.unlink(missing_ok=True)  # left by a process killed between the last two steps
            else:
                self._read_journal()

    def __contains__(self, piece: str) -> bool:
        return piece in self._pieces

    @property
    def pieces(self) -> Mapping[str, Mapping[str, Any]]:
        """The facts of each complete piece, in order of arrival."""
        return self._pieces

    def keep(
        self,
        piece: str,
        documents: Iterable[Document] = (),
        left_out: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a complete piece to the journal.

        Args:
            piece: its name.
            documents: its documents; a later document replaces an earlier one with the same id.
            left_out: id without a document to the reason.
            facts: JSON values that a later process needs.
        """
        end = {"piece": piece, "left_out": dict(left_out or {}), "facts": dict(facts or {})}
        rows = [asdict(document) for document in documents]
        with disk_faults_named(self._journal, _REMEDY), self._journal.open("ab") as file:
            offset = file.tell()
            lines = [_line(row) for row in (*rows, end)]
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        for row, line in zip(rows, lines[:-1], strict=True):
            self._offsets[row["id"]] = offset
            offset += len(line)
        self._note(end)

    def finish(self, left_out: Mapping[str, str] | None = None) -> Path:
        """Write the two final files and delete the journal; return the path of the documents."""
        without = {**self._left_out, **(left_out or {})}
        reasons: dict[str, list[str]] = {}
        for key in sorted(without.keys() - self._offsets.keys()):
            reasons.setdefault(without[key], []).append(key)
        summary = {"asked": self._request, "documents": len(self._offsets), "left_out": reasons}
        with disk_faults_named(self.documents, _REMEDY):
            partial = self.documents.with_name(f".{self.documents.name}.partial")
            with self._journal.open("rb") as source, partial.open("wb") as target:
                for key in sorted(self._offsets):
                    source.seek(self._offsets[key])
                    target.write(source.readline())
                target.flush()
                os.fsync(target.fileno())
            partial.replace(self.documents)
            write_atomic(self._summary, json.dumps(summary, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
            self._journal.unlink()
        for reason, ids in sorted(reasons.items()):
            log.info("%s: %d left out: %s", self.documents.parent, len(ids), reason)
        if not self._offsets:
            log.info("%s: no documents for %s", self.documents.parent, json.dumps(self._request)[:300])
        self.finished = True
        return self.documents

    def _note(self, end: Mapping[str, Any]) -> None:
        self._pieces[end["piece"]] = end["facts"]
        self._left_out |= end["left_out"]

    def _read_summary(self) -> bool:
        """Return whether the folder is finished."""
        if not (self._summary.is_file() and self.documents.is_file()):
            return False
        self._check_request(json.loads(self._summary.read_text(encoding="utf-8"))["asked"])
        return True

    def _read_journal(self) -> None:
        """Read the pieces that earlier processes completed, and cut off an incomplete one."""
        complete = offset = 0
        incomplete: dict[str, int] = {}
        self._journal.touch()
        with self._journal.open("rb+") as file:
            for line in file:
                row = _row(line)
                if row is None:
                    break
                if "asked" in row:
                    self._check_request(row["asked"])
                elif "piece" in row:
                    self._offsets |= incomplete
                    self._note(row)
                else:
                    incomplete[row["id"]] = offset
                offset += len(line)
                if "id" not in row:
                    complete, incomplete = offset, {}
            file.truncate(complete)
            if not complete:
                file.seek(0)
                file.write(_line({"asked": self._request}))
                file.flush()
                os.fsync(file.fileno())

    def _check_request(self, request: Any) -> None:
        if request != self._request:
            raise KedrecError(
                f"{self.documents.parent}: the folder belongs to the request {json.dumps(request)[:300]}, not to "
                f"{json.dumps(self._request)[:300]}; choose another folder, or delete this one"
            )


def _line(row: Mapping[str, Any]) -> bytes:
    """Return a row as a line; a lone surrogate, which JSON allows and UTF-8 does not, becomes ``?``."""
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _row(line: bytes) -> dict[str, Any] | None:
    """Return a line's object; ``None`` if the line is incomplete."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) and row.keys() & {"asked", "piece", "id"} else None
