import math

import pytest
import torch

from ganzip import losses

ZERO, ONE = torch.zeros(4), torch.ones(4)


def test_logistic_losses_at_hand_computed_points():
    assert losses.d_logistic(ZERO, ZERO).item() == pytest.approx(2 * math.log(2))
    assert losses.d_logistic(ONE, -ONE).item() == pytest.approx(2 * math.log(1 + math.exp(-1)))
    assert losses.g_logistic(ONE).item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert losses.g_saturating(ZERO).item() == pytest.approx(-math.log(2))  # log(1 - 1/2)


def test_both_generator_losses_fall_with_the_logit():
    for loss in (losses.g_logistic, losses.g_saturating):
        assert loss(ONE) < loss(ZERO)


def test_critic_gap():
    assert losses.critic_gap(torch.tensor([1.0, 3.0]), torch.tensor([5.0])).item() == 3.0


def test_gradient_penalty_of_a_linear_critic():
    w = torch.full((1, 2, 2), 1.5)  # norm of the gradient: 3, so (3 - 1)^2
    critic = lambda x: (x * w).flatten(1).sum(1)  # noqa: E731
    penalty = losses.gradient_penalty(critic, torch.randn(3, 1, 2, 2), torch.randn(3, 1, 2, 2))
    assert penalty.item() == pytest.approx(4.0)


def test_squared_error_reductions_differ_by_the_number_of_pixels():
    a, b = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    mean, total = losses.squared_error(a, b), losses.squared_error(a, b, "sum")
    assert total.item() == pytest.approx(16 * mean.item(), rel=1e-5)
    assert mean.item() == pytest.approx(((a - b) ** 2).mean().item(), rel=1e-5)
    with pytest.raises(ValueError, match="reduction is 'max'"):
        losses.squared_error(a, b, "max")


def test_r1_of_a_linear_discriminator_is_the_squared_norm_of_its_weight():
    w = torch.full((1, 2, 2), 1.5)
    penalty = losses.r1_penalty(lambda x: (x * w).flatten(1).sum(1), torch.randn(3, 1, 2, 2))
    assert penalty.item() == pytest.approx(9.0)
    per_pixel = losses.r1_penalty(lambda x: x * w, torch.randn(3, 1, 2, 2))
    assert per_pixel.item() == pytest.approx(9.0)  # a map of logits counts as their sum


def test_perceptual_distance_weighs_maps_and_sends_no_gradient_to_the_reference():
    a = torch.zeros(2, 1, 2, 2, requires_grad=True)
    b = torch.full((2, 1, 2, 2), 2.0, requires_grad=True)
    maps = lambda x: [x, 3 * x]  # noqa: E731
    distance = losses.perceptual(maps, (1.0, 0.5))(a, b)
    assert distance.item() == pytest.approx(2 + 0.5 * 6)
    distance.backward()
    assert a.grad is not None and b.grad is None
    assert losses.perceptual(maps, (1.0, 0.5), relative=True)(a, b).item() == pytest.approx(1.5)


def test_supervision_returns_weighted_terms():
    a, b = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    both = losses.supervision(lambda x, y: (x - y).square().sum(), l1=2.0, weight=0.1)(a, b)
    assert {k: round(v.item(), 6) for k, v in both.items()} == {"l1": 1.0, "perceptual": 0.3}
    assert set(losses.supervision(None)(a, b)) == {"l1"}
