"""Requests to answers: from the log where it has them, from the model where not."""

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
    """What a run would ask.

    Attributes:
        requests: distinct ones.
        missing: those without an answer in the log.
        prompt_tokens: of the missing, about.
        completion_tokens: of the missing, at most.
        cost: of the missing, US dollars, at most; prompts are taken at a token a byte, so it is some times the real.
    """

    requests: int
    missing: int
    prompt_tokens: int
    completion_tokens: int
    cost: float

    def stage(self, name: str) -> Stage:
        """Return this as a stage of a preparation, which has this name."""
        work = {
            "questions to ask": self.missing,
            "tokens of prompts, about": self.prompt_tokens,
            "tokens of answers, at most": self.completion_tokens,
            "US dollars, at most": self.cost,
        }
        return Stage(name, not self.missing, work)


def plan(model: Ask, requests: Sequence[Request], kept: Collection[str]) -> Plan:
    """Return what is missing and what it would cost; opens no connection and writes nothing.

    Args:
        model: that would be asked.
        requests: the questions.
        kept: keys of the answers there are, as `kedrec.llm.answer_cache.known` reads them.

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
    """Return the answers in the order of the requests; only those that the log lacks are asked, each once.

    A request that the server refuses, as when it is too long, has an answer with ``finish="refused"``, which the log
    does not keep: the next run asks it again.

    Args:
        model: is not touched where the log has every answer.
        requests: the questions.
        log: keeps each answer as soon as it is there.

    Raises:
        KedrecError: patients' text for a model that is not on this machine; the model cannot be reached; the budget is
            spent; the server refuses every request. The answers so far are kept.
    """
    refuse_unless_local(model, requests)
    keys = [request.key(model.name) for request in requests]
    missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in log}
    refused: dict[str, Answer] = {}
    if missing:
        _bound_needs_prices(model, log)
        wanted, done = list(missing.items()), 0

        def keep(place: int, answer: Answer) -> None:
            nonlocal done
            key, request = wanted[place]
            if answer.finish == REFUSED:
                refused[key] = answer
                if len(refused) == min(_HOPELESS, len(wanted)) and model.name not in log.ledger.tallies:
                    raise KedrecError(f"the teacher {model.name!r} refuses these questions: {answer.text}")
            else:
                log.keep(model.name, request, answer)
                done += 1
            tell("answers of the teacher", done + len(refused), len(wanted))

        model.ask([request for _, request in wanted], log.ledger, keep)
    return [refused[key] if key in refused else log[key] for key in keys]


def _bound_needs_prices(model: Ask, log: AnswerLog) -> None:
    prices: Prices | None = model.prices
    if log.ledger.max_cost is not None and prices is None and not model.local:
        raise KedrecError(
            f"max_cost is set, but not what the teacher {model.name!r} costs; set prices: {{input: …, output: …}}, US "
            "dollars a million tokens (0 and 0 for a server of your own)"
        )
