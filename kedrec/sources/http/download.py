"""A file that is still coming: what there is of it, how to ask for the rest, and when it is whole."""

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

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all where told

_LOOKED_AT = 512  # bytes of a file that are looked at before the first is written


class Unfinished:
    """The part of a file that has come, kept in two hidden files beside the place of the whole one.

    The second holds the address and the server's validator, by which the server tells whether the file that it has now
    is still the one that was begun. One process at a time: the caller holds a lock.

    Args:
        place: where the whole file appears.
        url: where it comes from.
        sha256: of the whole file, in hex; where it is known, a part may be gone on with from another address too.
        starts: the bytes that such a file starts with.
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
        """Bytes that have come."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def headers(self) -> dict[str, str]:
        """Return the request headers that ask for what is missing, or for all where nothing can be gone on with."""
        headers = {"Accept-Encoding": "identity"}
        told = self._told()
        if self.size >= _LOOKED_AT and (told or self.sha256):
            headers |= {"Range": f"bytes={self.size}-"} | ({"If-Range": told} if told else {})
        return headers

    def take(self, answer: "httpx.Response", progress: Progress | None = None) -> None:
        """Add what an answer of status 200, 206 or 416 brings; return if the file is then all there.

        Raises:
            AgainError: it is not all there, or the answer is not of this file; what fits is kept for the next try.
            KedrecError: the server does not say how long the file is and there is no checksum.
        """
        if answer.status_code == 416:
            self._check_end(answer)
            return
        coding = answer.headers.get("content-encoding", "identity").lower()
        if coding != "identity" and not (coding in ("gzip", "x-gzip") and self.place.suffix in (".gz", ".tgz")):
            raise AgainError(f"sent the file in the coding {coding!r}, which was not asked for")
        if answer.status_code == 206:
            total = self._check_range(answer)
            have = self.size
            blocks: Iterable[bytes] = answer.iter_raw()
        else:
            total = self._length(answer)
            have = 0
            blocks = self._checked(answer.iter_raw())  # before anything that came earlier is given up
            self.discard()
            write_atomic(self.note, f"{shown(self.url)}\n{_validator(answer.headers)}")
        have = self._write(blocks, have, total, progress)
        if total is not None and have != total:
            raise AgainError(f"the connection ended after {have:,} of {total:,} bytes")

    def finish(self) -> None:
        """Put the whole file in its place.

        Raises:
            KedrecError: its checksum is wrong; it is thrown away.
        """
        found = file_hash(self.part) if self.sha256 else None
        if found != self.sha256:
            self.discard()
            raise KedrecError(
                f"{shown(self.url)}: the file has the SHA-256 {found}, not {self.sha256}; it was thrown away: fetch it "
                "again; if it stays so, the file was changed or something on the way changes it"
            )
        self.part.replace(self.place)
        self.note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Give up what has come; the note goes first, so that no part is ever taken for another file's."""
        self.note.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _told(self) -> str:
        """Return the validator of the part that is there, if it came from the same address."""
        if not self.note.is_file():
            return ""
        address, _, validator = self.note.read_text(encoding="utf-8").partition("\n")
        return validator if address == shown(self.url) else ""

    def _check_end(self, answer: "httpx.Response") -> None:
        """Return if "nothing is there from this byte on" says that the part is the whole file."""
        end = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("content-range", "").strip())
        if end is None or int(end[1]) != self.size:
            self.discard()
            raise AgainError("what came before does not fit the file; it is fetched anew")

    def _check_range(self, answer: "httpx.Response") -> int | None:
        """Return the whole file's length of a partial answer that goes on where the part ends."""
        said = answer.headers.get("content-range", "").strip()
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said)
        told, now = self._told(), answer.headers.get("etag", "")
        other = told.startswith('"') and now.startswith('"') and told != now
        if found is None or int(found[1]) != self.size or other:
            self.discard()
            said = "another file's" if other else repr(said)
            raise AgainError(f"answered the range {said} where byte {self.size:,} on was asked for; it is fetched anew")
        return None if found[3] == "*" else int(found[3])

    def _length(self, answer: "httpx.Response") -> int | None:
        length = answer.headers.get("content-length")
        if length is not None:
            return int(length)
        if self.sha256 is None and "chunked" not in answer.headers.get("transfer-encoding", "").lower():
            raise KedrecError(
                f"{shown(self.url)}: the server does not say how long the file is, so that a cut would go unseen; give "
                "the file's SHA-256, or fetch it by other means and name the local file"
            )
        return None

    def _checked(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Return the same blocks, once the first bytes have shown that they are of such a file."""
        start = b""
        for block in blocks:
            start += block
            if len(start) >= _LOOKED_AT:
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
    """Return what names exactly these bytes, for If-Range: a strong ETag, else a date of change that is strong, or ''.

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
