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
