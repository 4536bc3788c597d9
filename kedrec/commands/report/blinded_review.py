"""Writes a blinded review: rationales of several models in random order, under random names, and the key."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kedrec.commands.report.review_runs import (
    Answer,
    Question,
    Voice,
    all_passages,
    cite_alike,
    read_voices,
    shared_questions,
)
from kedrec.commands.report.review_sheet import (
    Item,
    Sheet,
    instructions,
    label_studio_config,
    label_studio_tasks,
    plain,
    sheet_csv,
)
from kedrec.errors import KedrecError
from kedrec.storage.atomic_folder import appearing_whole

KEY = "key.json"
# Without vowels and digits an id is no word or month, and spreadsheets do not take it for a number or a date.
_LETTERS = "bcdfghjklmnpqrstvwxz"


def write_review(
    runs: Sequence[Path],
    folder: Path,
    *,
    pairs: int | None = None,
    seed: int = 0,
    base: bool = False,
    private: bool = False,
) -> None:
    """Write the reviewers' files into ``folder/reviewers``, and ``folder/key.json``, which they must not see.

    The same runs and seed give the same bytes. Order and ids depend on the seed and on the runs' answers, so that they
    cannot be computed without the runs.

    Args:
        runs: folders of students' runs with the same test pairs, or folders that hold such runs.
        folder: absent or empty.
        pairs: number of questions, drawn at random from those that all models explained, one disease after the other,
            since further questions on a disease add little; ``None`` for all.
        seed: of the draw, the order and the ids.
        base: whether the untouched bases and the teachers are reviewed too.
        private: whether runs on patient data may be reviewed.

    Raises:
        KedrecError: the folder is not empty, or the runs cannot be reviewed together.
    """
    if pairs is not None and pairs < 1:
        raise KedrecError(f"pairs: {pairs}; expected 1 or more")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise KedrecError(f"{folder}: not an empty folder; name another one, so that no filled sheet loses its key")
    voices = read_voices(runs, base=base, private=private)
    questions = shared_questions(voices)
    salt = _salt(voices, questions, seed)
    draw = np.random.default_rng(int(salt, 16))
    chosen = _drawn(questions, pairs, draw)
    named = [_blinded(question, voices, salt, draw) for question in chosen]
    sheets = [sheet for sheet, _ in named]
    key = {
        "seed": seed,
        "salt": salt,
        "private": private,
        "models": [voice.name for voice in voices],
        "questions": {
            sheet.id: {"pair": pair, "disease": sheet.disease, "items": items}
            for (pair, _), (sheet, items) in zip(chosen, named, strict=True)
        },
    }
    with appearing_whole(folder) as partial:
        given = partial / "reviewers"
        given.mkdir()
        (given / "sheet.csv").write_bytes(sheet_csv(sheets))
        (given / "tasks.json").write_text(label_studio_tasks(sheets), encoding="utf-8")
        (given / "labelling_config.xml").write_text(label_studio_config(len(voices)), encoding="utf-8")
        (given / "README.md").write_text(instructions(sheets, private), encoding="utf-8")
        (partial / KEY).write_text(json.dumps(key, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _drawn(questions: Sequence[Question], pairs: int | None, draw: np.random.Generator) -> list[Question]:
    """Return questions in random order; a disease gets a second question only after all diseases have one."""
    before: dict[str, int] = {}
    turns: list[tuple[int, int, int]] = []
    for place in draw.permutation(len(questions)).tolist():
        disease = questions[place][0].partition("|")[0]
        turns.append((before.setdefault(disease, 0), len(turns), place))
        before[disease] += 1
    chosen = [questions[place] for _, _, place in sorted(turns)[:pairs]]
    return [chosen[place] for place in draw.permutation(len(chosen))]


def _salt(voices: Sequence[Voice], questions: Sequence[Question], seed: int) -> str:
    """Return 64 hex digits that cannot be computed without the runs."""
    said = [[voice.name, *(voice.answers[one].rationale for one in questions)] for voice in voices]
    return hashlib.sha256(json.dumps([seed, said]).encode()).hexdigest()


def _id(salt: str, *of: str) -> str:
    digest = hmac.digest(salt.encode(), "\n".join(of).encode("utf-8", "replace"), "sha256")
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])


def _blinded(
    question: Question, voices: Sequence[Voice], salt: str, draw: np.random.Generator
) -> tuple[Sheet, Mapping[str, Any]]:
    """Return a question as reviewers see it, and the model of each of its items."""
    pair, drugs = question
    answers = [voice.answers[question] for voice in voices]
    texts = all_passages(answers)
    passages = [sorted(texts)[place] for place in draw.permutation(len(texts))]
    numbers = {passage: number for number, passage in enumerate(passages, start=1)}
    order = draw.permutation(len(voices))
    items = [_item(_id(salt, pair, voices[place].name), answers[place], numbers) for place in order]
    sheet = Sheet(
        id=_id(salt, pair),
        disease=plain(answers[0].disease),
        drugs=(plain(drugs[0]), plain(drugs[1])),
        passages=[(plain(passage), plain(texts[passage])) for passage in passages],
        items=items,
    )
    return sheet, {item.id: voices[place].name for item, place in zip(items, order, strict=True)}


def _item(name: str, answer: Answer, numbers: Mapping[str, int]) -> Item:
    rationale = plain(cite_alike(answer.rationale, list(answer.passages), numbers))
    return Item(name, plain(answer.recommended), rationale or "(no text)")
