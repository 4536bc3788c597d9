"""HTTP as the sources need it: polite, patient, and downloads that go on where they were cut.

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
_LONG = 5.0  # seconds; a longer wait is told


class Web:
    """A client for one service; threads may share it.

    Args:
        rate: requests a second, at most.
        tries: of one request, the first included; of a download, tries in a row that bring nothing new.
        timeout: seconds without a byte before a try is given up.
        patience: the longest wait between two tries, seconds; a server that asks for more ends the request.
        headers: sent with each request, but not to another host that the service redirects to.

    Raises:
        KedrecError: from each method, after the last try, or at once for what another try cannot mend (a wrong
            checksum, no network wanted; a status as a `StatusError`); the message names the address, not its query.
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
        """Return ``parse`` of the body; a body that it refuses by ``ValueError`` is asked for again."""
        return self._ask("GET", url, parse, params=dict(params) if params else None)

    def post(self, url: str, parse: Callable[[bytes], T], form: Mapping[str, str]) -> T:
        """The same by POST: a long query, or one with a key, which then stands in no address."""
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
        """Fetch a file to ``place``, going on with what an earlier call of the same address left beside it.

        One process at a time: what is beside ``place`` is not locked (`Store.get` locks what it builds).

        Args:
            url: the address.
            place: where the whole, checked file appears.
            sha256: of the file, in hex; ``None`` takes the length that the server states for a check.
            starts: the bytes that such a file starts with; a page of HTML in its place is told even without.
            progress: told the bytes so far and in all.
        """
        _refuse_offline(url)
        remedy = "free some space and start again: what came is kept, and the download goes on"
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
        """Send a request and follow where it is sent on to, without the keys where that is another host."""
        import httpx

        try:
            following: httpx.Request | None = self._client().build_request(method, url, **request)
        except httpx.InvalidURL:
            raise KedrecError(f"{shown(url)!r}: not an address; check it") from None
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
        """Take what is meant for one host only out of a redirected request."""
        here, there = sent.url, following.url
        upgraded = here.scheme == "http" and there.scheme == "https" and (here.port, there.port) == (None, None)
        if here.host == there.host and (upgraded or (here.scheme, here.port) == (there.scheme, there.port)):
            return
        for name in self.headers:
            if name.lower() != "user-agent":
                following.headers.pop(name, None)
        if following.method not in ("GET", "HEAD") or holds_any(str(there), secrets_of(str(here))):
            raise KedrecError(
                f"{shown(str(here))}: redirects to another host, {there.host}, with what was sent here, which may "
                "hold a key; refused: check the address"
            )

    def _patiently(self, url: str, once: Callable[[], T], grown: Callable[[], int] = lambda: 0) -> T:
        """Return what ``once`` returns; tries after which ``grown`` gives more than ever are not counted."""
        import httpx
        import tenacity

        most, vain = grown(), 0

        def attempt() -> T:
            nonlocal most, vain
            try:
                return once()
            except (httpx.LocalProtocolError, httpx.UnsupportedProtocol):  # their messages may show a key
                raise KedrecError(
                    f"{shown(url)}: cannot be asked; check that the address starts with http:// or https:// "
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
            asks = f" (the server asks to wait {after:,.0f} s)" if after and after > self.patience else ""
            kept = ": what came is kept" if most else ""
            raise KedrecError(
                f"{shown(url)}: {_said(fault)}{asks}, after {tried} {'try' if tried == 1 else 'tries'}; check the "
                f"network and the address, or start again later{kept}"
            ) from fault

    def _wait_turn(self) -> None:
        """Return when the next request may start."""
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
                logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request is too much
                logging.getLogger("httpx").addFilter(hide_query)
                always = {"User-Agent": "kedrec (research; https://pypi.org/project/kedrec)", "Accept-Encoding": "gzip"}
                try:
                    self._made = httpx.Client(timeout=self.timeout, headers={**always, **self.headers})
                except UnicodeEncodeError:
                    names = ", ".join(name for name, value in self.headers.items() if not value.isascii())
                    raise KedrecError(f"the header {names} holds a letter that is not ASCII; check the key") from None
            return self._made


def offline() -> bool:
    """Whether the user wants no network: ``KEDREC_OFFLINE`` or ``HF_HUB_OFFLINE`` is set."""
    return _forbidding() is not None


def _forbidding() -> str | None:
    """Return the variable that asks for no network."""
    return next((name for name in _OFFLINE if os.environ.get(name, "").upper() in ("1", "TRUE", "YES", "ON")), None)


def _refuse_offline(url: str) -> None:
    if name := _forbidding():
        raise KedrecError(
            f"{shown(url)}: not fetched, as {name} asks for no network; run `python -m kedrec.prepare` with the same "
            "experiment where there is one, or unset it"
        )


def _said(fault: BaseException | None) -> str:
    return str(fault) or type(fault).__name__
