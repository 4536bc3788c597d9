"""Divergences from a teacher's distributions, against plain definitions."""

import math

import pytest
import torch

from kedrec.kedrec_lm.token_distillation import divergence, token_distribution

KINDS = ("forward_kl", "reverse_kl", "jsd")


def plain(student, teacher, kind):
    """The definition, in float64, token by token."""
    found = []
    for q, p in zip(student.double().softmax(-1), teacher.double().softmax(-1), strict=True):
        middle = (p + q) / 2
        kl = {
            "forward_kl": (p * (p / q).log()).sum(),
            "reverse_kl": (q * (q / p).log()).sum(),
            "jsd": ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2,
        }
        found.append(kl[kind])
    return torch.stack(found)


@pytest.fixture
def logits():
    draw = torch.Generator().manual_seed(0)
    return 3 * torch.randn(5, 40, generator=draw), 3 * torch.randn(5, 40, generator=draw)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_whole_distributions_give_the_definition(logits, kind, temperature):
    student, teacher = logits
    found = divergence(student, token_distribution(teacher, temperature), kind, temperature)
    expected = temperature**2 * plain(student / temperature, teacher / temperature, kind)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_top_k_is_a_lower_bound_that_all_tokens_reach(logits, kind):
    student, teacher = logits
    whole = divergence(student, token_distribution(teacher), kind)
    bounds = [divergence(student, token_distribution(teacher, top_k=k), kind) for k in (1, 4, 16, 39)]
    for lower, higher in zip(bounds, [*bounds[1:], whole], strict=True):
        assert (lower <= higher + 5e-3).all()  # what k leave over is a difference of numbers near 1
    torch.testing.assert_close(bounds[-1], whole, rtol=1e-3, atol=5e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top_k", [None, 1, 8])
def test_equal_models_are_at_distance_zero_and_stay_there(logits, kind, top_k):
    student = logits[0].clone().requires_grad_()
    found = divergence(student, token_distribution(student.detach(), 2.0, top_k), kind, 2.0)
    assert found.abs().max() < 1e-5
    found.sum().backward()
    assert student.grad.abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top_k", [None, 3])
def test_gradients_are_right(logits, kind, top_k):
    student, teacher = (part[:2, :7].double() for part in logits)
    target = token_distribution(teacher, 1.5, top_k)

    def loss(asked):
        # In float64 throughout: the function itself computes in float32.
        return divergence(asked, target, kind, 1.5)

    step = 1e-2
    asked = student.clone().requires_grad_()
    loss(asked).sum().backward()
    for row, column in ((0, 0), (1, 6), (0, int(teacher[0].argmax()))):
        moved = torch.zeros_like(student)
        moved[row, column] = step
        slope = (loss(student + moved).sum() - loss(student - moved).sum()) / (2 * step)
        assert asked.grad[row, column].item() == pytest.approx(slope.item(), abs=5e-4)


def test_the_jensen_shannon_divergence_is_symmetric_and_bounded(logits):
    student, teacher = logits
    there = divergence(student, token_distribution(teacher), "jsd")
    back = divergence(teacher, token_distribution(student), "jsd")
    torch.testing.assert_close(there, back)
    apart = torch.full((1, 4), -100.0)
    one, other = apart.clone(), apart.clone()
    one[0, 0] = other[0, 1] = 100.0
    assert divergence(one, token_distribution(other), "jsd").item() == pytest.approx(math.log(2), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_teacher_that_is_certain_gives_finite_numbers(kind):
    teacher = torch.full((1, 6), -200.0)
    teacher[0, 2] = 200.0
    student = torch.zeros(1, 6, requires_grad=True)
    found = divergence(student, token_distribution(teacher, top_k=2), kind)
    found.sum().backward()
    assert found.isfinite().all()
    assert student.grad.isfinite().all()
