"""Length-grouped batches of conversations, in an order that a seed and an epoch decide."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.chat_encoding import Encoded
from kedrec.kedrec_lm.question_batches import ChatBatch, QuestionBatch

Item = TypeVar("Item")

IGNORED = -100


class LengthGroupedBatches:
    """Batches of rows of similar length, shuffled again each epoch.

    Rows are shuffled, sorted by length within windows of 16 batches (times ``together``), and the batches shuffled
    again: little padding and an order that still differs from epoch to epoch.

    Args:
        lengths: tokens of each row.
        batch_size: rows a batch; the last one of an epoch may be smaller.
        seed: decides the order together with the epoch; no global state does.
        together: that many successive rows stay in one batch, where it is large enough. With the two orders of each
            question side by side, gradients that favour a position cancel.
        rank: this process's number.
        world: processes. Together their batches are those of one process whose ``batch_size`` is ``world`` times as
            large; of an epoch's last one, rows that cannot be shared out evenly are left out.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, together: int = 1, rank: int = 0, world: int = 1
    ) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.together = together
        self.rank = rank
        self.world = world
        self.epoch = 0
        self.sampler = self  # where Lightning looks for `set_epoch`

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), self.batch_size * self.world)
        return whole + (self._share(rest) > 0)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        groups = [range(row, row + self.together) for row in range(0, len(self.lengths), self.together)]
        longest = [max(self.lengths[row] for row in group) for group in groups]
        order = torch.randperm(len(groups), generator=generator).tolist()
        size = self.batch_size * self.world
        window = 16 * size
        batches: list[Sequence[int]] = []
        for start in range(0, len(order), window):
            near = sorted(order[start : start + window], key=lambda group: longest[group])
            rows = [row for group in near for row in groups[group]]
            batches += in_batches(rows, size)
        for index in torch.randperm(len(batches), generator=generator).tolist():
            share = self._share(len(batches[index]))
            if share:
                yield list(batches[index][self.rank * share : (self.rank + 1) * share])

    def _share(self, rows: int) -> int:
        """Return how many rows of a common batch each process gets."""
        return rows if self.world == 1 else rows // (self.world * self.together) * self.together


def in_batches(rows: Sequence[Item], batch_size: int) -> list[Sequence[Item]]:
    """Return rows in batches, of which the last may be smaller."""
    return [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]


def collate_chats(rows: Sequence[Encoded], pad: int, counted: bool = True) -> ChatBatch:
    """Pad conversations; label the answer only, its end token included.

    Args:
        rows: tokenized conversations.
        pad: token id for padding; never attended to, so it may equal the end token.
        counted: as in `ChatBatch`.

    Raises:
        KedrecError: no token of a row is supervised.
    """
    if silent := [row.question.pair for row in rows if not row.answer]:
        raise KedrecError(
            f"a batch holds conversations with no supervised token: {', '.join(silent)}; they have no answer"
        )
    ids = [[*row.prompt, *row.answer] for row in rows]
    input_ids, mask = _pad(ids, pad)
    labels = torch.full_like(input_ids, IGNORED)
    decisive = torch.zeros(input_ids.shape, dtype=torch.bool)
    rivals = torch.zeros(len(rows), dtype=torch.long)
    for index, row in enumerate(rows):
        start = len(row.prompt)
        labels[index, start : len(ids[index])] = torch.tensor(row.answer)
        right, wrong = row.choices[row.question.correct], row.choices[1 - row.question.correct]
        part = next(at for at, (mine, other) in enumerate(zip(right, wrong, strict=False)) if mine != other)
        decisive[index, start + part] = True
        rivals[index] = wrong[part]
    return ChatBatch(input_ids, mask, labels, decisive, rivals, *_expected(rows), counted=counted)


def _expected(rows: Sequence[Encoded]) -> tuple[Tensor | None, Tensor | None]:
    """Join the teacher's distributions, where rows have them, row by row."""
    expected = [row.expected for row in rows if row.expected is not None]
    if len(expected) < len(rows):
        return None, None
    ids = [one.ids for one in expected if one.ids is not None]
    return torch.cat(ids).long(), torch.cat([one.log_probs for one in expected]).float()


def collate_questions(rows: Sequence[Encoded], pad: int) -> QuestionBatch:
    """Pad prompts, and the two choices of each."""
    input_ids, mask = _pad([row.prompt for row in rows], pad)
    width = max(len(choice) for row in rows for choice in row.choices)
    answers = torch.full((len(rows), 2, width), pad)
    answers_mask = torch.zeros_like(answers)
    for index, row in enumerate(rows):
        for side, choice in enumerate(row.choices):
            answers[index, side, : len(choice)] = torch.tensor(choice)
            answers_mask[index, side, : len(choice)] = 1
    return QuestionBatch(input_ids, mask, answers, answers_mask, [row.question for row in rows])


def _pad(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return ids, mask
