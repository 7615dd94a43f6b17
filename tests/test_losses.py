import math

import numpy as np
import pytest
import torch

from ganzip import losses

ZERO, ONE = torch.zeros(4), torch.ones(4)


def test_logistic_losses_at_hand_computed_points():
    assert losses.d_logistic(ZERO, ZERO).item() == pytest.approx(2 * math.log(2))
    assert losses.d_logistic(ONE, -ONE).item() == pytest.approx(2 * math.log(1 + math.exp(-1)))
    assert losses.g_logistic(ONE).item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert losses.g_saturating(ZERO).item() == pytest.approx(-math.log(2))  # log(1 - 1/2)


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


def pictures(*shape):
    """Two sets of images in [-1, 1] that resemble each other."""
    a = torch.rand(*shape, dtype=torch.double) * 2 - 1
    return a, (0.7 * a + 0.2 * torch.randn_like(a)).clamp(-1, 1)


def test_ssim_is_that_of_skimage():
    from skimage.metrics import structural_similarity

    a, b = pictures(2, 3, 20, 17)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pairs = ((torch.stack([a, b], 1) + 1) / 2).numpy()
    expected = np.mean(
        [structural_similarity(*xy, channel_axis=0, data_range=1.0, **wang) for xy in pairs]
    )
    assert losses.ssim(a, b).item() == pytest.approx(expected, rel=1e-10)
    assert losses.ssim(a.float(), b.float()).item() == pytest.approx(expected, rel=1e-5)
    assert losses.ssim(a, a).item() == pytest.approx(1.0)


def test_ssim_needs_a_window_of_pixels():
    a, b = pictures(1, 1, 11, 11)
    assert torch.isfinite(losses.ssim(a, b))
    with pytest.raises(ValueError, match=r"images are \(1, 1, 11, 10\); expected 11x11"):
        losses.ssim(a[..., :10], b[..., :10])


def test_style_compares_gram_matrices_of_every_map():
    a = torch.tensor([[[[1.0, 2.0]], [[0.0, 1.0]]]])  # channels (1, 2) and (0, 1), c h w = 4
    # Gram matrix [[5, 2], [2, 1]] / 4; the mean of its four entries against 0 is 10 / 16.
    assert losses.gram(a).tolist() == [[[1.25, 0.5], [0.5, 0.25]]]
    assert losses.style([a, a], [0 * a, a]).item() == pytest.approx(10 / 16)
    assert losses.style([a, 2 * a], [0 * a, 0 * a]).item() == pytest.approx(5 * 10 / 16)
    swapped = torch.stack([a[0], 0 * a[0]])  # each image of a batch has a matrix of its own
    assert losses.style([swapped], [swapped.flip(0)]).item() == pytest.approx(10 / 16)


def test_total_variation_by_hand_and_on_the_scale_of_256_pixels():
    image = torch.tensor([[0.0, 1.0], [0.0, -2.0]])  # |dx|: 1 + 2, |dy|: 0 + 3
    scale = 256**2 / 4
    assert losses.total_variation(image[None, None]).item() == pytest.approx(6 * scale)
    both = torch.stack([image, 0 * image])[:, None]
    assert losses.total_variation(both).item() == pytest.approx(3 * scale)
    colour = image.expand(1, 3, 2, 2)
    assert losses.total_variation(colour).item() == pytest.approx(3 * 6 * scale)
    stripes = torch.arange(256).remainder(2).float().expand(1, 1, 256, 256)
    assert losses.total_variation(stripes).item() == pytest.approx(255 * 256)  # the plain sum


def test_masked_supervision_sees_nothing_outside_of_the_mask():
    a = torch.zeros(1, 3, 2, 2, requires_grad=True)
    b = torch.tensor([[0.5, 0.0], [0.5, 0.5]]).expand(1, 3, 2, 2).clone().requires_grad_(True)
    left = lambda x: (torch.arange(2) == 0) * torch.ones_like(x[:, :1])  # noqa: E731
    distance = lambda x, y: (x - y).square().sum()  # noqa: E731
    terms = losses.masked(losses.supervision(distance, l1=3.0, weight=2.0), left)(a, b)
    assert terms["l1"].item() == pytest.approx(3 * 0.5 / 2)  # a mean over all pixels
    assert terms["perceptual"].item() == pytest.approx(2 * 6 * 0.25)
    torch.stack(list(terms.values())).sum().backward()
    assert a.grad is not None
    assert a.grad[..., 0].count_nonzero() == 6 and not a.grad[..., 1].any()


def test_path_lengths_are_the_jacobian_times_noise():
    torch.manual_seed(0)
    matrix = torch.randn(2 * 5, 3 * 4 * 4, dtype=torch.double)
    images = lambda ws: (ws.flatten(1) @ matrix).sin().unflatten(1, (3, 4, 4))  # noqa: E731
    ws = torch.randn(2, 2, 5, dtype=torch.double, requires_grad=True)
    torch.manual_seed(1)
    lengths = losses.path_lengths(images(ws), ws)
    torch.manual_seed(1)
    y = torch.randn(2, 3, 4, 4, dtype=torch.double) / 4
    for i in range(2):
        jacobian = torch.autograd.functional.jacobian(lambda w: images(w[None])[0], ws[i].detach())
        moved = (jacobian * y[i, :, :, :, None, None]).sum((0, 1, 2))  # pyright: ignore
        expected = moved.square().sum(1).mean().sqrt()
        torch.testing.assert_close(lengths[i], expected)
    assert lengths.requires_grad
