"""What a server's answer means: whole or cut, worth another try or not, and what of it may be shown."""

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

_AGAIN = frozenset({408, 425, 429})  # and what begins with 5, but for the two that say "never"
_NEVER = frozenset({501, 505})
_SECRET = re.compile(  # but query_key and pageToken are what services call the place in a list of results
    r"(?<!query_)key|(?<!page)token|secret|passw|signature|credential|authorization|cookie", re.IGNORECASE
)
_EXCERPT = 200  # characters of a server's own explanation


class StatusError(KedrecError):
    """An answer whose status says that another try would not help.

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
        reason: what was wrong with it.
        after: seconds that the server asks to wait.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def check_status(answer: "httpx.Response", *, private: bool) -> None:
    """Raise what another try may mend as `AgainError`, and any other failure as `StatusError`.

    Args:
        answer: its status is looked at, and its body where it explains a failure in plain words.
        private: the request holds a key: the body, which may repeat it, is not shown.
    """
    if answer.is_success:
        return
    code = answer.status_code
    reason = f"status {code} {answer.reason_phrase}".strip()
    if code in _AGAIN or (code >= 500 and code not in _NEVER):
        raise AgainError(reason, retry_after(answer.headers.get("retry-after", "")))
    remedy = "check the key and what it allows" if code in (401, 403) else "check the address and the query"
    said = "" if private else _explanation(answer)
    raise StatusError(f"{shown(str(answer.request.url))}: {reason}{said}; {remedy}", code)


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


def retry_after(said: str) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date; ``None`` for anything else."""
    if re.fullmatch(r"\s*[0-9]{1,12}\s*", said):
        return float(said)
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time())


def whole_body(answer: "httpx.Response") -> bytes:
    """Read and decode a body; httpx's own decoder takes a gzip body that was cut short for a whole one.

    Raises:
        AgainError: the body is cut short or damaged, or in a coding that was not asked for.
    """
    raw = b"".join(answer.iter_raw())
    coding = answer.headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return raw
    if coding not in ("gzip", "x-gzip"):
        raise AgainError(f"answered in the coding {coding!r}, which was not asked for")
    if not raw:
        raise AgainError("answered an empty gzip body")
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise AgainError(f"its gzip body is damaged or cut short ({fault})") from fault


def is_html(body: bytes) -> bool:
    """Whether a body starts as a page of HTML does."""
    start = body[:500].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    page = (b"<!doctype html", b"<html")
    return start.startswith(page) or (start.startswith(b"<?xml") and any(tag in start for tag in page))


def shown(address: str) -> str:
    """Return an address as a message may show it: without user, password, query and fragment."""
    parts = _split(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def without_secrets(address: str) -> str:
    """Return an address as a file may name it: without user and password, and without the query's keys and tokens."""
    parts = _split(address)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if not is_secret(name)]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(query), ""))


def is_secret(name: str) -> bool:
    """Whether a header or a parameter of this name holds a key or the like."""
    return _SECRET.search(name) is not None


def secrets_of(address: str) -> list[str]:
    """Return the keys and tokens that stand in an address's query."""
    return [value for name, value in parse_qsl(_split(address).query) if is_secret(name)]


def holds_any(address: str, secrets: list[str]) -> bool:
    """Whether an address holds one of these texts, plain or encoded."""
    return any(secret in text for secret in secrets for text in (address, unquote_plus(address)))


def hidden(text: str, secrets: list[str]) -> str:
    """Return a text without the keys that it repeats."""
    for secret in secrets:
        text = text.replace(secret, "(key)")
    return text


def hide_query(record: logging.LogRecord) -> bool:
    """Leave keys out of a line that httpx logs: its address is shown as messages show it."""
    import httpx

    if isinstance(record.args, tuple):
        record.args = tuple(shown(str(value)) if isinstance(value, httpx.URL) else value for value in record.args)
    return True


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # such as a bracket that nothing closes
        return urlsplit(re.sub(r"[\[\]]|\?.*", "", address, flags=re.DOTALL))
