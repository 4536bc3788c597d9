"""Row optimisers against torch's own, against a plain loop, and against themselves after a reload."""

import copy

import pytest
import torch

from kedrec.lladr import native_kernels as native
from kedrec.lladr import row_optimizers
from kedrec.lladr.row_optimizers import LazyAdam, RowAdagrad, gather_rows

ROWS, WIDTH = 9, 4
needs_compiler = pytest.mark.skipif(native.library() is None, reason="no C++ compiler")
OPTIMIZERS = {"row_adagrad": RowAdagrad, "lazy_adam": LazyAdam}


@pytest.fixture(params=OPTIMIZERS)
def kind(request):
    return OPTIMIZERS[request.param]


def _table(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.nn.Parameter(torch.randn(*(shape or (ROWS, WIDTH)), generator=generator, dtype=dtype))


def _sparse(step, rows=(1, 4, 4, 7), dtype=torch.float64):
    """A gradient of some rows, one of them told twice; other rows and values at each step."""
    values = torch.randn(len(rows), WIDTH, generator=torch.Generator().manual_seed(step + 1), dtype=dtype)
    shifted = (torch.tensor(rows) + step) % ROWS
    return torch.sparse_coo_tensor(shifted.unsqueeze(0), values, (ROWS, WIDTH), check_invariants=True)


def _run(optimizer, table, gradients):
    for gradient in gradients:
        table.grad = gradient
        optimizer.step()
    return table.detach()


def _flat(state):
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}


def test_rows_without_a_gradient_stay_as_they_are_bit_for_bit(kind):
    table = _table(dtype=torch.float32)
    optimizer = kind([table], lr=0.1)
    _run(optimizer, table, [_sparse(0, tuple(range(ROWS)), torch.float32)])  # all rows have a momentum now
    before, state = table.detach().clone(), _flat(optimizer.state[table])
    _run(optimizer, table, [_sparse(0, dtype=torch.float32)] * 3)
    touched = torch.zeros(ROWS, dtype=torch.bool)
    touched[[1, 4, 7]] = True
    assert torch.equal(table.detach()[~touched], before[~touched])
    assert (table.detach()[touched] != before[touched]).all()
    for name, value in optimizer.state[table].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value[~touched], state[name][~touched])
            assert (value[touched] != state[name][touched]).all()


def test_a_dense_gradient_is_the_sparse_one_of_all_rows(kind):
    gradients = [_sparse(step, tuple(range(ROWS))) for step in range(5)]
    one, other = _table(), _table()
    dense = _run(kind([one], lr=0.1), one, [gradient.to_dense() for gradient in gradients])
    torch.testing.assert_close(dense, _run(kind([other], lr=0.1), other, gradients))


def test_without_any_gradient_nothing_happens(kind):
    table = _table()
    optimizer = kind([table], lr=0.1)
    state = copy.deepcopy(optimizer.state_dict())
    optimizer.step()
    assert torch.equal(table, _table())
    assert str(optimizer.state_dict()) == str(state)


def test_lazy_adam_with_gradients_of_all_rows_is_adam():
    gradients = [_sparse(step, tuple(range(ROWS))).to_dense() for step in range(20)]
    options = {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-3}
    one, other = _table(), _table()
    given = _run(LazyAdam([one], **options), one, gradients)
    torch.testing.assert_close(given, _run(torch.optim.Adam([other], **options), other, gradients))


def test_the_defaults_of_lazy_adam_are_those_of_adam():
    mine, torchs = LazyAdam([_table()]).defaults, torch.optim.Adam([_table()]).defaults
    assert mine == {name: torchs[name] for name in mine}


def test_lazy_adam_with_sparse_gradients_is_sparse_adam():
    gradients = [_sparse(step) for step in range(20)]
    options = {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-12}  # torch leaves eps out of the bias correction
    one, other = _table(), _table()
    given = _run(LazyAdam([one], **options), one, gradients)
    torch.testing.assert_close(given, _run(torch.optim.SparseAdam([other], **options), other, gradients))


def test_row_adagrad_by_hand():
    gradients = [_sparse(step) for step in range(6)]
    table = _table()
    wanted, sums = table.detach().clone().tolist(), [0.0] * ROWS
    for gradient in gradients:
        dense = gradient.to_dense().tolist()
        for row in set(gradient._indices()[0].tolist()):
            sums[row] += sum(value**2 for value in dense[row]) / WIDTH
            for column in range(WIDTH):
                wanted[row][column] -= 0.3 * dense[row][column] / (sums[row] ** 0.5 + 1e-2)
    given = _run(RowAdagrad([table], lr=0.3, eps=1e-2), table, gradients)
    torch.testing.assert_close(given, torch.tensor(wanted, dtype=torch.float64))


def test_row_adagrad_of_a_vector_is_adagrad():
    """A vector's rows are single numbers, and torch has an accumulator for each of those."""
    one, other = _table(5), _table(5)
    gradients = list(torch.randn(6, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    given = _run(RowAdagrad([one], lr=0.3), one, gradients)
    torch.testing.assert_close(given, _run(torch.optim.Adagrad([other], lr=0.3), other, gradients))


def test_a_reloaded_state_goes_on_exactly(kind, tmp_path):
    gradients = [_sparse(step, dtype=torch.float32) for step in range(8)]
    whole, first, vector = _table(dtype=torch.float32), _table(dtype=torch.float32), _table(3, dtype=torch.float32)
    _run(kind([whole], lr=0.1), whole, gradients)

    optimizer = kind([{"params": [first], "lr": 0.1}, {"params": [vector]}], lr=0.2)
    _run(optimizer, first, gradients[:5])
    torch.save({"table": first.detach(), "optimizer": optimizer.state_dict()}, tmp_path / "state")
    saved = torch.load(tmp_path / "state", weights_only=True)
    second = torch.nn.Parameter(saved["table"])
    again = kind([{"params": [second], "lr": 9.0}, {"params": [_table(3, dtype=torch.float32)]}], lr=9.0)
    again.load_state_dict(saved["optimizer"])
    _run(again, second, gradients[5:])
    assert torch.equal(second, whole)
    assert str(_run(optimizer, first, gradients[5:])) == str(whole.detach())  # saving has changed nothing


def test_each_group_has_its_own_rate(kind):
    one, two = _table(), _table()
    optimizer = kind([{"params": [one], "lr": 0.1}, {"params": [two]}], lr=0.2)
    one.grad, two.grad = _sparse(0), _sparse(0)
    optimizer.step()
    torch.testing.assert_close(two.detach() - _table(), 2 * (one.detach() - _table()))


def test_a_closure_computes_the_gradient_and_its_loss_comes_back(kind):
    table = _table()
    optimizer = kind([table], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = table.square().sum()
        loss.backward()
        return loss

    first, second = optimizer.step(closure), optimizer.step(closure)
    assert second < first


def test_gathered_rows_have_the_same_gradient_sparse_and_dense():
    rows = torch.tensor([7, 2, 2, 0, 7, 7])
    weights = torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = []
    for sparse in (True, False):
        table = _table()
        gathered = gather_rows(table, rows, sparse=sparse)[0]
        assert torch.equal(gathered, table[rows])
        (gathered.square() * weights).sum().backward()
        gradients.append(table.grad)
    assert gradients[0].is_sparse
    assert not gradients[1].is_sparse
    torch.testing.assert_close(gradients[0].to_dense(), gradients[1])


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 3, 64, 200])
def test_native_steps_equal_plain_ones(kind, width, threads, monkeypatch):
    """Of gradients that are not coalesced: a hub has a third of them, other rows have one or a few."""
    tables = {}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for worth in (0, 1 << 60):
            monkeypatch.setattr(row_optimizers, "_WORTH", worth)
            generator = torch.Generator().manual_seed(0)
            table = torch.nn.Parameter(torch.randn(40, width, generator=generator))
            optimizer = kind([table], lr=0.1)
            for _ in range(3):
                rows = torch.randint(40, (60,), generator=generator)
                rows[::2] = torch.where(rows[::2] % 3 > 0, 7, rows[::2])
                values = torch.randn(60, width, generator=generator)
                table.grad = torch.sparse_coo_tensor(rows[None], values, table.shape, check_invariants=True)
                optimizer.step()
            tables[worth] = [table.detach(), *(value for value in optimizer.state[table].values())]
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(tables[0], tables[1 << 60], rtol=1e-4, atol=1e-5)


@needs_compiler
def test_native_steps_sort_and_sum_nothing_in_torch(kind, monkeypatch):
    monkeypatch.setattr(row_optimizers, "_WORTH", 0)
    monkeypatch.setattr(torch.Tensor, "coalesce", None)
    table = _table(dtype=torch.float32)
    gather_rows(table, torch.tensor([7, 2, 2, 0]), sparse=True)[0].sum().backward()
    kind([table], lr=0.1).step()
    assert (table != _table(dtype=torch.float32)).any(dim=1).nonzero().flatten().tolist() == [0, 2, 7]


@pytest.mark.parametrize("together", [True, False])
def test_gradients_of_several_gathers_add_up(kind, together):
    """One backward pass of two gathers, or two passes: accumulated gradients are those of one larger batch."""
    groups = [torch.tensor([1, 5, 5]), torch.tensor([8, 5, 0])]
    one, other = _table(), _table()
    gather_rows(one, torch.cat(groups), sparse=True)[0].pow(3).sum().backward()
    losses = [gather_rows(other, rows, sparse=True)[0].pow(3).sum() for rows in groups]
    if together:
        torch.stack(losses).sum().backward()
    else:
        for loss in losses:
            loss.backward()
    torch.testing.assert_close(other.grad.to_dense(), one.grad.to_dense())
    kind([one], lr=0.1).step()
    kind([other], lr=0.1).step()
    torch.testing.assert_close(other, one)


def test_a_step_of_gathered_rows_equals_one_of_embedding(kind):
    rows = torch.tensor([3, 3, 6])
    one, other = _table(), _table()
    gather_rows(one, rows, sparse=True)[0].square().sum().backward()
    torch.nn.functional.embedding(rows, other, sparse=True).square().sum().backward()  # not coalesced
    kind([one], lr=0.1).step()
    kind([other], lr=0.1).step()
    torch.testing.assert_close(one, other)
