"""A server of OpenAI's protocol (OpenAI, vLLM, TGI, Ollama, `transformers serve`): its address, key, and errors.

The `openai` client speaks the protocol; what an error means, and whether another try may help, is decided here.
"""

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from kedrec.errors import KedrecError
from kedrec.sources.http.responses import AgainError, retry_after
from kedrec.sources.http.retry import RetryPolicy

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

OPENAI = "https://api.openai.com/v1"
_AGAIN = frozenset({408, 409, 425, 429})  # and 500 to 599
_REFUSED = frozenset({400, 413, 422})
_TRIES_TO_CONNECT = 2  # to a server that has never answered
_EXCERPT = 300  # characters of a server's own explanation


class RefusedError(Exception):
    """The server refuses this request, however often it is sent; the message is its reason."""


class FailedError(AgainError):
    """A try that failed and may succeed later.

    Args:
        reason: of the failure.
        after: seconds that the server asks to wait.
        charged: whether the server may have charged for an answer, although no complete answer arrived.
        reached: whether the server was reached.
    """

    def __init__(self, reason: str, after: float | None = None, *, charged: bool = False, reached: bool = True) -> None:
        super().__init__(reason, after)
        self.charged = charged
        self.reached = reached


class Endpoint:
    """The address of a server of OpenAI's protocol, and how to retry.

    No connection is opened, and no key is needed, before `client`.

    Args:
        base_url: the address, up to and with ``/v1``.
        model: the model's name on that server.
        key_variable: name of the environment variable that holds the key; ``None`` takes ``OPENAI_API_KEY`` for
            OpenAI's own address and sends no key to any other.
        timeout: seconds for one complete answer.
        tries: of one request, the first included.
        patience: the longest wait between two tries, seconds; a server that asks for more ends the run.
        pause: approximate wait before the second try, seconds; doubled with each further try.

    Raises:
        KedrecError: the address is not valid.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key_variable: str | None,
        timeout: float,
        tries: int = 6,
        patience: float = 120.0,
        pause: float = 1.0,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise KedrecError(f"base_url: {base_url!r} is no address; expected one like http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query:
            raise KedrecError(
                "base_url: it holds a user, a password or a query; put the key into an environment variable"
            )
        self.base_url = base_url.rstrip("/")
        self.model = model
        own = parts.hostname == urlsplit(OPENAI).hostname
        self.key_variable = key_variable or ("OPENAI_API_KEY" if own else None)
        self.timeout = timeout
        self.tries = tries
        self.patience = patience
        self.pause = pause
        self.local = _is_loopback(parts.hostname)
        self._answered = False

    def client(self) -> "openai.AsyncOpenAI":
        """Return a client that tries once; close it after use.

        Raises:
            KedrecError: the key is not in the environment.
        """
        import openai

        for name in ("httpx2", "httpx", "openai"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they log addresses, and texts at debug level
        # Text sent to a server on this machine must stay here: it goes to no proxy of the environment, and no
        # redirect sends it on.
        transport = openai.DefaultAsyncHttpxClient(
            follow_redirects=False, trust_env=not self.local, timeout=self.timeout
        )
        return openai.AsyncOpenAI(
            base_url=self.base_url, api_key=self._key() or "none", max_retries=0, http_client=transport
        )

    async def patiently(self, once: Callable[[], Awaitable[T]], stopping: asyncio.Event) -> T:
        """Return what ``once`` returns, with retries after an error that may pass.

        Args:
            once: one try; raises the errors that `judged` returns.
            stopping: when set, no further try is made.

        Raises:
            RefusedError: the server refuses this request.
            KedrecError: no tries are left, or no try would help.
        """
        import tenacity

        tried = 0

        def hopeless(fault: BaseException) -> bool:
            absent = isinstance(fault, FailedError) and not fault.reached and not self._answered
            return (absent and tried >= _TRIES_TO_CONNECT) or stopping.is_set()

        async def sleep(seconds: float) -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), seconds)

        async def attempt() -> T:  # tenacity awaits what is a coroutine function itself, not what returns a coroutine
            nonlocal tried
            tried += 1
            return await once()

        policy = RetryPolicy(self.tries, self.patience, self.pause)
        retrying = tenacity.AsyncRetrying(**policy.arguments((FailedError,), hopeless=hopeless), sleep=sleep)
        try:
            found: T = await retrying(attempt)
        except FailedError as fault:
            raise self._given_up(fault, tried) from fault
        self._answered = True
        return found

    def _given_up(self, fault: FailedError, tried: int) -> KedrecError:
        requested = f" (it asks to wait {fault.after:.0f} s)" if fault.after else ""
        remedy = "start again later" if fault.reached else "check base_url, and that the server runs"
        return KedrecError(
            f"{self.base_url}: {fault}{requested}, after {tried} {'try' if tried == 1 else 'tries'}; {remedy}: the "
            "answers so far are stored"
        )

    def judged(self, fault: Exception) -> Exception:
        """Return the meaning of an error of the client: `FailedError`, `RefusedError` or `KedrecError`."""
        import openai

        if isinstance(fault, TimeoutError):
            return FailedError(f"no answer within {self.timeout:.0f} s", charged=True)
        if isinstance(fault, openai.APIStatusError):
            return self._status(fault)
        if isinstance(fault, openai.APIConnectionError):
            cause = type(fault.__cause__).__name__
            if cause in ("ConnectError", "ConnectTimeout"):
                return FailedError(f"cannot connect ({_said(fault.__cause__)})", reached=False)
            return FailedError(f"the connection broke off ({cause})", charged=True)
        if isinstance(fault, openai.APIError):  # an event of a stream
            return FailedError(f"it reports a fault ({self._plain(fault.message)})", charged=True)
        return FailedError(f"its answer cannot be read ({self._plain(str(fault))})", charged=True)

    def _status(self, fault: "openai.APIStatusError") -> Exception:
        """Return the meaning of a status of 300 or more."""
        code, said = fault.status_code, self._plain(_explanation(fault.body))
        if fault.code == "insufficient_quota":
            remedy = "the account's quota is used up; the answers so far are stored"
        elif code in (401, 403):
            where = f"the key in {self.key_variable}" if self.key_variable else "key_variable: the server needs a key"
            remedy = f"the key is not accepted; check {where}"
        elif code == 404:
            remedy = (
                f"it does not know the model {self.model!r} ({said}); check the name (`curl {self.base_url}/models` "
                "lists them), and that base_url ends as the server wants, mostly in /v1"
            )
        elif code in _AGAIN or code >= 500:
            return FailedError(f"status {code}", retry_after(fault.response.headers.get("retry-after", "")))
        elif code in _REFUSED:
            return RefusedError(f"status {code}: {said}")
        elif code < 400:
            remedy = "it redirects to another address; set base_url to that"
        else:
            remedy = f"{said}; check base_url and the model"
        return KedrecError(f"{self.base_url}: status {code}, {remedy}")

    def _key(self) -> str:
        if self.key_variable is None:
            return ""
        key = os.environ.get(self.key_variable, "").strip()
        if not key and not self.local:
            raise KedrecError(
                f"{self.base_url}: the environment variable {self.key_variable} holds no key; set it, in the shell and "
                "not in a file of the experiment"
            )
        return key

    def _plain(self, text: str) -> str:
        """Return the start of a server's message on one line, without the key."""
        key = self._key() if self.key_variable and os.environ.get(self.key_variable) else ""
        line = " ".join(text.replace(key, "…").split() if key else text.split())
        return line[:_EXCERPT] or "no reason given"


def _explanation(body: object) -> str:
    """Return the message in the body of an error, in the form of any server."""
    if isinstance(body, dict):
        found = body.get("message") or body.get("detail") or body.get("error") or body
        return found if isinstance(found, str) else json.dumps(found, default=str)
    return body if isinstance(body, str) else ""


def _said(fault: BaseException | None) -> str:
    return str(fault) or type(fault).__name__


def _is_loopback(host: str) -> bool:
    """Whether an address is of this machine; of names only localhost is."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
