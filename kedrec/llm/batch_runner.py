"""Answers to many requests: from the log if it has them, otherwise from the model."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kedrec.errors import KedrecError
from kedrec.llm.answer_cache import AnswerLog
from kedrec.llm.budget import worst_cost
from kedrec.llm.language_model import Ask, refuse_unless_local
from kedrec.llm.requests import REFUSED, Answer, Prices, Request
from kedrec.runtime.preparation_plan import Stage
from kedrec.runtime.progress import tell

_HOPELESS = 5  # refused requests with no answer at all after which the run ends


@dataclass(frozen=True)
class Plan:
    """The requests that a run would send.

    Attributes:
        requests: number of distinct requests.
        missing: number of requests without an answer in the log.
        prompt_tokens: estimate for the missing requests.
        completion_tokens: bound for the missing requests.
        cost: bound for the missing requests, US dollars; it counts one token a byte of the prompts, so that the real
            cost is several times smaller.
    """

    requests: int
    missing: int
    prompt_tokens: int
    completion_tokens: int
    cost: float

    def stage(self, name: str) -> Stage:
        """Return the plan as a stage of a preparation with this name."""
        work = {
            "questions to ask": self.missing,
            "tokens of prompts, about": self.prompt_tokens,
            "tokens of answers, at most": self.completion_tokens,
            "US dollars, at most": self.cost,
        }
        return Stage(name, not self.missing, work)


def plan(model: Ask, requests: Sequence[Request], kept: Collection[str]) -> Plan:
    """Return how many answers are missing and their cost; opens no connection and writes nothing.

    Args:
        model: that would answer.
        requests: of the run.
        kept: keys of the stored answers, as `kedrec.llm.answer_cache.known` reads them.

    Raises:
        KedrecError: the requests are ``local_only`` and the model is not on this machine.
    """
    refuse_unless_local(model, requests)
    distinct = {request.key(model.name): request for request in requests}
    missing = [request for key, request in distinct.items() if key not in kept]
    return Plan(
        requests=len(distinct),
        missing=len(missing),
        prompt_tokens=sum(request.about_prompt_tokens for request in missing),
        completion_tokens=sum(request.max_tokens for request in missing),
        cost=sum(worst_cost(request, model.prices) for request in missing),
    )


def answer_all(model: Ask, requests: Sequence[Request], log: AnswerLog) -> list[Answer]:
    """Return the answers in the order of the requests; only requests without an answer in the log are sent, each once.

    A request that the server refuses, for example because it is too long, gets an answer with ``finish="refused"``,
    which is not stored: the next run sends the request again.

    Args:
        model: not used if the log has every answer.
        requests: of the run.
        log: stores each answer as soon as it arrives.

    Raises:
        KedrecError: patient data for a model that is not on this machine; the model cannot be reached; the budget is
            spent; the server refuses every request. The answers so far are stored.
    """
    refuse_unless_local(model, requests)
    keys = [request.key(model.name) for request in requests]
    missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in log}
    refused: dict[str, Answer] = {}
    if missing:
        _bound_needs_prices(model, log)
        sent, done = list(missing.items()), 0

        def keep(index: int, answer: Answer) -> None:
            nonlocal done
            key, request = sent[index]
            if answer.finish == REFUSED:
                refused[key] = answer
                if len(refused) == min(_HOPELESS, len(sent)) and model.name not in log.ledger.tallies:
                    raise KedrecError(f"the teacher {model.name!r} refuses these requests: {answer.text}")
            else:
                log.keep(model.name, request, answer)
                done += 1
            tell("answers of the teacher", done + len(refused), len(sent))

        model.ask([request for _, request in sent], log.ledger, keep)
    return [refused[key] if key in refused else log[key] for key in keys]


def _bound_needs_prices(model: Ask, log: AnswerLog) -> None:
    prices: Prices | None = model.prices
    if log.ledger.max_cost is not None and prices is None and not model.local:
        raise KedrecError(
            f"max_cost is set, but the teacher {model.name!r} has no prices; set prices: {{input: …, output: …}}, US "
            "dollars a million tokens (0 and 0 for a server of your own)"
        )
