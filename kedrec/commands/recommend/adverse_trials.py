"""Trials of a drug for a disease that were stopped or failed, by the beginning of a trial's text and TOP's labels."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kedrec.storage.compressed_text import ENDINGS, text_lines
from kedrec.text.passage import Passage
from kedrec.text.spelling import ABBREVIATED, spelt

STOPPED = ("terminated", "withdrawn", "suspended")
# How `kedrec.sources.text.documents` and `kedrec.sources.text.trial_text` begin a trial's text.
_LEAD = re.compile(r"(?:Conditions|Interventions): .*?\bStatus: (?P<status>[a-z ,]+)\.", re.DOTALL)
_TABLE = "trials_phase123.csv"


@dataclass(frozen=True)
class Trial:
    """A trial that is evidence against a drug.

    Attributes:
        id: such as ``NCT02080364``.
        title: of the register.
        status: ``terminated``, ``withdrawn``, ``suspended``, or another where the outcome is a failure.
        failed: whether the table of trial outcomes labels it a failure; ``None`` without a label.
        reason: why it stopped, in the register's words, where the table has them.
        url: of the register.
    """

    id: str
    title: str
    status: str
    failed: bool | None
    reason: str
    url: str


def adverse_trials(
    passages: Iterable[Passage], disease: Sequence[str], drug: Sequence[str], texts: str | Path
) -> list[Trial]:
    """Return the trials of a drug for a disease that were stopped or labelled failures, in the texts' order.

    A trial counts where its title, its conditions or its interventions name both: eligibility criteria name much that
    is not tested. A stopped trial need not have failed: most stop for want of participants. Outcome and reason are
    from the table of TOP (Fu et al., Patterns 2022), and in no text that a student is shown.

    Args:
        passages: of trials and others.
        disease: its names.
        drug: its names.
        texts: file or folder of the texts, which may hold that table; a text source's name has none.
    """
    patterns = spelt(disease, ABBREVIATED), spelt(drug, ABBREVIATED)
    matches: list[tuple[Passage, str]] = []
    for passage in passages:
        if passage.id != passage.document or not (lead := _LEAD.match(passage.text)):
            continue
        about = f"{passage.title} {lead.group()}"
        if all(pattern.search(about) for pattern in patterns):
            matches.append((passage, lead["status"]))
    if not matches:
        return []
    outcomes = _outcomes(Path(texts), {passage.document for passage, _ in matches})
    trials = [
        Trial(passage.document, passage.title, status, *outcomes.get(passage.document, (None, "")), passage.url)
        for passage, status in matches
    ]
    return [trial for trial in trials if trial.failed or _stopped(trial.status)]


def _stopped(status: str) -> bool:
    return any(word in STOPPED for word in re.split(r"[ ,]+", status))


def _outcomes(texts: Path, trials: set[str]) -> dict[str, tuple[bool | None, str]]:
    """Return for each trial whether it failed, and why it stopped, from the table; nothing without a table."""
    files = [texts] if texts.name.startswith(_TABLE) else [texts / f"{_TABLE}{end}" for end in ENDINGS]
    return {trial: outcome for file in files if file.is_file() for trial, outcome in _rows(file, trials)}


def _rows(file: Path, trials: set[str]) -> Iterator[tuple[str, tuple[bool | None, str]]]:
    for row in csv.DictReader(f"{content}\n" for _, content in text_lines(file)):
        if row.get("nctid") in trials:
            label = {"0": True, "1": False}.get((row.get("label") or "").strip())
            yield row["nctid"], (label, " ".join((row.get("why_stop") or "").split()))
