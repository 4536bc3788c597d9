"""Tiles, plain, in blocks and compiled, equal their definition in double precision, and so do their gradients."""

import pytest
import torch

from kedrec.environment import can_compile
from kedrec.nn import tiles

DEFINITIONS = {
    "l1": lambda difference: difference.abs().sum(-1),
    "rotation": lambda difference: torch.complex(*difference.chunk(2, dim=-1)).abs().sum(-1),
    "sine": lambda difference: (difference / 2).sin().abs().sum(-1),
    "euclidean": lambda difference: difference.square().sum(-1).sqrt(),
}
KINDS = ("l1", "rotation", "sine")

needs_compiler = pytest.mark.skipif(not can_compile("cpu"), reason="no C++ compiler")


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
    """In double precision, by torch's own gradient, which is 0 where a difference is 0."""
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


@needs_compiler
@pytest.mark.usefixtures("small_is_worth_compiling")
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_tiles_and_gradients_equal_the_definition(kind):
    left, right = _sides()
    given = _tile_and_gradients(lambda left, right: tiles.distance(kind, left, right, True), left, right)
    _assert_equal(given, _by_definition(kind, left, right), 1e-5)


@needs_compiler
@pytest.mark.usefixtures("small_is_worth_compiling")
def test_without_gradient_one_compilation_serves_all_shapes():
    def ask(queries, candidates):
        left, right = _sides(1, queries, candidates)
        given = tiles.distance("l1", left, right)
        torch.testing.assert_close(given, (left.unsqueeze(2) - right.unsqueeze(1)).abs().sum(3))

    with torch.no_grad():
        ask(4, 9)
        with torch.compiler.set_stance("fail_on_recompile"):
            for queries, candidates in ((3, 9), (7, 9), (4, 20), (33, 70)):
                ask(queries, candidates)


@needs_compiler
@pytest.mark.usefixtures("small_is_worth_compiling")
def test_compiled_tiles_train_without_gradient_for_one_of_the_sides():
    left, right = _sides()
    right.requires_grad_()
    tiles.distance("l1", left, right).backward(torch.ones(2, 3, 5))
    torch.testing.assert_close(right.grad, (right.detach().unsqueeze(1) - left.unsqueeze(2)).sign().sum(1))


@pytest.fixture
def never_compiles(monkeypatch):
    monkeypatch.setattr(tiles, "fused", None)


@pytest.mark.usefixtures("small_is_worth_compiling", "never_compiles")
def test_without_a_compiler_tiles_are_plain(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    can_compile.cache_clear()
    try:
        assert not can_compile("cpu")
        assert can_compile("cuda")
        left, right = _sides(queries=4, candidates=3)
        torch.testing.assert_close(tiles.distance("l1", left, right), torch.cdist(left, right, p=1))
    finally:
        can_compile.cache_clear()


@pytest.mark.usefixtures("never_compiles")
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
    sizes = []

    def formula(left, right):
        difference = left.unsqueeze(2) - right.unsqueeze(1)
        sizes.append(difference.numel())
        return difference.abs().sum(3)

    monkeypatch.setattr(tiles, "_BLOCK", 500)
    left, right = _sides(chunks=2, queries=9, candidates=5, dim=14)
    torch.testing.assert_close(tiles._in_blocks(formula, left, right), torch.cdist(left, right, p=1))
    assert sum(sizes) == 2 * 9 * 5 * 14
    assert max(sizes) <= 500


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
