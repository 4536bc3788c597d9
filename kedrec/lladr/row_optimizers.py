"""Optimizers of embedding tables that read and write only the rows of the batch, and the gathering of these rows."""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.nn import functional

from kedrec.lladr import native_kernels as native
from kedrec.runtime.environment import can_compile, fused

_WORTH = 1 << 18  # numbers in a gradient: below, compiling takes longer than it saves


def gather_rows(table: Tensor, *rows: Tensor, sparse: bool) -> tuple[Tensor, ...]:
    """Return ``(n, width)`` rows of a table for each of several ``(n,)`` row numbers.

    Args:
        table: ``(rows, width)``.
        rows: may repeat.
        sparse: whether the table's gradient is sparse.
    """
    gathered = functional.embedding(torch.cat(rows), table, sparse=sparse)
    return torch.split(gathered, [len(part) for part in rows])


class RowOptimizer(torch.optim.Optimizer):
    """Steps over the rows that have a gradient; a dense gradient has all rows. The state is dense and made at once.

    Args:
        params: two-dimensional tables, or vectors.
        lr: learning rate.
        **defaults: of the optimizer.
    """

    def __init__(self, params: Iterable[Any], lr: float, **defaults: Any) -> None:
        super().__init__(params, {"lr": lr, **defaults})
        for group in self.param_groups:
            for table in group["params"]:
                self.state[table] = self.first_state(table)

    def first_state(self, table: Tensor) -> dict[str, Any]:
        """Return the state of a table before the first step."""
        raise NotImplementedError

    def update(self, table: Tensor, rows: Tensor | slice, grad: Tensor, state: dict[str, Any], group: Any) -> None:
        """Update ``table[rows]``, each of them once, by ``grad``, ``(rows, width)``."""
        raise NotImplementedError

    def update_natively(self, table: Tensor, rows: Tensor, grad: Tensor, state: dict[str, Any], group: Any) -> None:
        """Do the same in C++, in one pass; rows may repeat."""
        raise NotImplementedError

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Perform one step; ``closure``, where given, computes loss and gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                grad = table.grad
                if grad is None:
                    continue
                state = self.state[table]
                if grad.is_sparse:
                    if grad._values().numel() >= _WORTH and native.usable(table, grad._values()):
                        self.update_natively(table, grad._indices()[0], grad._values(), state, group)
                        continue
                    grad = grad.coalesce()
                    self.update(table, grad._indices()[0], grad._values(), state, group)
                else:
                    self.update(table, slice(None), grad, state, group)
        return loss


class RowAdagrad(RowOptimizer):
    """Adagrad with one accumulator per row, the mean square of its gradients, as DGL-KE and PyTorch-BigGraph have it.

    Args:
        params: tables.
        lr: learning rate.
        eps: added to the root of the accumulator.
    """

    def __init__(self, params: Iterable[Any], lr: float = 0.1, eps: float = 1e-10) -> None:
        super().__init__(params, lr, eps=eps)

    def first_state(self, table: Tensor) -> dict[str, Any]:
        """Return a zero per row."""
        return {"sum": table.new_zeros(len(table))}

    def update(self, table: Tensor, rows: Tensor | slice, grad: Tensor, state: dict[str, Any], group: Any) -> None:
        """Add the gradients' mean squares, then step by the gradient over the root of their sum."""
        flat, target = grad.reshape(len(grad), -1), table.view(len(table), -1)
        if not isinstance(rows, Tensor):
            rows = torch.arange(len(grad), device=grad.device)
        step = fused(_adagrad, dynamic=True) if grad.is_cuda and can_compile("cuda") else _adagrad
        step(target, state["sum"], rows, flat, torch.tensor(-group["lr"]), group["eps"])

    def update_natively(self, table: Tensor, rows: Tensor, grad: Tensor, state: dict[str, Any], group: Any) -> None:
        """Add the gradients' mean squares, then step."""
        native.update_rows("adagrad", table, [state["sum"]], rows, grad, [group["lr"], group["eps"]])


def _adagrad(table: Tensor, total: Tensor, rows: Tensor, grad: Tensor, rate: Tensor, eps: float) -> None:
    """Update distinct ``rows`` of ``table`` and of ``total`` in place; ``rate`` is negative."""
    sums = total[rows] + grad.square().mean(1)
    total.index_put_((rows,), sums)
    table.index_put_((rows,), table[rows] + grad * (rate / (sums.sqrt() + eps)).unsqueeze(1))


class LazyAdam(RowOptimizer):
    """Adam that leaves rows without a gradient as they are, moments included; bias is corrected by the global step.

    Args:
        params: tables.
        lr: learning rate.
        betas: decays of the two moments.
        eps: added to the root of the second moment.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps)

    def first_state(self, table: Tensor) -> dict[str, Any]:
        """Return zero moments."""
        return {"step": 0, "mean": torch.zeros_like(table), "square": torch.zeros_like(table)}

    def update(self, table: Tensor, rows: Tensor | slice, grad: Tensor, state: dict[str, Any], group: Any) -> None:
        """Move the rows' moments and step by them."""
        first, second = group["betas"]
        rate, correction = self._unbiased(state, group)
        mean = state["mean"][rows].lerp(grad, 1 - first)
        square = state["square"][rows].mul(second).addcmul_(grad, grad, value=1 - second)
        state["mean"][rows], state["square"][rows] = mean, square
        move = mean.mul_(-rate).div_(square.sqrt_().div_(correction).add_(group["eps"]))
        if isinstance(rows, Tensor):
            table.index_add_(0, rows, move)
        else:
            table.add_(move)

    def update_natively(self, table: Tensor, rows: Tensor, grad: Tensor, state: dict[str, Any], group: Any) -> None:
        """Move the rows' moments and step by them."""
        numbers = [*self._unbiased(state, group), *group["betas"], group["eps"]]
        native.update_rows("adam", table, [state["mean"], state["square"]], rows, grad, numbers)

    def _unbiased(self, state: dict[str, Any], group: Any) -> tuple[float, float]:
        """Count a step; return the corrected learning rate and the root of the second moment's bias correction."""
        state["step"] += 1
        first, second = group["betas"]
        return group["lr"] / (1 - first ** state["step"]), (1 - second ** state["step"]) ** 0.5
