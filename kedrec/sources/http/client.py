"""An HTTP client for text and graph sources: limited rate, retries, and downloads that resume.

httpx speaks the protocol; `retry` decides when to try again, `responses` what counts as a fault, and `download` what a
cut download is worth.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kedrec.errors import KedrecError
from kedrec.sources.http.download import Progress, Unfinished
from kedrec.sources.http.responses import (
    AgainError,
    check_status,
    hidden,
    hide_query,
    holds_any,
    is_html,
    is_secret,
    secrets_of,
    shown,
    whole_body,
)
from kedrec.sources.http.retry import RetryPolicy, requested_wait
from kedrec.storage.atomic_files import disk_faults_named

if TYPE_CHECKING:
    import httpx

__all__ = ["Progress", "Web", "offline"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_OFFLINE = ("KEDREC_OFFLINE", "HF_HUB_OFFLINE")
_REDIRECTS = 10  # of one request
_LONG = 5.0  # seconds; a longer wait is logged


class Web:
    """A client for one service; threads may share it.

    Args:
        rate: requests a second, at most.
        tries: of one request, the first included; of a download, tries in a row without a new byte.
        timeout: seconds without a byte after which a try has failed.
        patience: the longest wait between two tries, seconds; a server that asks for more ends the request.
        headers: sent with each request, but not to another host that the service redirects to.

    Raises:
        KedrecError: from each method, after the last try, or at once if another try cannot help (a wrong checksum,
            offline mode; a status as a `StatusError`). The message names the address without its query.
    """

    def __init__(
        self,
        rate: float = 3.0,
        tries: int = 6,
        timeout: float = 60.0,
        patience: float = 120.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.interval = 1.0 / rate
        self.tries = tries
        self.timeout = timeout
        self.patience = patience
        self.headers = dict(headers or {})
        self.requests = 0
        self._next = 0.0
        self._turn = threading.Lock()
        self._made: httpx.Client | None = None

    def get(self, url: str, parse: Callable[[bytes], T], params: Mapping[str, str] | None = None) -> T:
        """Return ``parse`` of the body; if that raises ``ValueError``, the request is sent again."""
        return self._ask("GET", url, parse, params=dict(params) if params else None)

    def post(self, url: str, parse: Callable[[bytes], T], form: Mapping[str, str]) -> T:
        """The same by POST, for a long query, or for one with a key, which must not be in the address."""
        return self._ask("POST", url, parse, data=dict(form))

    def download(
        self,
        url: str,
        place: Path,
        *,
        sha256: str | None = None,
        starts: bytes = b"",
        progress: Progress | None = None,
    ) -> Path:
        """Download a file to ``place``, and resume an earlier download of the same address.

        Only one process may do so at a time: the partial file is not locked (`Store.get` locks what it builds).

        Args:
            url: the address.
            place: path of the complete, checked file.
            sha256: of the file, in hex; ``None`` checks the length that the server states.
            starts: the bytes with which such a file starts; a page of HTML is recognised even without.
            progress: called with the bytes so far and in all.
        """
        _refuse_offline(url)
        remedy = "free some space and start again: the download resumes"
        with disk_faults_named(place, remedy):
            place.parent.mkdir(parents=True, exist_ok=True)
            file = Unfinished(place, url, sha256, starts)

            def once() -> None:
                with self._send("GET", url, headers=file.headers()) as answer:
                    if answer.status_code != 416 or not file.size:
                        check_status(answer, private=True)
                    file.take(answer, progress)

            self._patiently(url, once, lambda: file.size)
            file.finish()
        return place

    def _ask(self, method: str, url: str, parse: Callable[[bytes], T], **request: Any) -> T:
        _refuse_offline(url)
        sent = {**(request.get("params") or {}), **request.get("data", {}), **self.headers}
        secrets = [*secrets_of(url), *(value for name, value in sent.items() if is_secret(name) and value)]

        def once() -> T:
            with self._send(method, url, **request) as answer:
                check_status(answer, private=bool(secrets))
                body = whole_body(answer)
            try:
                return parse(body)
            except ValueError as fault:
                kind = "a page of HTML" if is_html(body) else f"{len(body):,} bytes"
                raise AgainError(f"answered {kind} that cannot be read ({hidden(str(fault), secrets)})") from None

        return self._patiently(url, once)

    @contextmanager
    def _send(self, method: str, url: str, **request: Any) -> "Iterator[httpx.Response]":
        """Send a request and follow redirects; another host gets no keys."""
        import httpx

        try:
            following: httpx.Request | None = self._client().build_request(method, url, **request)
        except httpx.InvalidURL:
            raise KedrecError(f"{shown(url)!r}: not a valid address; check it") from None
        for _ in range(_REDIRECTS):
            assert following is not None
            self._wait_turn()
            sent = following
            answer = self._client().send(sent, stream=True, follow_redirects=False)
            with closing(answer):
                following = answer.next_request
                if following is None:
                    yield answer
                    return
            self._strip(sent, following)
        raise KedrecError(f"{shown(url)}: redirected more than {_REDIRECTS} times; check the address")

    def _strip(self, sent: "httpx.Request", following: "httpx.Request") -> None:
        """Remove headers for one host from a request that is redirected to another."""
        here, there = sent.url, following.url
        upgraded = here.scheme == "http" and there.scheme == "https" and (here.port, there.port) == (None, None)
        if here.host == there.host and (upgraded or (here.scheme, here.port) == (there.scheme, there.port)):
            return
        for name in self.headers:
            if name.lower() != "user-agent":
                following.headers.pop(name, None)
        if following.method not in ("GET", "HEAD") or holds_any(str(there), secrets_of(str(here))):
            raise KedrecError(
                f"{shown(str(here))}: it redirects to another host, {there.host}, which would receive the request and "
                "its key; refused: check the address"
            )

    def _patiently(self, url: str, once: Callable[[], T], grown: Callable[[], int] = lambda: 0) -> T:
        """Return what ``once`` returns, with retries; a try after which ``grown`` has increased does not count."""
        import httpx
        import tenacity

        most, vain = grown(), 0

        def attempt() -> T:
            nonlocal most, vain
            try:
                return once()
            except (httpx.LocalProtocolError, httpx.UnsupportedProtocol):  # their messages may show a key
                raise KedrecError(
                    f"{shown(url)}: no request can be sent; check that the address starts with http:// or https:// "
                    "and that no key holds a line end"
                ) from None
            except faults:
                vain = 1 if grown() > most else vain + 1
                most = max(most, grown())
                raise

        def tell(state: tenacity.RetryCallState) -> None:
            if state.outcome and state.upcoming_sleep >= _LONG:
                fault = state.outcome.exception()
                log.warning("%s: %s; trying again in %.0f s", shown(url), _said(fault), state.upcoming_sleep)

        faults = (AgainError, httpx.TransportError)
        policy = RetryPolicy(self.tries, self.patience, self.interval)
        retrying = tenacity.Retrying(**policy.arguments(faults, lambda _: vain), before_sleep=tell)
        try:
            return retrying(attempt)
        except faults as fault:
            tried = retrying.statistics.get("attempt_number", 1)
            after = requested_wait(fault)
            requested = f" (the server asks to wait {after:,.0f} s)" if after and after > self.patience else ""
            resumed = ": the download then resumes" if most else ""
            raise KedrecError(
                f"{shown(url)}: {_said(fault)}{requested}, after {tried} {'try' if tried == 1 else 'tries'}; check the "
                f"network and the address, or start again later{resumed}"
            ) from fault

    def _wait_turn(self) -> None:
        """Wait until the next request may start."""
        with self._turn:
            now = time.monotonic()
            pause = self._next - now
            self._next = max(now, self._next) + self.interval
            self.requests += 1
        if pause > 0:
            time.sleep(pause)

    def _client(self) -> "httpx.Client":
        import httpx

        with self._turn:
            if self._made is None:
                logging.getLogger("httpx").setLevel(logging.WARNING)  # no line for each request
                logging.getLogger("httpx").addFilter(hide_query)
                always = {"User-Agent": "kedrec (research; https://pypi.org/project/kedrec)", "Accept-Encoding": "gzip"}
                try:
                    self._made = httpx.Client(timeout=self.timeout, headers={**always, **self.headers})
                except UnicodeEncodeError:
                    names = ", ".join(name for name, value in self.headers.items() if not value.isascii())
                    raise KedrecError(f"the header {names}: a character is not ASCII; check the key") from None
            return self._made


def offline() -> bool:
    """Whether the user has turned the network off by ``KEDREC_OFFLINE`` or ``HF_HUB_OFFLINE``."""
    return _offline_variable() is not None


def _offline_variable() -> str | None:
    """Return the name of the variable that turns the network off."""
    return next((name for name in _OFFLINE if os.environ.get(name, "").upper() in ("1", "TRUE", "YES", "ON")), None)


def _refuse_offline(url: str) -> None:
    if name := _offline_variable():
        raise KedrecError(
            f"{shown(url)}: not downloaded, because {name} is set; run `python -m kedrec.prepare` with the same "
            "experiment where there is a network, or unset the variable"
        )


def _said(fault: BaseException | None) -> str:
    return str(fault) or type(fault).__name__
