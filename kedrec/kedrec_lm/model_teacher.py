"""A language model as a teacher of rationales."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kedrec.kedrec_lm.rationale_cases import Case
from kedrec.kedrec_lm.rationale_teachers import Report, Teacher
from kedrec.kedrec_lm.rationale_writing import RationalePlan, plan_rationales, write_rationales
from kedrec.kedrec_lm.teacher_prompts import RationaleSettings
from kedrec.llm.answer_cache import answers_path, open_log
from kedrec.llm.language_model import Ask
from kedrec.llm.requests import Answer
from kedrec.runtime.preparation_plan import Stage
from kedrec.storage.append_log import rows
from kedrec.storage.artifact_store import Store


class ModelTeacher(Teacher):
    """A language model that explains cases; every answer is kept in the store, so that none is paid for twice.

    Args:
        model: the language model.
        settings: how it is prompted.
        max_cost: upper bound of the cost of all answers of this model together, US dollars; ``None`` for no bound.
    """

    def __init__(self, model: Ask, settings: RationaleSettings, max_cost: float | None = None) -> None:
        self.model = model
        self.settings = settings
        self.max_cost = max_cost
        self.answer_tokens = settings.max_tokens

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

    @property
    def identity(self) -> dict[str, Any]:
        """The model's name and the settings."""
        return {"teacher": self.name, "settings": asdict(self.settings)}

    def write(self, cases: Sequence[Case], folder: Path, store: Store) -> Report:
        """Write the rationales that pass the checks, and the rejected answers."""
        with open_log(answers_path(self.name, store), self.max_cost) as log:
            return write_rationales(self.model, cases, folder, log, self.settings)

    def plan(self, cases: Sequence[Case], store: Store, *, cached: bool, unseen: int) -> Stage:
        """Return which requests are still to be sent, with their tokens and cost."""
        plan = RationalePlan()
        if not cached:
            plan = plan_rationales(self.model, cases, self.settings, _answers(answers_path(self.name, store)))
        return plan.stage(f"rationales of {self.name}", self.model.prices, unseen)


def _answers(path: Path) -> Mapping[str, Answer]:
    """Return the answers in a log by their keys, without opening the log for writing."""
    return {
        row["key"]: Answer(row["text"], row["prompt_tokens"], row["completion_tokens"], row["finish"])
        for _, row in rows(path)
        if {"key", "text"} <= row.keys()
    }
