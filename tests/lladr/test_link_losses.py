"""LLaDR's losses against plain formulas in Python's own numbers."""

import math

import pytest
import torch

from kedrec.lladr.link_losses import anchor_loss, link_loss

KINDS = ("cosine", "euclidean", "l1", "kl")


def _log_sigmoid(value):
    return -math.log1p(math.exp(-value))


def _link_by_hand(positive, negative, weight, temperature, false):
    """Row by row: chunks of triples share nothing but their negatives, and each triple has scores of its own."""
    rows = negative.reshape(len(positive), -1).tolist()
    counted = [[True] * len(row) for row in rows] if false is None else false.reshape(len(positive), -1).tolist()
    total = 0.0
    for score, row, counts, of_triple in zip(positive.tolist(), rows, counted, weight.tolist(), strict=True):
        values = [value for value, count in zip(row, counts, strict=True) if count]
        shares = [math.exp((temperature or 0.0) * value) for value in values]
        adverse = sum(share * _log_sigmoid(-value) for share, value in zip(shares, values, strict=True))
        total += of_triple * (_log_sigmoid(score) + (adverse / sum(shares) if values else 0.0))
    return -total / sum(weight.tolist()) / 2


def _scores(dtype=torch.float64):
    """Six triples in three chunks with four negatives each, weights, and which corruptions are false."""
    generator = torch.Generator().manual_seed(0)
    positive = torch.randn(6, generator=generator, dtype=dtype) * 3
    negative = torch.randn(3, 2, 4, generator=generator, dtype=dtype) * 3
    weight = torch.rand(6, generator=generator, dtype=dtype) + 0.1
    false = torch.rand(3, 2, 4, generator=generator) < 0.6
    false[1, 0] = False  # this triple's corruptions are all true
    return positive, negative, weight, false


@pytest.mark.parametrize("temperature", [None, 0.0, 0.5, 2.0])
@pytest.mark.parametrize("filtered", [False, True])
def test_link_loss_by_hand(temperature, filtered):
    positive, negative, weight, false = _scores()
    false = false if filtered else None
    given = link_loss(positive, negative, weight, temperature, false)
    assert given.item() == pytest.approx(_link_by_hand(positive, negative, weight, temperature, false))


@pytest.mark.parametrize("temperature", [None, 1.0])
def test_a_true_corruption_neither_counts_nor_learns(temperature):
    positive, negative, weight, false = _scores()
    negative.requires_grad_()
    loss = link_loss(positive, negative, weight, temperature, false)
    (gradient,) = torch.autograd.grad(loss, negative)
    assert gradient[false].ne(0).all()
    assert gradient[~false].eq(0).all()
    changed = torch.where(false, negative.detach(), 1e4)
    assert link_loss(positive, changed, weight, temperature, false).item() == pytest.approx(loss.item())


def test_self_adversarial_weights_are_no_path_of_gradients():
    positive, negative, weight, _ = _scores()
    negative.requires_grad_()
    (gradient,) = torch.autograd.grad(link_loss(positive, negative, weight, 2.0), negative)
    share = (2.0 * negative.detach()).softmax(2)
    of_triple = (weight / weight.sum()).view(3, 2, 1)
    torch.testing.assert_close(gradient, of_triple * share * negative.detach().sigmoid() / 2)


def test_only_the_ratios_of_weights_matter():
    positive, negative, weight, _ = _scores()
    loss = link_loss(positive, negative, weight, 1.0)
    torch.testing.assert_close(link_loss(positive, negative, weight * 7, 1.0), loss)
    assert not torch.allclose(link_loss(positive, negative, weight.flip(0), 1.0), loss)


def test_link_loss_does_not_depend_on_how_triples_are_cut_into_chunks():
    positive, negative, weight, false = _scores()
    loss = link_loss(positive, negative, weight, 1.0, false)
    each = link_loss(positive, negative.view(6, 1, 4), weight, 1.0, false.view(6, 1, 4))
    torch.testing.assert_close(each, loss)


@pytest.mark.parametrize("size", [300.0, 1e4])
def test_link_loss_and_gradient_are_finite_for_scores_far_from_zero(size):
    positive, negative, weight, false = _scores(torch.float32)
    positive, negative = (positive * size).requires_grad_(), (negative * size).requires_grad_()
    loss = link_loss(positive, negative, weight, 1.0, false)
    gradients = torch.autograd.grad(loss, (positive, negative))
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


def _softmax(values):
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def _distance_by_hand(kind, entity, anchor):
    pairs = list(zip(entity, anchor, strict=True))
    if kind == "cosine":
        lengths = math.dist(entity, [0] * len(entity)) * math.dist(anchor, [0] * len(anchor))
        return 1 - sum(mine * wanted for mine, wanted in pairs) / lengths
    if kind == "euclidean":
        return math.dist(entity, anchor)
    if kind == "l1":
        return sum(abs(mine - wanted) for mine, wanted in pairs)
    shares = zip(_softmax(entity), _softmax(anchor), strict=True)
    return sum(wanted * math.log(wanted / mine) for mine, wanted in shares)


def _anchored(width_of_mask=6):
    """Seven entities, some coordinates of which are anchored; one entity wholly, one not at all."""
    generator = torch.Generator().manual_seed(1)
    entity, anchor = torch.randn(2, 7, 6, generator=generator, dtype=torch.float64)
    known = torch.rand(7, width_of_mask, generator=generator) < 0.5
    known[0], known[1] = True, False
    return entity, anchor, known


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width_of_mask", [6, 1])
def test_anchor_loss_by_hand_over_the_known_coordinates(kind, width_of_mask):
    entity, anchor, known = _anchored(width_of_mask)
    distances = [
        _distance_by_hand(kind, mine[mask].tolist(), wanted[mask].tolist())
        for mine, wanted, mask in zip(entity, anchor, known.expand(7, 6), strict=True)
        if mask.any()
    ]
    assert 1 < len(distances) < 7
    given = anchor_loss(kind, entity, anchor, known)
    assert given.item() == pytest.approx(sum(distances) / len(distances))


@pytest.mark.parametrize("kind", KINDS)
def test_anchor_loss_does_not_see_unknown_coordinates(kind):
    entity, anchor, known = _anchored()
    entity.requires_grad_()
    loss = anchor_loss(kind, entity, anchor, known)
    (gradient,) = torch.autograd.grad(loss, entity)
    assert gradient[~known].eq(0).all()
    assert gradient[0].ne(0).all()
    elsewhere = torch.where(known, anchor, 1e6)
    assert anchor_loss(kind, torch.where(known, entity, -1e6), elsewhere, known).item() == pytest.approx(loss.item())


@pytest.mark.parametrize("kind", KINDS)
def test_anchor_loss_gradient_in_double_precision(kind):
    entity, anchor, known = _anchored()
    assert torch.autograd.gradcheck(lambda entity: anchor_loss(kind, entity, anchor, known), entity.requires_grad_())


@pytest.mark.parametrize("kind", KINDS)
def test_anchor_loss_is_zero_at_the_anchors_and_where_nothing_is_known(kind):
    entity, anchor, known = _anchored()
    assert anchor_loss(kind, anchor, anchor, known).item() == pytest.approx(0, abs=1e-12)
    assert anchor_loss(kind, entity, anchor, known).item() > 0.1
    entity.requires_grad_()
    nothing = anchor_loss(kind, entity, anchor, torch.zeros_like(known))
    assert nothing.item() == 0
    assert torch.autograd.grad(nothing, entity)[0].eq(0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zero", ["entity", "anchor", "both"])
def test_anchor_loss_has_a_finite_gradient_at_zero_rows(kind, zero):
    entity, anchor = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    if zero != "anchor":
        entity[1] = 0
    if zero != "entity":
        anchor[1] = 0
    known = torch.tensor([[True], [True], [False]])
    entity.requires_grad_()
    loss = anchor_loss(kind, entity, anchor, known)
    (gradient,) = torch.autograd.grad(loss, entity)
    assert loss.isfinite()
    assert gradient.isfinite().all()
    assert gradient[2].eq(0).all()
