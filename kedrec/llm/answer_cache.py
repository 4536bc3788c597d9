"""The answer cache: an answer of a language model is stored, so that its request is sent, and paid, only once."""

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
    """Answers by the hash of model, messages and settings, with the ledger of their cost.

    `open_log` creates it, and holds the lock.

    Args:
        path: JSONL of the answers.
        max_cost: bound of the cost of all answers in this log together, US dollars.
    """

    def __init__(self, path: Path, max_cost: float | None) -> None:
        self.path = path
        self._journal = Journal(path)
        self._offsets = dict(_offsets(path))
        self.ledger = Ledger(spending_path(path), max_cost)

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def __getitem__(self, key: str) -> Answer:
        row = row_at(self.path, self._offsets[key])
        return Answer(row["text"], row["prompt_tokens"], row["completion_tokens"], row["finish"])

    def keep(self, model: str, request: Request, answer: Answer) -> None:
        """Append an answer; after this returns, a kill cannot lose it.

        Raises:
            KedrecError: the disk is full.
        """
        key = request.key(model)
        settings = {"temperature": request.temperature, "max_tokens": request.max_tokens, "seed": request.seed}
        content = {
            "text": answer.text,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "finish": answer.finish,
        }
        self._offsets[key] = self._journal.append({"key": key, "model": model, "settings": settings, **content})

    def close(self) -> None:
        """Flush to the disk and close."""
        self._journal.close()
        self.ledger.close()


@contextmanager
def open_log(path: str | Path, max_cost: float | None = None) -> Iterator[AnswerLog]:
    """Open a log for one process; a second process prints that it waits, and waits.

    Args:
        path: JSONL, created if absent; the cost of the answers is written beside it, to ``….spending.jsonl``.
        max_cost: bound of the cost of all answers in this log together, US dollars.

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
    """Return the file of the cost of a log's answers."""
    return path.with_suffix(".spending.jsonl")


def known(path: str | Path) -> set[str]:
    """Return the keys of the answers in a log, without changing it: for a plan."""
    return {key for key, _ in _offsets(Path(path))}


def _offsets(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (key, offset in bytes) of each answer; of two answers with one key the later one counts."""
    for offset, row in rows(path):
        if isinstance(row.get("key"), str) and isinstance(row.get("text"), str):
            yield row["key"], offset


def answers_path(name: str, store: Store) -> Path:
    """Return the file of the answers of a model."""
    plain = re.sub(r"[^\w.@-]+", "_", name)[:80]
    return store.lasting / "answers" / f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.jsonl"
