"""Tiles, plain, in blocks and in C++, equal their definition in double precision, and so do their gradients."""

import pytest
import torch

from kedrec.lladr import native_kernels as native
from kedrec.lladr import scoring_tiles as tiles


def _modulus(value):
    """Its derivative at 0 is that of a positive number."""
    return torch.where(value >= 0, value, -value)


DEFINITIONS = {
    "l1": lambda difference: _modulus(difference).sum(-1),
    "rotation": lambda difference: torch.complex(*difference.chunk(2, dim=-1)).abs().sum(-1),
    "sine": lambda difference: _modulus((difference / 2).sin()).sum(-1),
    "euclidean": lambda difference: difference.square().sum(-1).sqrt(),
}
KINDS = ("l1", "rotation", "sine")

needs_compiler = pytest.mark.skipif(native.library() is None, reason="no C++ compiler")


@pytest.fixture
def small_is_worth_compiling(monkeypatch):
    monkeypatch.setattr(tiles, "_WORTH", 0)


def _sides(chunks=2, queries=3, candidates=5, dim=14, dtype=torch.float32):
    """Queries and candidates; the first query of each chunk is its first candidate."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(chunks, queries, dim, generator=generator, dtype=dtype) * 3
    right = torch.randn(chunks, candidates, dim, generator=generator, dtype=dtype) * 3
    right[:, 0] = left[:, 0]
    return left, right


def _tile_and_gradients(tile, left, right):
    """The tile, and both sides' gradients of its sum under uneven weights."""
    left, right = left.detach().requires_grad_(), right.detach().requires_grad_()
    given = tile(left, right)
    weights = torch.randn(given.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(given.dtype)
    return given.detach(), *torch.autograd.grad((given * weights).sum(), (left, right))


def _by_definition(kind, left, right):
    """In double precision, by torch's own gradient."""
    return _tile_and_gradients(
        lambda left, right: DEFINITIONS[kind](left.unsqueeze(2) - right.unsqueeze(1)), left.double(), right.double()
    )


def _assert_equal(given, expected, tolerance):
    for mine, wanted in zip(given, expected, strict=True):
        torch.testing.assert_close(mine.double(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_plain_tiles_and_gradients_equal_the_definition(kind, dtype, tolerance):
    left, right = _sides(dtype=dtype)
    given = _tile_and_gradients(lambda left, right: tiles.distance(kind, left, right, False), left, right)
    _assert_equal(given, _by_definition(kind, left, right), tolerance)


@pytest.fixture
def no_plain_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "_apply_plain", None)


# Widths around whole vectors; queries around the rows that are taken together; candidates that overflow a cache.
@needs_compiler
@pytest.mark.usefixtures("small_is_worth_compiling", "no_plain_tiles")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape", [(2, 3, 5, 14), (1, 1, 1, 2), (3, 4, 7, 32), (2, 9, 4, 64), (1, 6, 3, 34), (2, 5, 1000, 128)]
)
def test_native_tiles_and_gradients_equal_the_definition(kind, shape):
    left, right = _sides(*shape)
    if kind == "sine":
        right[:, 0] += 1  # products that cancel are not quite 0, and any subgradient may come
    given = _tile_and_gradients(lambda left, right: tiles.distance(kind, left, right), left, right)
    _assert_equal(given, _by_definition(kind, left, right), 3e-5)


@needs_compiler
@pytest.mark.usefixtures("small_is_worth_compiling", "no_plain_tiles")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_native_tiles_do_not_depend_on_the_threads(kind, threads):
    left, right = _sides(3, 7, 11, 96)

    def tile(left, right):
        return tiles.distance(kind, left, right)

    whole = _tile_and_gradients(tile, left, right)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for mine, wanted in zip(_tile_and_gradients(tile, left, right), whole, strict=True):
            assert torch.equal(mine, wanted)
    finally:
        torch.set_num_threads(before)


@needs_compiler
@pytest.mark.usefixtures("small_is_worth_compiling", "no_plain_tiles")
@pytest.mark.parametrize("kind", KINDS)
def test_native_tiles_take_rows_that_are_views_of_others(kind):
    left, right = _sides(2, 4, 6, 64)
    given = _tile_and_gradients(
        lambda left, right: tiles.distance(kind, left[..., ::2], right[:, 1:]), left, right[..., ::2]
    )
    wanted = tiles.distance(kind, left[..., ::2].contiguous(), right[:, 1:, ::2].contiguous())
    torch.testing.assert_close(given[0], wanted)


@needs_compiler
@pytest.mark.usefixtures("small_is_worth_compiling", "no_plain_tiles")
def test_a_rotation_of_equal_rows_is_zero_and_has_no_gradient():
    left = torch.randn(1, 2, 32, generator=torch.Generator().manual_seed(0))
    distance, *gradients = _tile_and_gradients(
        lambda left, right: tiles.distance("rotation", left, right), left, left.clone()
    )
    assert distance.diagonal(dim1=1, dim2=2).tolist() == [[0.0, 0.0]]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.fixture
def never_native(monkeypatch):
    monkeypatch.setattr(tiles, "_apply_native", None)


@pytest.mark.usefixtures("small_is_worth_compiling", "never_native")
def test_without_a_compiler_tiles_are_plain(monkeypatch):
    monkeypatch.setattr(native, "library", lambda: None)
    left, right = _sides(queries=4, candidates=3)
    torch.testing.assert_close(tiles.distance("l1", left, right), torch.cdist(left, right, p=1))


@pytest.mark.usefixtures("small_is_worth_compiling", "never_native")
def test_double_precision_is_plain():
    left, right = _sides(queries=4, candidates=3, dtype=torch.float64)
    torch.testing.assert_close(tiles.distance("l1", left, right), torch.cdist(left, right, p=1))


@pytest.mark.usefixtures("never_native")
@pytest.mark.parametrize("compiled", [True, False])
def test_tiles_too_small_to_pay_and_those_that_are_not_to_be_compiled_are_plain(monkeypatch, compiled):
    left, right = _sides(queries=4, candidates=3, dim=10)
    monkeypatch.setattr(tiles, "_WORTH", 2 * 4 * 3 * 10 + compiled)
    torch.testing.assert_close(tiles.distance("l1", left, right, compiled), torch.cdist(left, right, p=1))


@pytest.mark.parametrize("block", [1, 2 * 5 * 14 * 2, 2 * 5 * 14 * 3 - 1])
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_do_not_change_tiles_or_gradients(monkeypatch, kind, block):
    left, right = _sides(queries=7)

    def tile(left, right):
        return tiles.distance(kind, left, right, False)

    whole = _tile_and_gradients(tile, left, right)
    monkeypatch.setattr(tiles, "_BLOCK", block)
    for mine, wanted in zip(_tile_and_gradients(tile, left, right), whole, strict=True):
        torch.testing.assert_close(mine, wanted)


def test_a_block_is_no_larger_than_allowed(monkeypatch):
    monkeypatch.setattr(tiles, "_BLOCK", 500)
    left, right = _sides(chunks=2, queries=9, candidates=5, dim=14)
    blocks = tiles._blocks(left, right)
    torch.testing.assert_close(torch.cat(blocks, dim=1), left)
    assert max(block.numel() * right.shape[1] for block in blocks) <= 500


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_gpu_compiles_equals_what_runs_in_blocks(kind):
    left, right = _sides()
    _, of_queries, of_candidates = _tile_and_gradients(
        lambda left, right: tiles.distance(kind, left, right, False), left, right
    )
    weights = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64).float()
    torch.testing.assert_close(tiles._of_queries(kind, weights, left, right), of_queries)
    torch.testing.assert_close(tiles._of_candidates(kind, weights, left, right), of_candidates)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_inner_products_and_euclidean_distances_equal_the_definition(dtype, tolerance):
    left, right = _sides(dtype=dtype)
    right[:, 0] += 1  # a distance of 0 has its own test
    torch.testing.assert_close(tiles.dot(left, right), torch.einsum("cqd,ced->cqe", left, right))
    _assert_equal(
        _tile_and_gradients(tiles.euclidean, left, right), _by_definition("euclidean", left, right), tolerance
    )


@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
def test_a_euclidean_distance_of_zero_is_near_zero_and_has_a_finite_gradient(size):
    left = (torch.randn(1, 50, 64, generator=torch.Generator().manual_seed(0)) * size).requires_grad_()
    distances = tiles.euclidean(left, left.detach()).diagonal(dim1=1, dim2=2)
    assert distances.max() < 0.01 * left.detach().norm(dim=2).min()
    distances.sum().backward()
    assert left.grad.norm(dim=2).max() <= 1.1
