"""The vocabulary projection at chosen positions only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor


@contextmanager
def projected_only_at(model: Any, positions: Tensor) -> Iterator[None]:
    """Within the block the model's logits are (1, positions, vocabulary), row by row.

    A third of a small model's work is the vocabulary projection, and most positions are prompt. The choice is made at
    the projection's input, so that it works for any causal LM, whatever its ``forward`` does to the logits afterwards.

    Args:
        model: a transformers causal LM, or a PEFT model around one.
        positions: (batch, time) bool, true where logits are computed.
    """

    def choose(_: Any, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (arguments[0][positions][None], *arguments[1:])

    handle = model.get_output_embeddings().register_forward_pre_hook(choose)
    try:
        yield
    finally:
        handle.remove()
