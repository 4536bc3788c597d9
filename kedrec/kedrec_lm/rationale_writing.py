"""A language model's rationales for many cases: requested, checked, and written with the rejected ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedrec.kedrec_lm.answer_checks import Verdict, judge
from kedrec.kedrec_lm.rationale_cases import Case
from kedrec.kedrec_lm.rationale_teachers import ACCEPTED, REJECTED, Report
from kedrec.kedrec_lm.teacher_prompts import RationaleSettings, rationale_prompt, repair
from kedrec.llm.answer_cache import AnswerLog
from kedrec.llm.batch_runner import answer_all
from kedrec.llm.language_model import Ask, refuse_unless_local
from kedrec.llm.requests import Answer, Prices, Request
from kedrec.runtime.preparation_plan import Stage
from kedrec.storage.jsonl import write_jsonl

_UNSEEN_BYTES = 4  # of a token that is not known yet, as `Request.about_prompt_tokens` counts
_ANSWER = "x" * 8  # for a token of an answer not known yet: English has half of that
_FAULT = "x" * 200  # for the message on an answer that cannot be used


@dataclass(frozen=True)
class RationalePlan:
    """The requests that a run would send, and their cost.

    Attributes:
        questions: requests that are certain: first ones, and repairs that a stopped run left.
        again: most repairs that the answers to first requests may need.
        about_tokens: of the prompts of ``questions``, about.
        prompt_tokens: of all prompts, at most, as the ledger of ``max_cost`` bounds them: a token a byte.
        answer_tokens: of all answers, at most.
    """

    questions: int = 0
    again: int = 0
    about_tokens: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0

    def stage(self, name: str, prices: Prices | None, unseen: int = 0) -> Stage:
        """Return this as a stage of a preparation; what a server charges for answers that are lost comes on top.

        Args:
            name: of the stage.
            prices: of the model.
            unseen: tokens, about, that each prompt will have beyond those counted, of passages not retrieved yet.
        """
        prompts = self.prompt_tokens + _UNSEEN_BYTES * unseen * (self.questions + self.again)
        work: dict[str, float] = {
            "questions to ask": self.questions,
            "tokens of their prompts, about": self.about_tokens + unseen * self.questions,
            "second tries, at most": self.again,
            "tokens of all prompts, at most": prompts,
            "tokens of all answers, at most": self.answer_tokens,
        }
        if prices is not None:
            work["US dollars, at most"] = prices.cost(prompts, self.answer_tokens)
        return Stage(name, not self.questions, work)


def plan_rationales(
    model: Ask, cases: Sequence[Case], settings: RationaleSettings, known: Mapping[str, Answer]
) -> RationalePlan:
    """Return the requests that `write_rationales` would send; opens no connection and writes nothing.

    Args:
        model: the language model.
        cases: all of them distinct.
        settings: how it is prompted.
        known: the answers in the log, by the request's key.

    Raises:
        KedrecError: the cases are patient data and the model is not on this machine.
    """
    sure: list[Request] = []
    possible: list[Request] = []
    for prompt in (rationale_prompt(case, settings) for case in cases):
        first = prompt.request
        refuse_unless_local(model, [first])
        answer = known.get(first.key(model.name))
        if answer is None:
            sure.append(first)
            possible.append(repair(first, _ANSWER * first.max_tokens, _FAULT))
        elif (verdict := judge(answer, prompt)).repairable:
            second = repair(first, answer.spoken, verdict.detail)
            sure += [second] if second.key(model.name) not in known else []
    tries = [*sure, *possible]
    return RationalePlan(
        questions=len(sure),
        again=len(possible),
        about_tokens=sum(request.about_prompt_tokens for request in sure),
        prompt_tokens=sum(request.most_prompt_tokens for request in tries),
        answer_tokens=sum(request.max_tokens for request in tries),
    )


def write_rationales(
    model: Ask, cases: Sequence[Case], folder: Path, log: AnswerLog, settings: RationaleSettings
) -> Report:
    """Request rationales and write ``rationales.jsonl``, which `RecordedTeacher` reads, and ``rejected.jsonl``.

    An answer that lacks the form, or cites a passage that was not shown, may be repaired once, by a request that states
    the fault. The same answers give the same bytes.

    Args:
        model: the language model.
        cases: each has its line in one of the two files, in this order.
        folder: of the two files.
        log: keeps the answers.
        settings: how the model is prompted.

    Raises:
        KedrecError: from `answer_all`, or the folder cannot be written.
    """
    prompts = [rationale_prompt(case, settings) for case in cases]
    requests = [prompt.request for prompt in prompts]
    answers = answer_all(model, requests, log)
    verdicts = [judge(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)]
    repairs = [index for index, verdict in enumerate(verdicts) if verdict.repairable]
    for index in repairs:
        requests[index] = repair(requests[index], answers[index].spoken, verdicts[index].detail)
    for index, answer in zip(repairs, answer_all(model, [requests[index] for index in repairs], log), strict=True):
        answers[index] = answer
        verdicts[index] = judge(answer, prompts[index])
    accepted: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for case, request, answer, verdict in zip(cases, requests, answers, verdicts, strict=True):
        row = _row(case, verdict, model.name, request.key(model.name))
        (rejected if verdict.reason else accepted).append(_rejected(row, verdict, answer) if verdict.reason else row)
    write_jsonl(folder / ACCEPTED, accepted)
    write_jsonl(folder / REJECTED, rejected)
    return Report(
        cases=len(cases),
        accepted=len(accepted),
        repaired=sum(not verdicts[index].reason for index in repairs),
        reasons=Counter(verdict.reason for verdict in verdicts if verdict.reason),
    )


def _row(case: Case, verdict: Verdict, teacher: str, key: str) -> dict[str, Any]:
    return {
        "disease": case.disease,
        "relevant": case.relevant,
        "irrelevant": case.irrelevant,
        "rationale": verdict.rationale,
        "confidence": verdict.confidence,
        "teacher": teacher,
        "answer": key,
    }


def _rejected(row: dict[str, Any], verdict: Verdict, answer: Answer) -> dict[str, Any]:
    fault = {"reason": verdict.reason, "detail": verdict.detail, "text": answer.text}
    return {name: value for name, value in row.items() if name != "rationale"} | fault
