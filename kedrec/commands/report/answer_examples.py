"""Questions with what was shown and what each model answered, side by side."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kedrec.commands.report.plot_elements import names_of
from kedrec.commands.report.run_groups import Group
from kedrec.evaluation.citation_metrics import checked_citations

EXAMPLES = 6  # of each data set, as many right as wrong where there are
_LINKS = {  # an id's form -> where a reader finds it
    r"(NCT\d{8})(#\d+)?": "https://clinicaltrials.gov/study/{}",
    r"(PMC\d+)(#\d+)?": "https://pmc.ncbi.nlm.nih.gov/articles/{}/",
    r"PMID(\d+)(#\d+)?": "https://pubmed.ncbi.nlm.nih.gov/{}/",
}


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Attributes:
        by: which model.
        drug: that it chose; of a teacher the relevant one.
        right: whether that is the relevant one.
        rationale: in the words of the model, citations as ``[1]``.
        lead: log-probability of the drug chosen above that of the other, nats; ``None`` of a teacher.
        cited: how many citations there are, and how many exist and support their sentence; ``None`` where the texts
            that were shown are not kept.
    """

    by: str
    drug: str
    right: bool
    rationale: str
    lead: float | None = None
    cited: tuple[int, int] | None = None


@dataclass(frozen=True)
class Shown:
    """A passage as the models saw it; ``text`` is empty where the run did not keep it."""

    id: str
    text: str
    url: str
    telling: bool


@dataclass(frozen=True)
class Example:
    """A question of the test, in its first order.

    Attributes:
        disease: its name.
        drugs: their names, as shown.
        relevant: the drug that is related to the disease.
        setting: the model whose passages these are.
        passages: as shown, in the order of their numbers.
        answers: of the teacher, the untouched base and the trained model, given these passages.
        others: of other models, given passages of their own.
    """

    disease: str
    drugs: tuple[str, str]
    relevant: str
    setting: str
    passages: tuple[Shown, ...]
    answers: tuple[Answer, ...]
    others: tuple[Answer, ...]


def examples(groups: Sequence[Group], count: int = EXAMPLES) -> list[Example]:
    """Return questions of the group that was shown most, in an order that follows from their ids alone.

    Args:
        groups: students tested on the same data; of each the run of the lowest seed counts. Those of private data are
            passed over: their rows stay in the run folder.
        count: of questions at most; as many that the model got right as wrong, where there are.
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
    telling = set(row.get("telling") or ())
    return tuple(Shown(one, text, _url(one), one in telling) for one, text in zip(row["passages"], texts, strict=True))


def _url(passage: str) -> str:
    for form, place in _LINKS.items():
        if found := re.fullmatch(form, passage):
            return place.format(found[1])
    return ""
