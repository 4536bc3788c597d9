"""Trials of a drug for a disease that were stopped or failed: by the lead of a trial's text, and TOP's labels."""

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
    """A trial that speaks against a drug.

    Attributes:
        id: such as ``NCT02080364``.
        title: of the register.
        status: ``terminated``, ``withdrawn``, ``suspended``, or another where the outcome says failure.
        failed: whether the table of trial outcomes labels it a failure; ``None`` where it says nothing.
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
    is not tried. A stopped trial need not have failed: most stop for want of participants. What the table of TOP (Fu et
    al., Patterns 2022) says of outcome and reason is read here alone: it is in no text that a student is shown.

    Args:
        passages: of trials and others.
        disease: its names.
        drug: its names.
        texts: file or folder of the texts, which may hold that table.
    """
    wanted = spelt(disease, ABBREVIATED), spelt(drug, ABBREVIATED)
    found: list[tuple[Passage, str]] = []
    for passage in passages:
        if passage.id != passage.document or not (lead := _LEAD.match(passage.text)):
            continue
        about = f"{passage.title} {lead.group()}"
        if all(pattern.search(about) for pattern in wanted):
            found.append((passage, lead["status"]))
    if not found:
        return []
    told = _outcomes(Path(texts), {passage.document for passage, _ in found})
    trials = [
        Trial(passage.document, passage.title, status, *told.get(passage.document, (None, "")), passage.url)
        for passage, status in found
    ]
    return [trial for trial in trials if trial.failed or _stopped(trial.status)]


def _stopped(status: str) -> bool:
    return any(word in STOPPED for word in re.split(r"[ ,]+", status))


def _outcomes(texts: Path, trials: set[str]) -> dict[str, tuple[bool | None, str]]:
    """Return of trials whether they failed, and why they stopped, as the table says; nothing where there is none."""
    files = [texts] if texts.name.startswith(_TABLE) else [texts / f"{_TABLE}{end}" for end in ENDINGS]
    return {trial: told for file in files if file.is_file() for trial, told in _rows(file, trials)}


def _rows(file: Path, trials: set[str]) -> Iterator[tuple[str, tuple[bool | None, str]]]:
    for row in csv.DictReader(f"{content}\n" for _, content in text_lines(file)):
        if row.get("nctid") in trials:
            label = {"0": True, "1": False}.get((row.get("label") or "").strip())
            yield row["nctid"], (label, " ".join((row.get("why_stop") or "").split()))
