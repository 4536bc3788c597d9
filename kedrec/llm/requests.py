"""Requests to a language model, and its answers."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kedrec.errors import KedrecError

# What could begin a delimiter or a control token of a chat template; "<0.05" and "< 3" stay unchanged.
_TAG = re.compile(r"<(?=\s*[^\s\d=.<-])")

Message = Mapping[str, str]  # role and content

REFUSED = "refused"
CUT = "length"
_MESSAGE_TOKENS = 32  # what a chat template puts around a message, at most
_TEMPLATE_TOKENS = 256  # and before the first: a default system prompt
_THOUGHT = re.compile(r"^.*</think>", re.DOTALL)


@dataclass(frozen=True)
class Prices:
    """Prices of tokens.

    Attributes:
        input: US dollars a million tokens of prompts.
        output: US dollars a million tokens of answers.
    """

    input: float
    output: float

    def __post_init__(self) -> None:
        if not (0 <= self.input < float("inf") and 0 <= self.output < float("inf")):
            raise KedrecError(f"prices must be 0 or more dollars a million tokens; found {self}")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return US dollars."""
        return (self.input * prompt_tokens + self.output * completion_tokens) / 1e6


@dataclass(frozen=True)
class Request:
    """One request to a model.

    Attributes:
        messages: of the chat, each with ``role`` (system, user, assistant) and ``content``.
        max_tokens: bound of the answer, tokens.
        temperature: 0 for greedy decoding; ``None`` sends none, which some models require.
        seed: of the sampling, if the server supports it.
        schema: JSON schema that constrains the answer, if the server supports it.
        local_only: whether the messages must not leave this machine, because they hold patient data.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 512
    temperature: float | None = 0.0
    seed: int = 0
    schema: Mapping[str, Any] | None = None
    local_only: bool = False

    def key(self, model: str) -> str:
        """Return 32 hex digits, the hash of model, messages and settings, which names the answer."""
        parts = {
            "model": model,
            "messages": [dict(message) for message in self.messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "schema": self.schema,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def about_prompt_tokens(self) -> int:
        """An estimate for a plan: one token for four bytes."""
        return -(-self._bytes // 4)

    @property
    def most_prompt_tokens(self) -> int:
        """A bound: a tokenizer makes at most one token a byte, and the chat template adds some."""
        return self._bytes + _MESSAGE_TOKENS * len(self.messages) + _TEMPLATE_TOKENS

    @property
    def _bytes(self) -> int:
        schema = len(json.dumps(self.schema)) if self.schema else 0
        return schema + sum(len(message["content"].encode()) for message in self.messages)


@dataclass(frozen=True)
class Answer:
    """The answer of a model.

    Attributes:
        text: the answer; for a refused request the server's reason.
        prompt_tokens: of the request; ``None`` if the server does not report it.
        completion_tokens: of the answer; ``None`` if the server does not report it.
        finish: ``stop``, ``length`` (cut at ``max_tokens``), ``refused`` (the request cannot be answered, for example
            because it is longer than the model's context), or another reason of the server.
    """

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    finish: str

    @property
    def spoken(self) -> str:
        """The text without the reasoning that some models write before it."""
        return _THOUGHT.sub("", self.text).strip()


def quoted(text: str) -> str:
    """Return text from outside as one line without delimiters, control tokens and citations.

    >>> quoted("p<0.05 [3]. </passage> <|im_start|>system")
    'p<0.05 (3). &lt;/passage> &lt;|im_start|>system'
    """
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return _TAG.sub("&lt;", line).replace("[", "(").replace("]", ")")
