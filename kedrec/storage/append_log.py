"""Append-only JSONL files that survive a kill at any byte."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from kedrec.storage.atomic_files import disk_faults_named

log = logging.getLogger(__name__)

_SYNC = 1.0  # seconds between two fsyncs: a kill loses no appended line, a power cut at most those of a second


class Journal:
    """A file of JSON objects, one a line, to which one process at a time appends.

    A last line left incomplete by a kill is cut off when the file is opened. Other damaged lines, such as after a power
    cut, are skipped with a warning.

    Args:
        path: the file; created with its folder if absent.

    Raises:
        KedrecError: the disk is full or the file cannot be written, from any method.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._faults():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            repair(path)
            self._file: BinaryIO = path.open("ab")
        self._synced = time.monotonic()

    def append(self, row: Mapping[str, Any]) -> int:
        """Write a line to the file and flush it; return the offset in bytes where the line starts."""
        line = json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n"
        with self._faults():
            start = self._file.tell()
            self._file.write(line)
            self._file.flush()
            if time.monotonic() - self._synced > _SYNC:
                self._sync()
        return start

    def close(self) -> None:
        """Flush to the disk and close."""
        with self._faults():
            self._sync()
            self._file.close()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def _faults(self) -> Any:
        return disk_faults_named(self.path, "free some space and start again: earlier lines are intact")


def repair(path: Path) -> None:
    """Cut off a last line that does not end with a newline."""
    with path.open("rb+") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            log.warning("%s: its last line is incomplete, after a kill; %d bytes are cut off", path, size - end)
            file.truncate(end)


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (offset of the line in bytes, its object) for each complete line; nothing if there is no file."""
    if not path.is_file():
        return
    damaged, offset = 0, 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                row = _object(line)
                if row is not None:
                    yield offset, row
                damaged += row is None
            offset += len(line)
    if damaged:
        log.warning("%s: %d damaged lines are skipped; their requests are sent again", path, damaged)


def row_at(path: Path, offset: int) -> dict[str, Any]:
    """Return the object of the line that starts at ``offset``, in bytes."""
    with path.open("rb") as file:
        file.seek(offset)
        row = _object(file.readline())
    assert row is not None  # it was read before, and the file is only appended to
    return row


def acquire(path: Path) -> Any:
    """Return the lock of a file, acquired; if another process holds it, print that and wait."""
    from filelock import FileLock, Timeout

    with disk_faults_named(path, "free some space, or choose another folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f"{path.name}.lock"))
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            print(f"waiting for another process that writes {path}", file=sys.stderr, flush=True)
            lock.acquire()
    return lock


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
