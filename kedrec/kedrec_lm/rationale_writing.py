"""A teacher's rationales on many cases: asked, checked, and written with those that were rejected."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedrec.kedrec_lm.answer_checks import Verdict, judge
from kedrec.kedrec_lm.rationale_teachers import Case
from kedrec.kedrec_lm.teacher_prompts import RationaleSettings, rationale_prompt, repair
from kedrec.llm.answer_cache import AnswerLog
from kedrec.llm.batch_runner import answer_all
from kedrec.llm.language_model import Ask, refuse_unless_local
from kedrec.llm.requests import Answer, Prices, Request
from kedrec.runtime.preparation_plan import Stage
from kedrec.storage.jsonl import write_jsonl

KEPT = "rationales.jsonl"
REJECTED = "rejected.jsonl"
_UNSEEN_BYTES = 4  # of a token that is not known yet, as `Request.about_prompt_tokens` counts
_ANSWER = "x" * 8  # for a token of an answer not known yet: English has half of that
_FAULT = "x" * 200  # for what is said of one that cannot be used


@dataclass(frozen=True)
class Report:
    """What became of the cases, for the data card.

    Attributes:
        asked: cases.
        kept: those with a rationale.
        repaired: those of the kept whose first answer could not be used.
        reasons: how many were rejected for which reason.
    """

    asked: int
    kept: int
    repaired: int
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class RationalePlan:
    """What a run would ask, and for how much.

    Attributes:
        questions: that are sure to be asked: first ones, and second ones that a stopped run left.
        again: second ones that answers to the first may call for, at most.
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
            unseen: tokens, about, that each prompt will have beyond those counted, such as of passages yet to be found.
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
    model: Ask, cases: Sequence[Case], settings: RationaleSettings, kept: Mapping[str, Answer]
) -> RationalePlan:
    """Return what `write_rationales` would ask; opens no connection and writes nothing.

    Args:
        model: that would be asked.
        cases: all of them distinct.
        settings: how it would be asked.
        kept: the answers there are, by the request's key.

    Raises:
        KedrecError: the cases are patients' and the model is not on this machine.
    """
    sure: list[Request] = []
    possible: list[Request] = []
    for prompt in (rationale_prompt(case, settings) for case in cases):
        first = prompt.request
        refuse_unless_local(model, [first])
        answer = kept.get(first.key(model.name))
        if answer is None:
            sure.append(first)
            possible.append(repair(first, _ANSWER * first.max_tokens, _FAULT))
        elif (verdict := judge(answer, prompt)).repairable:
            second = repair(first, answer.spoken, verdict.detail)
            sure += [second] if second.key(model.name) not in kept else []
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
    """Ask about each case and write ``rationales.jsonl``, which `RecordedTeacher` reads, and ``rejected.jsonl``.

    An answer that is not of the form, or cites what was not shown, is asked for once more, with what was wrong. The
    same answers give the same bytes.

    Args:
        model: the teacher.
        cases: of which each has its line in one of the two files, in this order.
        folder: where the two files appear, whole.
        log: keeps the answers.
        settings: how it is asked.

    Raises:
        KedrecError: from `answer_all`, or the folder cannot be written.
    """
    prompts = [rationale_prompt(case, settings) for case in cases]
    requests = [prompt.request for prompt in prompts]
    answers = answer_all(model, requests, log)
    verdicts = [judge(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)]
    again = [place for place, verdict in enumerate(verdicts) if verdict.repairable]
    for place in again:
        requests[place] = repair(requests[place], answers[place].spoken, verdicts[place].detail)
    for place, answer in zip(again, answer_all(model, [requests[place] for place in again], log), strict=True):
        answers[place] = answer
        verdicts[place] = judge(answer, prompts[place])
    kept: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for case, request, answer, verdict in zip(cases, requests, answers, verdicts, strict=True):
        row = _row(case, verdict, model.name, request.key(model.name))
        (rejected if verdict.reason else kept).append(_rejected(row, verdict, answer) if verdict.reason else row)
    write_jsonl(folder / KEPT, kept)
    write_jsonl(folder / REJECTED, rejected)
    return Report(
        asked=len(cases),
        kept=len(kept),
        repaired=sum(not verdicts[place].reason for place in again),
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
    said = {"reason": verdict.reason, "detail": verdict.detail, "text": answer.text}
    return {name: value for name, value in row.items() if name != "rationale"} | said
