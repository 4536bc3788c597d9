"""Vectors of texts from a server of OpenAI's protocol, e.g. the text-embedding-3-small that LLaDR uses."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kedrec.errors import KedrecError
from kedrec.llm.endpoint import OPENAI, Endpoint, RefusedError
from kedrec.retrieval.bi_encoder import Encoder, Vectors
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic

if TYPE_CHECKING:
    import openai

_BATCH = 128  # texts of a request
_BYTES = 200_000  # of a request's texts, about: servers bound the tokens of one request


class TextEncoder(Protocol):
    """Embeds the texts of entities: `Encoder`, or `EndpointEncoder`."""

    @property
    def identity(self) -> str:
        """Changes with whatever changes the vectors."""
        ...

    @property
    def dimension(self) -> int:
        """Of a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors, (texts, dim), in their order."""
        ...


def text_encoder(name: str, store: Store) -> TextEncoder:
    """Return the encoder of a name.

    Args:
        name: ``https://host/v1#model`` for a model behind a server of OpenAI's protocol; all else is for `Encoder`.
        store: keeps the dimension of the server's model.

    Raises:
        KedrecError: there is no such encoder.
    """
    if not name.startswith(("http://", "https://")):
        return Encoder(name)
    address, _, model = name.partition("#")
    if not model:
        raise KedrecError(f"encoder {name!r}: expected an address and a model, such as {OPENAI}#text-embedding-3-small")
    return EndpointEncoder(model, address, store=store)


class EndpointEncoder:
    """Embeds texts with a model behind a server; vectors are scaled to length 1.

    Args:
        model: the model's name on that server; the address is no part of the vectors' identity, as a model may move.
        base_url: the address, up to and with ``/v1``.
        key_variable: name of the environment variable that holds the key; ``None`` takes ``OPENAI_API_KEY`` for
            OpenAI's own address and sends no key to any other.
        concurrency: requests in flight at a time, each of up to 128 texts.
        timeout: seconds for one request.
        store: keeps the dimension, so that a run whose vectors are all stored opens no connection.

    Raises:
        KedrecError: the address is none; from the methods: no key, no connection, a model that does not embed.
    """

    def __init__(
        self,
        model: str,
        base_url: str = OPENAI,
        key_variable: str | None = None,
        concurrency: int = 4,
        timeout: float = 120.0,
        store: Store | None = None,
    ) -> None:
        self.endpoint = Endpoint(base_url, model, key_variable, timeout)
        self.concurrency = concurrency
        self.store = store or Store()

    @property
    def identity(self) -> str:
        """32 hex digits of the model's name."""
        return hashlib.sha256(json.dumps(["endpoint", self.endpoint.model]).encode()).hexdigest()[:32]

    @cached_property
    def dimension(self) -> int:
        """Length of a vector, from a first request."""

        def build(folder: Path) -> None:
            write_atomic(folder / "dimension.json", json.dumps(self.encode(["aspirin"]).shape[1]))

        folder = self.store.get("endpoint_encoder", {"encoder": self.identity}, build)
        return int(json.loads((folder / "dimension.json").read_text(encoding="utf-8")))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors, (texts, dim), in their order; a text longer than the model's limit is an error."""
        return asyncio.run(self._all(texts))

    async def _all(self, texts: Sequence[str]) -> Vectors:
        places = _batches(texts)
        turn = asyncio.Semaphore(self.concurrency)
        stopping = asyncio.Event()
        async with self.endpoint.client() as client:

            async def embed(rows: range) -> Vectors:
                async with turn:
                    part = [texts[row] for row in rows]
                    return await self.endpoint.patiently(lambda: self._once(client, part), stopping)

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(embed(rows)) for rows in places]
            except ExceptionGroup as faults:
                raise self._explained(faults.exceptions[0]) from faults
        return np.concatenate([task.result() for task in tasks])

    def _explained(self, fault: Exception) -> Exception:
        if not isinstance(fault, RefusedError):
            return fault
        return KedrecError(
            f"{self.endpoint.base_url}: the model {self.endpoint.model!r} does not embed these texts ({fault}); take a "
            "model for embeddings, or shorter texts"
        )

    async def _once(self, client: "openai.AsyncOpenAI", part: list[str]) -> Vectors:
        import openai

        try:
            async with asyncio.timeout(self.endpoint.timeout):
                made: Any = await client.embeddings.create(
                    model=self.endpoint.model, input=part, encoding_format="float"
                )
            return _vectors(made, len(part))
        except (TimeoutError, openai.APIError, ValueError, TypeError) as fault:
            raise self.endpoint.judged(fault) from fault


def _vectors(made: Any, count: int) -> Vectors:
    """Return the vectors of an answer, (count, dim); an answer of another form is a `ValueError`."""
    data = sorted(getattr(made, "data", None) or (), key=lambda one: one.index)
    if [one.index for one in data] != list(range(count)):
        raise ValueError(f"{len(data)} vectors for {count} texts")
    vectors = np.array([one.embedding for one in data], dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if vectors.ndim != 2 or not np.isfinite(lengths).all() or not lengths.all():
        raise ValueError("vectors that are no numbers or zero")
    scaled: Vectors = vectors / lengths
    return scaled


def _batches(texts: Sequence[str]) -> list[range]:
    """Return the rows of the texts that go into one request each."""
    batches: list[range] = []
    start, size = 0, 0
    for row, text in enumerate(texts):
        length = len(text.encode())
        if row > start and (row - start == _BATCH or size + length > _BYTES):
            batches.append(range(start, row))
            start, size = row, 0
        size += length
    return [*batches, range(start, len(texts))]
