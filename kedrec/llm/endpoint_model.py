"""A language model behind a server of OpenAI's protocol."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from kedrec.errors import KedrecError
from kedrec.llm.budget import Ledger, worst_cost
from kedrec.llm.endpoint import OPENAI, Endpoint, FailedError, RefusedError
from kedrec.llm.language_model import Keep, refuse_unless_local
from kedrec.llm.requests import REFUSED, Answer, Prices, Request

if TYPE_CHECKING:
    import openai

log = logging.getLogger(__name__)

_OPTIONAL = ("response_format", "stream_options", "seed")  # settings left out, in this order, if a server refuses


class EndpointModel:
    """Sends requests to an endpoint, several at a time.

    An answer is constrained to the request's JSON schema if the server supports that. If the server refuses the schema
    or the seed, the rest of the run goes without.

    Args:
        model: the model's name on that server. Together with messages and settings it names an answer in the cache. The
            address does not: the same model may move.
        base_url: the address, up to and with ``/v1``.
        key_variable: name of the environment variable that holds the key; ``None`` takes ``OPENAI_API_KEY`` for
            OpenAI's own address and sends no key to any other.
        concurrency: requests in flight at a time.
        timeout: seconds for one complete answer.
        tries: of one request, the first included; with growing waits, or those that the server asks for.
        patience: the longest wait between two tries, seconds; a server that asks for more ends the run.
        stream: whether the server sends the answer in pieces, which keeps a slow connection alive.
        prices: of tokens; ``None`` for a free server.

    Raises:
        KedrecError: the address is not valid.
    """

    def __init__(
        self,
        model: str,
        base_url: str = OPENAI,
        key_variable: str | None = None,
        concurrency: int = 8,
        timeout: float = 300.0,
        tries: int = 6,
        patience: float = 120.0,
        stream: bool = False,
        prices: Prices | None = None,
    ) -> None:
        if concurrency < 1:
            raise KedrecError(f"concurrency: {concurrency}; expected 1 or more requests in flight at a time")
        self.endpoint = Endpoint(base_url, model, key_variable, timeout, tries, patience)
        self.concurrency = concurrency
        self.stream = stream
        self._prices = prices
        self._given_up: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The model's name on the server."""
        return self.endpoint.model

    @property
    def local(self) -> bool:
        """Whether the address is of this machine (localhost, 127.0.0.0/8, ::1)."""
        return self.endpoint.local

    @property
    def prices(self) -> Prices | None:
        """Prices of tokens; ``None`` for a free server."""
        return self._prices

    def ask(self, requests: Sequence[Request], ledger: Ledger, keep: Keep) -> None:
        """Answer the requests; see `kedrec.llm.language_model.Ask.ask`.

        Raises:
            KedrecError: no key, no connection, a model that the server does not know, no tries left, or the budget
                spent. It is raised after requests in flight are answered and stored.
        """
        refuse_unless_local(self, requests)
        asyncio.run(_Run(self, ledger, keep).all(requests))

    async def send(self, client: "openai.AsyncOpenAI", request: Request, without: frozenset[str]) -> Answer:
        """Make one try, without the optional settings in ``without``.

        Raises:
            FailedError, RefusedError, KedrecError: see `Endpoint.judged`.
        """
        import openai

        body = self._body(request, without)
        try:
            async with asyncio.timeout(self.endpoint.timeout):
                made: Any = await client.chat.completions.create(**body)
                return await _streamed(made) if self.stream else _whole(made)
        except (TimeoutError, openai.APIError, ValueError) as fault:
            raise self.endpoint.judged(fault) from fault

    async def send_leaner(self, client: "openai.AsyncOpenAI", request: Request) -> Answer:
        """Make one try; if it is refused, try again without the optional settings that may be the reason."""
        without, first = self._given_up, None
        while True:
            try:
                answer = await self.send(client, request, without)
            except RefusedError as fault:
                first = first or fault
                leaner = _leaner(self._body(request, without), str(fault))
                if not leaner:
                    raise first from None
                without |= leaner
            else:
                if without - self._given_up:
                    refused = ", ".join(sorted(without - self._given_up))
                    log.warning("%s refuses %s; requests are sent without it", self.endpoint.base_url, refused)
                    self._given_up |= without
                return answer

    def _body(self, request: Request, without: frozenset[str]) -> dict[str, Any]:
        bound = "max_completion_tokens" if "max_tokens" in without else "max_tokens"
        body: dict[str, Any] = {
            "model": self.endpoint.model,
            "messages": [dict(message) for message in request.messages],
            bound: request.max_tokens,
            "seed": request.seed,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.schema is not None:
            schema = {"name": "answer", "strict": True, "schema": request.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return {name: value for name, value in body.items() if name not in without}


class _Run:
    """One call of `EndpointModel.ask`: workers that share the requests, the ledger and an event to stop."""

    def __init__(self, model: EndpointModel, ledger: Ledger, keep: Keep) -> None:
        self.model = model
        self.ledger = ledger
        self.keep = keep
        self.stopping = asyncio.Event()
        self.fault: Exception | None = None
        self.in_flight = 0
        self.settled = asyncio.Condition()

    async def all(self, requests: Sequence[Request]) -> None:
        waiting = iter(enumerate(requests))
        async with self.model.endpoint.client() as client:
            workers = (self._work(client, waiting) for _ in range(min(self.model.concurrency, len(requests))))
            await asyncio.gather(*workers)
        if self.fault:
            raise self.fault

    async def _work(self, client: "openai.AsyncOpenAI", waiting: Iterator[tuple[int, Request]]) -> None:
        for index, request in waiting:
            if self.stopping.is_set():
                return
            try:
                await self._answer(client, index, request)
            except Exception as fault:  # `all` raises it after the requests in flight
                self.fault = self.fault or fault
                self.stopping.set()

    async def _answer(self, client: "openai.AsyncOpenAI", index: int, request: Request) -> None:
        async def once() -> None:
            async with self._attempt(request) as attempt:
                try:
                    answer = await self.model.send_leaner(client, request)
                except (FailedError, RefusedError, KedrecError) as fault:
                    charged = isinstance(fault, FailedError) and fault.charged
                    if attempt is not None and not charged:
                        self.ledger.release(attempt, self.model.name)
                    raise
                self.keep(index, answer)
                if attempt is None:
                    self.ledger.count(self.model.name, answer)
                else:
                    self.ledger.settle(attempt, self.model.name, answer, self.model.prices)

        try:
            await self.model.endpoint.patiently(once, self.stopping)
        except RefusedError as fault:
            self.keep(index, Answer(str(fault), 0, 0, REFUSED))

    @asynccontextmanager
    async def _attempt(self, request: Request) -> AsyncIterator[int | None]:
        """Record the largest cost of the try made within the block; wait for others while the budget is reserved."""
        worst = worst_cost(request, self.model.prices)
        async with self.settled:
            while not self.ledger.fits(worst):
                if not self.in_flight:
                    raise self._spent()
                await self.settled.wait()
            attempt = self.ledger.begin(self.model.name, worst) if worst else None
            self.in_flight += 1
        try:
            yield attempt
        finally:
            async with self.settled:
                self.in_flight -= 1
                self.settled.notify_all()

    def _spent(self) -> KedrecError:
        bound, spent = self.ledger.max_cost or 0.0, self.ledger.spent
        return KedrecError(
            f"the teacher {self.model.name!r} has cost ${spent:.4f}, and the next answer could exceed max_cost, "
            f"${bound:.4f}; the answers so far are stored: raise max_cost and start again to get the others"
        )


def _leaner(body: Mapping[str, Any], reason: str) -> frozenset[str]:
    """Return the settings to leave out next: those that the server names, else the first optional one."""
    if "max_tokens" in body and "max_completion_tokens" in reason:
        return frozenset({"max_tokens"})
    optional = [name for name in _OPTIONAL if name in body]
    named = [name for name in optional if name in reason or name.replace("_", " ") in reason]
    return frozenset(named or optional[:1])


def _whole(made: Any) -> Answer:
    """Return the answer in a response; raises `ValueError` if the response has none."""
    choices = getattr(made, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        raise ValueError(f"no answer in {str(made)[:80]!r}")
    message, usage = choices[0].message, made.usage
    text = message.content or message.refusal or ""
    return _answer(text, usage, choices[0].finish_reason)


async def _streamed(made: Any) -> Answer:
    """Return the answer in a stream; raises `ValueError` if the stream is truncated."""
    parts: list[str] = []
    usage = finish = None
    async with made:
        async for event in made:
            usage = event.usage or usage
            for choice in event.choices or ():
                parts.append(choice.delta.content or choice.delta.refusal or "")
                finish = choice.finish_reason or finish
    if finish is None:
        raise ValueError("the stream ended in the middle of the answer")
    return _answer("".join(parts), usage, finish)


def _answer(text: str, usage: Any, finish: str | None) -> Answer:
    clean = text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written
    prompt, completion = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
    return Answer(clean, prompt, completion, finish or "stop")
