"""Choosing between two answers and continuing one of them, over one prompt cache."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kedrec.kedrec_lm.question_batches import QuestionBatch
from kedrec.kedrec_lm.vocabulary_projection import projected_only_at


@dataclass(frozen=True)
class Decoded:
    """The answers of a model.

    Attributes:
        scores: (batch, 2) log-probability of each whole answer, nats.
        continuation: for each row the token ids generated after the answer that is continued, end token excluded; empty
            where no continuation was requested.
    """

    scores: Tensor
    continuation: list[list[int]]


def positions(mask: Tensor) -> Tensor:
    """Return position ids (batch, time) that count attended tokens only, so that padding does not shift them."""
    return (mask.cumsum(dim=-1) - 1).clamp(min=0)


def last_position(mask: Tensor) -> Tensor:
    """Return (batch, time) bool, true at the last attended position of each row."""
    return positions(mask) + 1 == mask.sum(dim=-1, keepdim=True).where(mask.bool(), -1)


@torch.no_grad()
def choose_and_explain(
    model: Any,
    batch: QuestionBatch,
    explain: Tensor,
    max_new_tokens: int,
    end: int,
    any_process: Callable[[bool], bool] | None = None,
    after: Tensor | None = None,
) -> Decoded:
    """Score both answers of each row by log-probability, then continue one of them greedily.

    The prompt is read once; its cache is repeated for the two answers, and the cache of the one that is continued goes
    on into the rationale.

    Args:
        model: a transformers causal LM, or a PEFT model around one.
        batch: prompts and answers.
        explain: (batch,) bool, rows to be continued.
        max_new_tokens: bound of the continuation, tokens.
        end: id of the token that ends an answer.
        any_process: whether a flag is set in any process, where each has a part of the weights: then all of them
            call the model as often as the process with the longest continuation.
        after: (batch,) which of the two answers is continued; ``None`` for the better one.
    """
    mask = batch.attention_mask
    # Padding is on the right: the prompt needs no mask, only what follows must not look at the gap.
    with projected_only_at(model, last_position(mask)):
        out = model(input_ids=batch.input_ids, use_cache=True)
    cache, first = out.past_key_values, out.logits.transpose(0, 1)
    cache.batch_repeat_interleave(2)
    answers, answers_mask = batch.answers.flatten(0, 1), batch.answers_mask.flatten(0, 1)
    mask = torch.cat([mask.repeat_interleave(2, dim=0), answers_mask], dim=1)
    width = answers.shape[1]
    out = model(
        input_ids=answers,
        attention_mask=mask,
        position_ids=positions(mask)[:, -width:],
        past_key_values=cache,
        use_cache=True,
    )
    before = torch.cat([first.repeat_interleave(2, dim=0), out.logits[:, :-1]], dim=1).float()
    token_scores = before.log_softmax(dim=-1).gather(-1, answers[..., None])[..., 0]
    scores = (token_scores * answers_mask).sum(dim=-1).view(-1, 2)
    rows = torch.nonzero(explain)[:, 0]
    chosen = rows * 2 + (scores.argmax(dim=1) if after is None else after)[rows]
    if len(rows):
        cache.batch_select_indices(chosen)
    last = answers_mask[chosen].sum(dim=1) - 1
    logits = out.logits[chosen, last]
    continued = _continue(model, cache, mask[chosen], logits, max_new_tokens, end, any_process or bool)
    continuation: list[list[int]] = [[] for _ in range(len(explain))]
    for row, tokens in zip(rows.tolist(), continued, strict=True):
        continuation[row] = tokens
    return Decoded(scores, continuation)


def _continue(
    model: Any, cache: Any, mask: Tensor, logits: Tensor, limit: int, end: int, any_process: Callable[[bool], bool]
) -> list[list[int]]:
    """Greedy decoding of all rows until each has ended; rows that ended are taken out of the batch."""
    tokens: list[list[int]] = [[] for _ in range(len(mask))]
    running = torch.arange(len(mask), device=mask.device)
    for _ in range(limit):
        following = logits.argmax(dim=-1)
        alive = following != end
        if not alive.all():
            keep = torch.nonzero(alive)[:, 0]
            running, following, mask = running[keep], following[keep], mask[keep]
            if len(keep):
                cache.batch_select_indices(keep)
        if not any_process(len(running) > 0):
            break
        if not len(running):
            logits = logits[:0]
            model(input_ids=torch.full((1, 1), end, device=mask.device), use_cache=False)  # in step with the others
            continue
        for row, token in zip(running.tolist(), following.tolist(), strict=True):
            tokens[row].append(token)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        out = model(
            input_ids=following[:, None],
            attention_mask=mask,
            position_ids=positions(mask)[:, -1:],
            past_key_values=cache,
            use_cache=True,
        )
        logits = out.logits[:, -1]
    return tokens
