"""Every answer of a teacher, kept: what was answered once is never asked, or paid, again."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kedrec.llm.budget import Ledger
from kedrec.llm.requests import Answer, Request
from kedrec.storage.append_log import Journal, acquire, row_at, rows
from kedrec.storage.artifact_store import Store


class AnswerLog:
    """Answers by the hash of model, messages and settings, with the ledger of what they cost.

    Made by `open_log`, which holds the lock.

    Args:
        path: JSONL of the answers.
        max_cost: bound of what all answers of this log may cost together, US dollars.
    """

    def __init__(self, path: Path, max_cost: float | None) -> None:
        self.path = path
        self._journal = Journal(path)
        self._places = dict(_places(path))
        self.ledger = Ledger(spending_path(path), max_cost)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> Answer:
        row = row_at(self.path, self._places[key])
        return Answer(row["text"], row["prompt_tokens"], row["completion_tokens"], row["finish"])

    def keep(self, model: str, request: Request, answer: Answer) -> None:
        """Append an answer; once this returns no kill takes it away.

        Raises:
            KedrecError: the disk is full.
        """
        key = request.key(model)
        settings = {"temperature": request.temperature, "max_tokens": request.max_tokens, "seed": request.seed}
        said = {
            "text": answer.text,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "finish": answer.finish,
        }
        self._places[key] = self._journal.append({"key": key, "model": model, "settings": settings, **said})

    def close(self) -> None:
        """Have the disk hold it."""
        self._journal.close()
        self.ledger.close()


@contextmanager
def open_log(path: str | Path, max_cost: float | None = None) -> Iterator[AnswerLog]:
    """Open a log for one process; a second one says that it waits, and waits.

    Args:
        path: JSONL, made if absent; what the answers cost is kept beside it, in ``….spending.jsonl``.
        max_cost: bound of what all answers of this log may cost together, US dollars.

    Raises:
        KedrecError: the file cannot be written.
    """
    path = Path(path)
    lock = acquire(path)
    try:
        log = AnswerLog(path, max_cost)
        try:
            yield log
        finally:
            log.close()
    finally:
        lock.release()


def spending_path(path: Path) -> Path:
    """Return where the cost of a log's answers is kept."""
    return path.with_suffix(".spending.jsonl")


def known(path: str | Path) -> set[str]:
    """Return the keys of the answers in a log, touching nothing: for a plan."""
    return {key for key, _ in _places(Path(path))}


def _places(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (key, place) of each answer; of two with one key the later counts."""
    for place, row in rows(path):
        if isinstance(row.get("key"), str) and isinstance(row.get("text"), str):
            yield row["key"], place


def answers_path(name: str, store: Store) -> Path:
    """Return where the answers of a model are kept."""
    plain = re.sub(r"[^\w.@-]+", "_", name)[:80]
    return store.lasting / "answers" / f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.jsonl"
