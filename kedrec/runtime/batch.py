"""The base class of the typed batches that data modules yield."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import torch


class Batch:
    """The base of frozen dataclasses that hold tensors and other values; Lightning moves a batch by its ``to``."""

    def to(self, device: torch.device, **options: Any) -> Self:
        """Return the batch with its tensors on ``device``."""
        from torch import Tensor

        moved = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        tensors = {name: value.to(device, **options) for name, value in moved.items() if isinstance(value, Tensor)}
        return replace(self, **tensors)  # type: ignore[type-var]
