"""The meaning of a server's answer: complete or truncated, worth another try or not, and which parts may be shown."""

import gzip
import logging
import re
import time
import zlib
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, unquote_plus, urlencode, urlsplit, urlunsplit

from kedrec.errors import KedrecError

if TYPE_CHECKING:
    import httpx

_AGAIN = frozenset({408, 425, 429})  # and 500 to 599, except those in _NEVER
_NEVER = frozenset({501, 505})
_SECRET = re.compile(  # query_key and pageToken are no secrets: they name a position in a list of results
    r"(?<!query_)key|(?<!page)token|secret|passw|signature|credential|authorization|cookie", re.IGNORECASE
)
_EXCERPT = 200  # characters of a server's explanation


class StatusError(KedrecError):
    """An answer with a status that another try would not change.

    Args:
        message: what, where, and what to do.
        status: the number, such as 404.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AgainError(Exception):
    """An answer that is worth another try.

    Args:
        reason: of the failure.
        after: seconds that the server asks to wait.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def check_status(answer: "httpx.Response", *, private: bool) -> None:
    """Raise a failure that another try may fix as `AgainError`, and any other as `StatusError`.

    Args:
        answer: status, and body if it explains the failure in plain text.
        private: whether the request holds a key; then the body, which may repeat it, is not shown.
    """
    if answer.is_success:
        return
    code = answer.status_code
    reason = f"status {code} {answer.reason_phrase}".strip()
    if code in _AGAIN or (code >= 500 and code not in _NEVER):
        raise AgainError(reason, retry_after(answer.headers.get("retry-after", "")))
    remedy = "check the key and its permissions" if code in (401, 403) else "check the address and the query"
    explanation = "" if private else _explanation(answer)
    raise StatusError(f"{shown(str(answer.request.url))}: {reason}{explanation}; {remedy}", code)


def _explanation(answer: "httpx.Response") -> str:
    import httpx

    if not answer.headers.get("content-type", "").startswith(("text/plain", "application/json")):
        return ""
    try:
        text = whole_body(answer).decode(errors="replace")
    except (httpx.HTTPError, AgainError):
        return ""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return f" ({text[:_EXCERPT]})" if text else ""


def retry_after(header: str) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date; ``None`` for anything else."""
    if re.fullmatch(r"\s*[0-9]{1,12}\s*", header):
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time())


def whole_body(answer: "httpx.Response") -> bytes:
    """Read and decode a body; httpx's own decoder does not notice that a gzip body is truncated.

    Raises:
        AgainError: the body is truncated or damaged, or in a coding that was not requested.
    """
    raw = b"".join(answer.iter_raw())
    coding = answer.headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return raw
    if coding not in ("gzip", "x-gzip"):
        raise AgainError(f"answered in the coding {coding!r}, which was not requested")
    if not raw:
        raise AgainError("answered an empty gzip body")
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise AgainError(f"its gzip body is damaged or cut short ({fault})") from fault


def is_html(body: bytes) -> bool:
    """Whether a body starts like a page of HTML."""
    start = body[:500].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    page = (b"<!doctype html", b"<html")
    return start.startswith(page) or (start.startswith(b"<?xml") and any(tag in start for tag in page))


def shown(address: str) -> str:
    """Return an address for messages: without user, password, query and fragment."""
    parts = _split(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def without_secrets(address: str) -> str:
    """Return an address for files: without user and password, and without keys and tokens in the query."""
    parts = _split(address)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if not is_secret(name)]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(query), ""))


def is_secret(name: str) -> bool:
    """Whether a header or parameter of this name holds a secret, such as a key."""
    return _SECRET.search(name) is not None


def secrets_of(address: str) -> list[str]:
    """Return the keys and tokens in the query of an address."""
    return [value for name, value in parse_qsl(_split(address).query) if is_secret(name)]


def holds_any(address: str, secrets: list[str]) -> bool:
    """Whether an address contains one of the secrets, plain or encoded."""
    return any(secret in text for secret in secrets for text in (address, unquote_plus(address)))


def hidden(text: str, secrets: list[str]) -> str:
    """Return a text with each secret replaced by ``(key)``."""
    for secret in secrets:
        text = text.replace(secret, "(key)")
    return text


def hide_query(record: logging.LogRecord) -> bool:
    """Remove keys from a line that httpx logs: its address is shown as in messages."""
    import httpx

    if isinstance(record.args, tuple):
        record.args = tuple(shown(str(value)) if isinstance(value, httpx.URL) else value for value in record.args)
    return True


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # such as a bracket that nothing closes
        return urlsplit(re.sub(r"[\[\]]|\?.*", "", address, flags=re.DOTALL))
