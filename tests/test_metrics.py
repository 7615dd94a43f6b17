"""Metrics against hand-computed numbers, closed forms and independent implementations."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip import metrics


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixed(n: int, d: int, seed: int) -> Tensor:
    """Correlated features with a mean of their own."""
    return normal(n, d, seed) @ normal(d, d, seed + 100) / math.sqrt(d) + 0.1 * seed


def frechet_by_eigenvalues(a: Tensor, b: Tensor) -> float:
    """The definition, with the trace as the eigenvalues of the unsymmetric product."""
    x, y = a.numpy(), b.numpy()
    product = np.cov(x.T) @ np.cov(y.T)
    shared = np.sqrt(np.linalg.eigvals(product).real.clip(0)).sum()
    apart = x.mean(0) - y.mean(0)
    return float(apart @ apart + np.cov(x.T).trace() + np.cov(y.T).trace() - 2 * shared)


def test_params_counts_frozen_parameters_and_no_buffers():
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    assert metrics.params(net) == (3 * 5 * 9 + 5) + 2 * 5
    assert metrics.params(net.requires_grad_(False)) == 150


def test_macs_of_a_convolution_and_its_transpose():
    x = torch.zeros(2, 3, 8, 8)
    # Every output pixel of a convolution takes in x out x k x k products,
    assert metrics.macs(nn.Conv2d(3, 5, 3, stride=2, padding=1), x) == 2 * 5 * 4 * 4 * 3 * 9
    # and every input pixel of a transposed one.
    assert metrics.macs(nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1), x) == 2 * 3 * 64 * 5 * 16
    assert metrics.macs(nn.Linear(7, 11), torch.zeros(1, 7)) == 77


def test_latency_is_the_median_of_turns_after_two_that_do_not_count(monkeypatch):
    order, now = [], [0.0]
    times = {"a": iter([99, 99, 1, 5, 2]), "b": iter([99, 99, 7, 7, 8])}

    def call(name):
        order.append(name)
        assert not torch.is_grad_enabled()
        now[0] += next(times[name])

    monkeypatch.setattr(metrics.time, "process_time", lambda: now[0])
    found = metrics.latency({name: lambda name=name: call(name) for name in times}, 3)
    assert found == {"a": 2, "b": 7} and order == ["a", "b"] * 5


def test_inception_score_by_hand():
    p = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    kl = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert metrics.inception_score(p) == pytest.approx(math.exp(kl), rel=1e-12)
    cross = -0.5 * (math.log(0.75) + math.log(0.25))
    assert metrics.inception_score_cross_entropy(p) == pytest.approx(cross, rel=1e-12)


@pytest.mark.parametrize("n, m", [(500, 300), (20, 300), (300, 20), (64, 64), (12, 17)])
def test_frechet_distance_is_the_definition_at_any_rank(n: int, m: int):
    a, b = mixed(n, 64, 1), mixed(m, 64, 2)
    assert metrics.frechet_distance(a, b) == pytest.approx(frechet_by_eigenvalues(a, b), rel=1e-6)


@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")
def test_frechet_distance_agrees_with_clean_fid():
    from ganzip._compat import ensure_torchvision

    ensure_torchvision()
    fid = pytest.importorskip("cleanfid.fid")
    a, b = mixed(400, 64, 1), mixed(300, 64, 2)
    x, y = a.numpy(), b.numpy()
    theirs = fid.frechet_distance(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    assert metrics.frechet_distance(a, b) == pytest.approx(theirs, rel=1e-9)


def test_features_that_cannot_be_compared():
    a = normal(10, 4)
    bad = a.clone()
    bad[3, 1] = torch.nan
    with pytest.raises(ValueError, match="1 of 10 rows of the second features are not finite"):
        metrics.frechet_distance(a, bad)
    with pytest.raises(ValueError, match="4 and 5 dimensions"):
        metrics.kernel_distance(a, normal(10, 5))
    with pytest.raises(ValueError, match="features of 1 images"):
        metrics.frechet_distance(a, a[:1])
    with pytest.raises(ValueError, match=r"\(10,\); expected \(n, d\)"):
        metrics.frechet_distance(a[:, 0], a)


def mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased MMD^2 by its definition, pair by pair."""

    def k(u: np.ndarray, v: np.ndarray) -> float:
        return float(u @ v / len(u) + 1) ** 3

    n, m = len(x), len(y)
    own_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    own_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own_x + own_y - 2 * sum(k(u, v) for u in x for v in y) / (n * m)


def test_kernel_distance_by_hand():
    a, b = mixed(20, 6, 1), mixed(20, 6, 2)
    mean, spread = metrics.kernel_distance(a, b, subsets=3)
    assert mean == pytest.approx(mmd(a.numpy(), b.numpy()), rel=1e-10)
    assert spread == pytest.approx(0, abs=1e-12)


# One kernel matrix for all subsets; a matrix for each subset.
@pytest.mark.parametrize("n, size", [(40, 20), (400, 12)])
def test_kernel_distance_of_subsets(n: int, size: int):
    a, b = mixed(n, 6, 1), mixed(n + 7, 6, 2)
    found = metrics.kernel_distance(a, b, subsets=25, size=size, seed=5)
    rng = np.random.default_rng(5)
    in_a = [rng.choice(n, size, replace=False) for _ in range(25)]
    in_b = [rng.choice(n + 7, size, replace=False) for _ in range(25)]
    values = [mmd(a.numpy()[i], b.numpy()[j]) for i, j in zip(in_a, in_b, strict=True)]
    assert found == pytest.approx((np.mean(values), np.std(values)), rel=1e-9)
    assert found == metrics.kernel_distance(a, b, subsets=25, size=size, seed=5)
    assert found != metrics.kernel_distance(a, b, subsets=25, size=size, seed=6)


def test_kernel_distance_of_pairs_is_unbiased():
    """Few answers beside their truths have the distance that many unpaired images have."""
    shift = torch.full((6,), 0.5)
    far, _ = metrics.kernel_distance(normal(4000, 6, 1) + shift, normal(4000, 6, 2), size=4000)
    found: dict[bool, list[float]] = {True: [], False: []}
    for i in range(200):
        truth = normal(20, 6, 10 + i)
        for pairs, values in found.items():
            values.append(metrics.kernel_distance(truth + shift, truth, pairs=pairs, subsets=1)[0])
    error = np.std(found[True]) / 200**0.5
    assert abs(np.mean(found[True]) - far) < 3 * error
    assert np.mean(found[False]) < far - 10 * error
    with pytest.raises(ValueError, match="20 and 19 features are no pairs"):
        metrics.kernel_distance(truth, truth[1:], pairs=True)


def test_variance_of_laplacian_by_hand():
    pixels = torch.zeros(1, 1, 3, 3)
    pixels[..., 1, 1] = 255
    # Mirrored without the edge: each side pixel sees the centre twice, the centre sees only zeros.
    laplacian = 255 * np.array([[0, 2, 0], [2, -4, 2], [0, 2, 0]])
    found = metrics.variance_of_laplacian(pixels / 127.5 - 1)
    assert found.tolist() == pytest.approx([laplacian.var()])


def test_variance_of_laplacian_of_grey_and_colour():
    grey = torch.rand(3, 1, 12, 9, generator=torch.Generator().manual_seed(0)) - 0.5
    sharpness = metrics.variance_of_laplacian(grey)
    torch.testing.assert_close(metrics.variance_of_laplacian(grey.expand(-1, 3, -1, -1)), sharpness)
    torch.testing.assert_close(metrics.variance_of_laplacian(grey + 0.25), sharpness)
    torch.testing.assert_close(metrics.variance_of_laplacian(grey * 0.5), sharpness * 0.25)
    for i, share in enumerate((0.299, 0.587, 0.114)):
        one = torch.cat([grey * (i == channel) for channel in range(3)], 1)
        torch.testing.assert_close(metrics.variance_of_laplacian(one), sharpness * share**2)
    with pytest.raises(ValueError, match=r"\(3, 2, 8, 8\)"):
        metrics.variance_of_laplacian(torch.zeros(3, 2, 8, 8))


def pair(size: int = 24) -> tuple[Tensor, Tensor]:
    """Three colour images in [-1, 1], smooth enough to have structure, and noisy versions."""
    clean = F.interpolate(normal(27, 36).view(3, 9, 6, 6)[:, :3], size, mode="bicubic").tanh()
    return (clean + 0.2 * normal(size * size * 9, 1, 1).view_as(clean)).float(), clean.float()


def test_psnr_by_hand():
    black, grey = torch.full((2, 3, 4, 4), -1.0), torch.full((2, 3, 4, 4), -1.0)
    grey[0, 0] += 10 / 127.5  # a third of the numbers is off by 10 of 255
    grey[1] += 255 / 127.5
    found = metrics.psnr(grey, black)
    assert found.tolist() == pytest.approx([20 * math.log10(255 / 10) + 10 * math.log10(3), 0])
    assert metrics.psnr(grey, grey).tolist() == [math.inf, math.inf]


def test_psnr_sees_what_a_saved_image_holds():
    clean = torch.zeros(1, 3, 4, 4)
    assert metrics.psnr(clean + 0.3 / 127.5, clean).tolist() == [math.inf]  # the same byte
    assert metrics.psnr(clean + 7, clean).equal(metrics.psnr(clean + 1, clean))  # clamped


def test_ssim_is_the_definition():
    noisy, clean = pair()
    x, y = (((v + 1) * 127.5).round().clamp(0, 255).double() for v in (noisy, clean))
    line = torch.exp(-torch.arange(-5, 6, dtype=torch.float64).square() / (2 * 1.5**2))
    window = (line.outer(line) / line.sum() ** 2).expand(3, 1, 11, 11)

    def mean(v: Tensor) -> Tensor:
        return F.conv2d(v, window, groups=3)  # where the window lies inside the image

    m, n, c, d = mean(x), mean(y), (0.01 * 255) ** 2, (0.03 * 255) ** 2
    var_x, var_y, cov = mean(x * x) - m * m, mean(y * y) - n * n, mean(x * y) - m * n
    local = (2 * m * n + c) * (2 * cov + d) / ((m * m + n * n + c) * (var_x + var_y + d))
    expected = local.mean((1, 2, 3)).float()
    torch.testing.assert_close(metrics.ssim(noisy, clean), expected, rtol=1e-5, atol=1e-6)
    assert (0.05 < expected).all() and (expected < 0.95).all()
    assert metrics.ssim(clean, clean).tolist() == [1, 1, 1]


def test_perceptual_distance_by_hand():
    reference = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    images = torch.tensor([1.5, 1.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4).clone().requires_grad_()
    seen = []

    def maps(x: Tensor) -> list[Tensor]:
        seen.append(len(x))
        return [10 * x, x[:, :1, ::2] ** 2]

    # |1.5 - 1| / 1 and |2.25 - 1| / 1; |1 - 2| / 2 and |1 - 4| / 4: no scale of a map matters.
    found = metrics.perceptual_distance(maps, images, reference)
    assert found.tolist() == [(0.5 + 1.25) / 2, (0.5 + 0.75) / 2]
    assert not found.requires_grad
    assert metrics.perceptual_distance(maps, images, reference, batch=1).equal(found)
    assert seen == [2, 2, 1, 1, 1, 1]


def test_images_that_cannot_be_compared():
    noisy, clean = pair()
    for measure in (metrics.psnr, metrics.ssim):
        with pytest.raises(
            ValueError, match=r"\(3, 3, 24, 24\) and the reference \(2, 3, 24, 24\)"
        ):
            measure(noisy, clean[:2])
        with pytest.raises(ValueError, match="1 of 3 rows of the images are not finite"):
            measure(torch.cat([noisy[:2], noisy[2:] * torch.nan]), clean)
    with pytest.raises(ValueError, match="expected sides of a window, 11, or more"):
        metrics.ssim(noisy[..., :10], clean[..., :10])


def test_ks_distance_by_hand():
    a = torch.tensor([[0.1, 0.2], [0.3, 0.4]])
    # Just below 0.35 lie three quarters of a and none of b.
    b = torch.tensor([0.35, 0.5, 0.6])
    assert metrics.ks_distance(a, b) == metrics.ks_distance(b, a) == pytest.approx(3 / 4)
    assert metrics.ks_distance(a, a + 1) == 1
    assert metrics.ks_distance(a, a.flatten()) == 0
    with pytest.raises(ValueError, match="1 of 3 rows of numbers are not finite"):
        metrics.ks_distance(a, torch.tensor([0.1, 0.2, math.nan]))


@pytest.mark.parametrize("block", [1 << 24, 64])
def test_precision_and_recall_by_brute_force(block: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "BLOCK", block)
    real, fake = normal(60, 3, 1), normal(50, 3, 2) * 0.6 + 0.4

    def covered(points: np.ndarray, by: np.ndarray) -> float:
        radii = [sorted(np.linalg.norm(by - y, axis=1))[3] for y in by]
        return float(np.mean([(np.linalg.norm(by - x, axis=1) <= radii).any() for x in points]))

    expected = covered(fake.numpy(), real.numpy()), covered(real.numpy(), fake.numpy())
    found = metrics.precision_recall(real, fake)
    assert found == pytest.approx(expected)
    assert 0 < found[0] < 1 and 0 < found[1] < 1


def test_auc():
    from sklearn.metrics import roc_auc_score

    real, fake = normal(70, 1, 1) + 0.5, normal(40, 1, 2)
    real, fake = real.mul(4).round(), fake.mul(4).round()  # with ties
    labels = [1] * 70 + [0] * 40
    expected = roc_auc_score(labels, torch.cat([real, fake]).flatten().numpy())
    assert metrics.auc(real, fake) == pytest.approx(expected, rel=1e-12)
    assert metrics.auc(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 0.0])) == 1
    assert metrics.auc(torch.ones(3), torch.ones(5)) == 0.5
    for lacking in (torch.full((3,), torch.nan), torch.empty(0)):
        with pytest.raises(ValueError, match="scores of fake images"):
            metrics.auc(torch.ones(3), lacking)
