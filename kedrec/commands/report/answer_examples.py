"""Example questions with the passages shown and each model's answer, side by side."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kedrec.commands.report.plot_elements import names_of
from kedrec.commands.report.run_groups import Group
from kedrec.evaluation.citation_metrics import checked_citations

EXAMPLES = 6  # examples per data set, half of them answered right if possible
_LINKS = {  # pattern of a passage id -> address
    r"(NCT\d{8})(#\d+)?": "https://clinicaltrials.gov/study/{}",
    r"(PMC\d+)(#\d+)?": "https://pmc.ncbi.nlm.nih.gov/articles/{}/",
    r"PMID(\d+)(#\d+)?": "https://pubmed.ncbi.nlm.nih.gov/{}/",
}


@dataclass(frozen=True)
class Answer:
    """A model's answer.

    Attributes:
        by: name of the model.
        drug: the chosen drug; the relevant one for a teacher.
        right: whether that is the relevant one.
        rationale: the model's text, citations as ``[1]``.
        lead: log-probability of the chosen drug less that of the other one, nats; ``None`` for a teacher.
        cited: number of citations, and how many of them are supported by the cited passage; ``None`` if the run did not
            keep the texts shown.
    """

    by: str
    drug: str
    right: bool
    rationale: str
    lead: float | None = None
    cited: tuple[int, int] | None = None


@dataclass(frozen=True)
class Shown:
    """A passage as the models saw it; ``text`` is empty if the run did not keep it."""

    id: str
    text: str
    url: str
    states_answer: bool


@dataclass(frozen=True)
class Example:
    """A question of the test, in its first order.

    Attributes:
        disease: name of the disease.
        drugs: names of the drugs, as shown.
        relevant: name of the relevant drug.
        setting: name of the model that was shown these passages.
        passages: as shown, in the order of their numbers.
        answers: answers of the teacher, the untouched base and the trained model to these passages.
        others: answers of other models, which were shown other passages.
    """

    disease: str
    drugs: tuple[str, str]
    relevant: str
    setting: str
    passages: tuple[Shown, ...]
    answers: tuple[Answer, ...]
    others: tuple[Answer, ...]


def examples(groups: Sequence[Group], count: int = EXAMPLES) -> list[Example]:
    """Return questions of the group that was shown most passages, in an order that depends only on their ids.

    Args:
        groups: students tested on the same data; of each group the run of the lowest seed is used. Groups with private
            data are skipped.
        count: maximal number of questions; half of them answered right if possible.
    """
    rows = {
        group: {row["pair"]: row for row in group.first.rows("predictions.jsonl") if not row["swapped"]}
        for group in groups
        if not group.first.private
    }
    explained = {group: of for group, of in rows.items() if any(row.get("rationale") for row in of.values())}
    if not explained:
        return []
    main = max(explained, key=lambda group: (_shown(explained[group].values()), len(group.runs)))
    names = names_of(groups)
    base = {row["pair"]: row for row in main.first.rows("predictions_base.jsonl") if not row["swapped"]}
    found = []
    for row in _chosen([row for row in explained[main].values() if row.get("rationale")], count):
        pair = row["pair"]
        taught = row["drugs"][row["correct"]]
        answers = [Answer("teacher", taught, right=True, rationale=row["reference"], cited=_cited(row, "reference"))]
        if pair in base:
            answers.append(_answer("untouched base", base[pair]))
        answers.append(_answer(f"trained, {names[main]}", row))
        others = [
            _answer(f"trained, {names[group]}", of[pair])
            for group, of in rows.items()
            if group is not main and pair in of
        ]
        found.append(
            Example(
                row["disease"],
                (row["drugs"][0], row["drugs"][1]),
                row["drugs"][row["correct"]],
                names[main],
                _passages(row),
                tuple(answers),
                tuple(others),
            )
        )
    return found


def _chosen(rows: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    mixed = sorted(rows, key=lambda row: hashlib.sha256(row["pair"].encode()).hexdigest())
    right = [row for row in mixed if row["choice"] == row["correct"]]
    wrong = [row for row in mixed if row["choice"] != row["correct"]]
    half = min(len(wrong), count // 2)
    return [*right[: count - half], *wrong[: max(half, count - len(right))]]


def _answer(by: str, row: Mapping[str, Any]) -> Answer:
    choice, scores = row["choice"], row["scores"]
    lead = float(scores[choice]) - float(scores[1 - choice])
    said = row.get("rationale", "")
    return Answer(
        by, row["drugs"][choice], choice == row["correct"], said, lead, _cited(row, "rationale") if said else None
    )


def _cited(row: Mapping[str, Any], field: str) -> tuple[int, int] | None:
    if not row.get("texts"):
        return None
    checked = checked_citations(row, field)
    return len(checked), sum(one.supported for one in checked)


def _shown(rows: Iterable[Mapping[str, Any]]) -> int:
    return sum(len(row["passages"]) for row in rows)


def _passages(row: Mapping[str, Any]) -> tuple[Shown, ...]:
    texts = row.get("texts") or [""] * len(row["passages"])
    stating = set(row.get("answer_stating_passages") or ())
    return tuple(Shown(one, text, _url(one), one in stating) for one, text in zip(row["passages"], texts, strict=True))


def _url(passage: str) -> str:
    for form, place in _LINKS.items():
        if found := re.fullmatch(form, passage):
            return place.format(found[1])
    return ""
