"""Documents fetched piece by piece into a folder: a process that is killed loses the piece in flight, no more."""

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

_REMEDY = "free some space and start again: what came is kept"


class Harvest:
    """A folder that ends with two files: the documents, and what was asked for, came and was left out.

    While it is filled it holds one journal of JSON lines: what was asked, then for each piece its documents and a line
    that says that the piece is whole. What a kill left after the last such line is cut off by the next process. The two
    final files depend on the documents alone, not on how often the work was stopped: ids are unique and sorted.

    One process at a time: the caller holds a lock, as `kedrec.storage.artifact_store.Store.get` does with
    ``resumable=True``.

    Args:
        folder: made if absent.
        asked: what the documents depend on, as JSON values: source, query, cut-off; no key.

    Raises:
        KedrecError: the folder was begun for something else, or the disk is full; from each method.
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any]) -> None:
        self.documents = folder / "documents.jsonl"
        self._summary = folder / "harvest.json"
        self._journal = folder / "journal.jsonl"
        self._asked = json.loads(json.dumps(asked))
        self._pieces: dict[str, dict[str, Any]] = {}
        self._left_out: dict[str, str] = {}
        self._places: dict[str, int] = {}  # of each document's line in the journal, bytes
        with disk_faults_named(folder, _REMEDY):
            folder.mkdir(parents=True, exist_ok=True)
            self.finished = self._read_summary()
            if self.finished:
                self._journal.unlink(missing_ok=True)  # of a process killed between the last two steps
            else:
                self._read_journal()

    def __contains__(self, piece: str) -> bool:
        return piece in self._pieces

    @property
    def pieces(self) -> Mapping[str, Mapping[str, Any]]:
        """The facts of each whole piece, in the order in which they came."""
        return self._pieces

    def keep(
        self,
        piece: str,
        documents: Iterable[Document] = (),
        left_out: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a whole piece to the disk.

        Args:
            piece: its name.
            documents: what it brought; of two with one id the later stays.
            left_out: the reason for each id that gives no document.
            facts: what the next process must know, as JSON values.
        """
        end = {"piece": piece, "left_out": dict(left_out or {}), "facts": dict(facts or {})}
        rows = [asdict(document) for document in documents]
        with disk_faults_named(self._journal, _REMEDY), self._journal.open("ab") as file:
            place = file.tell()
            lines = [_line(row) for row in (*rows, end)]
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        for row, line in zip(rows, lines[:-1], strict=True):
            self._places[row["id"]] = place
            place += len(line)
        self._note(end)

    def finish(self, left_out: Mapping[str, str] | None = None) -> Path:
        """Write the two final files, take the journal away and return the documents' path."""
        without = {**self._left_out, **(left_out or {})}
        reasons: dict[str, list[str]] = {}
        for key in sorted(without.keys() - self._places.keys()):
            reasons.setdefault(without[key], []).append(key)
        summary = {"asked": self._asked, "documents": len(self._places), "left_out": reasons}
        with disk_faults_named(self.documents, _REMEDY):
            partial = self.documents.with_name(f".{self.documents.name}.partial")
            with self._journal.open("rb") as source, partial.open("wb") as target:
                for key in sorted(self._places):
                    source.seek(self._places[key])
                    target.write(source.readline())
                target.flush()
                os.fsync(target.fileno())
            partial.replace(self.documents)
            write_atomic(self._summary, json.dumps(summary, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
            self._journal.unlink()
        for reason, ids in sorted(reasons.items()):
            log.info("%s: %d left out: %s", self.documents.parent, len(ids), reason)
        if not self._places:
            log.info("%s: no document came of %s", self.documents.parent, json.dumps(self._asked)[:300])
        self.finished = True
        return self.documents

    def _note(self, end: Mapping[str, Any]) -> None:
        self._pieces[end["piece"]] = end["facts"]
        self._left_out |= end["left_out"]

    def _read_summary(self) -> bool:
        """Whether the work was done before."""
        if not (self._summary.is_file() and self.documents.is_file()):
            return False
        self._check_asked(json.loads(self._summary.read_text(encoding="utf-8"))["asked"])
        return True

    def _read_journal(self) -> None:
        """Take up what earlier processes finished, and cut off what the last one did not."""
        good = place = 0
        begun: dict[str, int] = {}
        self._journal.touch()
        with self._journal.open("rb+") as file:
            for line in file:
                row = _row(line)
                if row is None:
                    break
                if "asked" in row:
                    self._check_asked(row["asked"])
                elif "piece" in row:
                    self._places |= begun
                    self._note(row)
                else:
                    begun[row["id"]] = place
                place += len(line)
                if "id" not in row:
                    good, begun = place, {}
            file.truncate(good)
            if not good:
                file.seek(0)
                file.write(_line({"asked": self._asked}))
                file.flush()
                os.fsync(file.fileno())

    def _check_asked(self, asked: Any) -> None:
        if asked != self._asked:
            raise KedrecError(
                f"{self.documents.parent}: the folder was begun for {json.dumps(asked)[:300]}, not for "
                f"{json.dumps(self._asked)[:300]}; take another folder, or delete this one"
            )


def _line(row: Mapping[str, Any]) -> bytes:
    """Return a row as a line; half a surrogate pair, which JSON can hold and UTF-8 cannot, becomes ``?``."""
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _row(line: bytes) -> dict[str, Any] | None:
    """Return a line's object; ``None`` of a line that was torn."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) and row.keys() & {"asked", "piece", "id"} else None
