"""A download in progress: its partial file, the request for the rest, and the check of the complete file."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from kedrec.errors import KedrecError
from kedrec.sources.http.responses import AgainError, is_html, shown
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.hashing import file_hash

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all if known

_START = 512  # bytes that are checked before the first is written


class Unfinished:
    """A partial download, in two hidden files beside the path of the complete file.

    The second file holds the address and the server's validator, from which the server knows whether its file has
    changed since. One process at a time: the caller holds a lock.

    Args:
        place: path of the complete file.
        url: address of the file.
        sha256: of the complete file, in hex; with it a download may resume from another address too.
        starts: the bytes with which such a file starts.
    """

    def __init__(self, place: Path, url: str, sha256: str | None = None, starts: bytes = b"") -> None:
        self.place = place
        self.url = url
        self.sha256 = sha256.lower() if sha256 else None
        self.starts = starts
        self.part = place.with_name(f".{place.name}.partial")
        self.note = place.with_name(f".{place.name}.validator")

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def headers(self) -> dict[str, str]:
        """Return the request headers for the missing bytes, or for the whole file if nothing can be resumed."""
        headers = {"Accept-Encoding": "identity"}
        validator = self._stored_validator()
        if self.size >= _START and (validator or self.sha256):
            headers |= {"Range": f"bytes={self.size}-"} | ({"If-Range": validator} if validator else {})
        return headers

    def take(self, answer: "httpx.Response", progress: Progress | None = None) -> None:
        """Append the content of an answer of status 200, 206 or 416; return if the file is then complete.

        Raises:
            AgainError: the file is not complete, or the answer is of another file; valid bytes stay for the next try.
            KedrecError: the server does not state the length of the file, and there is no checksum.
        """
        if answer.status_code == 416:
            self._check_end(answer)
            return
        coding = answer.headers.get("content-encoding", "identity").lower()
        if coding != "identity" and not (coding in ("gzip", "x-gzip") and self.place.suffix in (".gz", ".tgz")):
            raise AgainError(f"sent the file in the coding {coding!r}, which was not requested")
        if answer.status_code == 206:
            total = self._check_range(answer)
            have = self.size
            blocks: Iterable[bytes] = answer.iter_raw()
        else:
            total = self._length(answer)
            have = 0
            blocks = self._checked(answer.iter_raw())  # before earlier bytes are discarded
            self.discard()
            write_atomic(self.note, f"{shown(self.url)}\n{_validator(answer.headers)}")
        have = self._write(blocks, have, total, progress)
        if total is not None and have != total:
            raise AgainError(f"the connection ended after {have:,} of {total:,} bytes")

    def finish(self) -> None:
        """Check the complete file and rename it to its final name.

        Raises:
            KedrecError: the checksum is wrong; the file is deleted.
        """
        actual = file_hash(self.part) if self.sha256 else None
        if actual != self.sha256:
            self.discard()
            raise KedrecError(
                f"{shown(self.url)}: the file has the SHA-256 {actual}, not {self.sha256}; it is deleted: download it "
                "again; if that does not help, the file has changed, or a proxy changes it"
            )
        self.part.replace(self.place)
        self.note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the partial file; its note goes first, so that the part is never taken for one of another file."""
        self.note.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _stored_validator(self) -> str:
        """Return the validator of the partial file, if it is of the same address."""
        if not self.note.is_file():
            return ""
        address, _, validator = self.note.read_text(encoding="utf-8").partition("\n")
        return validator if address == shown(self.url) else ""

    def _check_end(self, answer: "httpx.Response") -> None:
        """Return if status 416, a range beyond the end, confirms that the partial file is complete."""
        end = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("content-range", "").strip())
        if end is None or int(end[1]) != self.size:
            self.discard()
            raise AgainError("the partial file does not match the file; it is downloaded again")

    def _check_range(self, answer: "httpx.Response") -> int | None:
        """Return the length of the complete file, from a partial answer that continues the partial file."""
        header = answer.headers.get("content-range", "").strip()
        span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", header)
        before, now = self._stored_validator(), answer.headers.get("etag", "")
        other = before.startswith('"') and now.startswith('"') and before != now
        if span is None or int(span[1]) != self.size or other:
            self.discard()
            answered = "of another file" if other else repr(header)
            raise AgainError(f"answered the range {answered}, not that from byte {self.size:,}; it is downloaded again")
        return None if span[3] == "*" else int(span[3])

    def _length(self, answer: "httpx.Response") -> int | None:
        length = answer.headers.get("content-length")
        if length is not None:
            return int(length)
        if self.sha256 is None and "chunked" not in answer.headers.get("transfer-encoding", "").lower():
            raise KedrecError(
                f"{shown(self.url)}: the server does not state the length of the file, so that a truncated file would "
                "not be noticed; set the file's SHA-256, or download it by other means and name the local file"
            )
        return None

    def _checked(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Return the same blocks, after checking the first bytes."""
        start = b""
        for block in blocks:
            start += block
            if len(start) >= _START:
                break
        if is_html(start) or not start.startswith(self.starts):
            kind = "a page of HTML" if is_html(start) else "something else" if start else "nothing"
            raise AgainError(f"answered {kind} in place of the file")
        return chain([start], blocks)

    def _write(self, blocks: Iterable[bytes], have: int, total: int | None, progress: Progress | None) -> int:
        with self.part.open("ab") as file:
            for block in blocks:
                file.write(block)
                have += len(block)
                if progress:
                    progress(have, total)
            file.flush()
            os.fsync(file.fileno())
        return have


def _validator(headers: Mapping[str, str]) -> str:
    """Return a validator of exactly these bytes, for If-Range: a strong ETag, else a strong date of change, or ''.

    A date is strong if the answer was sent a second or more after it (RFC 9110, section 8.8.2.2).
    """
    tag, changed = headers.get("etag", ""), headers.get("last-modified", "")
    if tag.startswith('"'):
        return tag
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(changed)
    except (ValueError, TypeError):  # not dates, or one without a time zone
        return ""
    return changed if age.total_seconds() >= 1 else ""
