"""A teacher's top-k distributions over the tokens of conversations, computed once and kept in the store."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.chat_batching import collate_chats
from kedrec.kedrec_lm.chat_encoding import Encoded
from kedrec.kedrec_lm.token_distillation import TokenDistribution
from kedrec.kedrec_lm.token_teacher import Distillation, TokenTeacher
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import key_hash

_FILE = "expectations.safetensors"
_BATCH = 8  # conversations a forward pass


def with_expectations(rows: Sequence[Encoded], settings: Distillation, base: str, store: Store) -> list[Encoded]:
    """Return the conversations with the teacher's distribution at each token of their answers.

    A token takes ``top_k`` times 4 bytes in the store, 6 where the vocabulary has more than 65,536 tokens: an id and a
    half-precision log-probability each.

    Args:
        rows: tokenized conversations.
        settings: the teacher; its ``top_k`` must be a number.
        base: folder or hub name of the student's base.
        store: keeps the distributions, under a name made of teacher, settings and conversations.

    Raises:
        KedrecError: ``top_k`` is ``None``, or the teacher has another vocabulary.
    """
    if settings.top_k is None:
        raise KedrecError(
            "data.init_args.loader.distill: top_k is null, and whole distributions are not stored; set a number, such "
            "as 16, or leave loader.distill out, and the student queries the teacher as it trains"
        )
    conversations = key_hash({"rows": [(row.prompt, row.answer) for row in rows]})

    def build(folder: Path) -> None:
        _save(_ask(rows, TokenTeacher(settings, base, store)), folder / _FILE)

    place = store.get("expectations", {**settings.identity(store), "conversations": conversations}, build)
    ids, log_probs = _load(place / _FILE)
    ends = np.cumsum([len(row.answer) for row in rows])
    kept = []
    for row, end in zip(rows, ends, strict=True):
        there = slice(end - len(row.answer), end)
        found = TokenDistribution(torch.from_numpy(log_probs[there]), torch.from_numpy(ids[there].astype(np.int32)))
        kept.append(replace(row, expected=found))
    return kept


def _ask(rows: Sequence[Encoded], teacher: TokenTeacher) -> TokenDistribution:
    """Ask for batches of similar length; return the answers in the order of ``rows``."""
    order = sorted(range(len(rows)), key=lambda at: len(rows[at].prompt) + len(rows[at].answer), reverse=True)
    found: dict[int, tuple[Any, Any]] = {}
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        batch = collate_chats([rows[at] for at in chosen], pad=0)
        answer: Any = teacher.expects(batch.input_ids, batch.labels)
        lengths = [len(rows[at].answer) for at in chosen]
        parts = zip(answer.ids.split(lengths), answer.log_probs.split(lengths), strict=True)
        found |= dict(zip(chosen, parts, strict=True))
    ids, log_probs = zip(*(found[at] for at in range(len(rows))), strict=True)
    return TokenDistribution(torch.cat(log_probs), torch.cat(ids))


def _save(found: TokenDistribution, path: Path) -> None:
    from safetensors.numpy import save_file

    assert found.ids is not None
    ids = found.ids.numpy()
    small = np.uint16 if ids.max(initial=0) < 1 << 16 else np.int32
    save_file({"ids": ids.astype(small), "log_probs": found.log_probs.numpy().astype(np.float16)}, path)


def _load(path: Path) -> tuple[Any, Any]:
    from safetensors.numpy import load_file

    held = load_file(path)
    return held["ids"], held["log_probs"]
