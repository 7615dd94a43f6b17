"""Numbers about networks (parameters, multiply-adds) and about sets of images or their features.

Feature arrays are tensors (n, d). All arithmetic on them is in float64.
"""

import math
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip import data, features

Key = TypeVar("Key", bound=Hashable)
BLOCK = 1 << 24  # distances held at a time: 128 MiB in float64


def params(net: nn.Module) -> int:
    """Number of parameters, frozen ones too, so that a teacher counts as it did in training.

    Buffers (BatchNorm's running statistics) are no parameters.
    """
    return sum(p.numel() for p in net.parameters())


def macs(net: nn.Module, *inputs: Tensor) -> int:
    """Multiply-adds of one forward of ``inputs``, in eval mode.

    Convolutions, transposed convolutions, matrix products and attention are counted, half of the
    FLOPs of torch's counter; biases, normalisation, activations and resizing are not.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with features.evaluating(net), FlopCounterMode(display=False) as counter:
        net(*inputs)
    return counter.get_total_flops() // 2


def clock(on_gpu: bool) -> float:
    """CPU seconds of this process; ``on_gpu``, seconds by the clock once the GPU is done."""
    if not on_gpu:
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


@torch.no_grad()
def latency(
    passes: Mapping[Key, Callable[[], object]],
    count: int = 50,
    *,
    on_gpu: bool = False,
) -> dict[Key, float]:
    """Median seconds of ``count`` calls of each, in turns, after two that do not count.

    CPU seconds of this process; ``on_gpu``, the time until the GPU is done. Turns spread over all
    what else the machine does.
    """
    taken: dict[Key, list[float]] = {key: [] for key in passes}
    for i in range(2 + count):
        for key, call in passes.items():
            start = clock(on_gpu)
            call()
            taken[key] += [clock(on_gpu) - start][: i >= 2]
    return {key: float(np.median(times)) for key, times in taken.items()}


def inception_score(probabilities: Tensor) -> float:
    """exp(E_x KL(p(y|x) || p(y))) of class probabilities (n, k): from 1 to k, higher is better.

    Salimans et al. 2016. The name is the score's; the classifier is whichever gave the numbers.
    """
    p = _check_probabilities(probabilities)
    marginal = p.mean(0)
    return math.exp(_negentropy(p).mean().item() - _negentropy(marginal).item())


def inception_score_cross_entropy(probabilities: Tensor) -> float:
    """H(p(y), p(y|x)) = -E_x sum_y p(y) ln p(y|x) of class probabilities (n, k), in nats.

    Paper A, eq. (5), to the letter. At least the entropy of p(y), without an upper bound: it grows
    with the classifier's confidence, so it compares nothing across classifiers. A probability of 0
    counts as the smallest that float64 holds.
    """
    p = _check_probabilities(probabilities)
    return -(p.mean(0) * p.clamp_min(torch.finfo(p.dtype).tiny).log().mean(0)).sum().item()


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance of the Gaussians fitted to features (n, d) and (m, d).

    |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), Heusel et al. 2017. The last trace is the
    sum of the roots of the eigenvalues of S_a S_b or, with no more images than dimensions, exactly
    the nuclear norm of the product of the centred features. Biased upwards for few images: compare
    equal n.
    """
    a, b = _check_pair(a, b)
    if (fewest := min(len(a), len(b))) < 2:
        raise ValueError(f"features of {fewest} images; a covariance takes at least 2")
    apart = a.mean(0) - b.mean(0)
    if a.shape[1] < fewest:
        cov_a, cov_b = _covariance(a), _covariance(b)
        own = cov_a.trace() + cov_b.trace()
        shared = _eigenvalues(cov_a, cov_b).clamp_min(0).sqrt().sum()
    else:
        root_a, root_b = _root(a), _root(b)
        own = root_a.square().sum() + root_b.square().sum()
        shared = torch.linalg.svdvals(root_a @ root_b.T).sum()
    return max(0.0, (apart.square().sum() + own - 2 * shared).item())  # rounding may go below 0


def _covariance(x: Tensor) -> Tensor:
    """Unbiased covariance (d, d); numpy sees that it is symmetric, and does half the work."""
    if x.device.type != "cpu":
        return x.T.cov()
    return torch.from_numpy(np.atleast_2d(np.cov(x.numpy(), rowvar=False)))


def _eigenvalues(a: Tensor, b: Tensor) -> Tensor:
    """Of a b, for positive semidefinite matrices."""
    if a.device.type == "cpu":
        from scipy import linalg

        try:  # LAPACK's reduction uses that b is symmetric: half the work of two products
            pair = b.numpy(), a.numpy()
            found = linalg.eigh(*pair, type=2, eigvals_only=True, driver="gv", check_finite=False)
            return torch.from_numpy(found)
        except linalg.LinAlgError:
            pass  # a is singular
    factor, singular = torch.linalg.cholesky_ex(a)
    if singular:
        values, vectors = torch.linalg.eigh(a)
        factor = vectors * values.clamp_min(0).sqrt()
    return torch.linalg.eigvalsh(factor.T @ b @ factor)


def kernel_distance(
    a: Tensor,
    b: Tensor,
    *,
    pairs: bool = False,
    subsets: int = 100,
    size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Kernel distance of features (n, d) and (m, d): mean and spread over random subsets.

    The unbiased squared MMD with the kernel (x.y / d + 1)^3, Binkowski et al. 2018. It can be
    negative. ``size`` is cut to the smaller set; where it is the whole of both, the spread is 0.

    pairs: whether a[i] and b[i] belong together, as an enlarged image and its ground truth do, so
    that n = m. They are alike, and with their kernels the estimate would be too low, by a share of
    1 / n; so they are left out, as an image's kernel with itself is (Gretton et al. 2012, eq. 4).
    """
    a, b = _check_pair(a, b)
    if pairs and len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} features are no pairs; expected as many of both")
    size = min(size, len(a), len(b))
    if size < 2 or subsets < 1:
        raise ValueError(f"{subsets} subsets of {size} images; expected at least 1 of at least 2")
    rng = np.random.default_rng(seed)

    def draw(n: int) -> Tensor:
        drawn = [rng.choice(n, size, replace=False) for _ in range(subsets)]
        return torch.from_numpy(np.stack(drawn)).to(a.device)

    def alone(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
        """Per subset, the kernels of x[i] and y[i]."""
        return _kernel((x * y).sum(1), x.shape[1])[at].sum(1)

    in_a = draw(len(a))
    in_b = in_a if pairs else draw(len(b))
    others = size * (size - 1)
    within = sum(_kernel_sums(x, x, at, at) - alone(x, x, at) for x, at in ((a, in_a), (b, in_b)))
    between = _kernel_sums(a, b, in_a, in_b)
    between = (between - alone(a, b, in_a)) / others if pairs else between / size**2
    values = within / others - 2 * between
    return values.mean().item(), values.std(correction=0).item()


def variance_of_laplacian(images: Tensor) -> Tensor:
    """Sharpness (N,) of images (N, 1 or 3, H, W) in [-1, 1]: lower is blurrier.

    Variance of the 4-neighbour Laplacian of the grey image (ITU-R BT.601) in 0..255, its border
    mirrored without repeating the edge, as OpenCV's ``Laplacian`` does by default. Paper A, sec. 4.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or min(images.shape[2:]) < 2:
        raise ValueError(f"images are {tuple(images.shape)}; expected (N, 1 or 3, H > 1, W > 1)")
    grey = (images.double() + 1) * 127.5
    if images.shape[1] == 3:
        luma = grey.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
        grey = (grey * luma).sum(1, keepdim=True)
    x = F.pad(grey, (1, 1, 1, 1), mode="reflect")
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return (around - 4 * grey).flatten(1).var(1, correction=0).float()


def psnr(images: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (N,) in dB of images (N, C, H, W) in [-1, 1], higher is better.

    Both are clamped and rounded to 8 bits first, as saved images are; the peak is 255, the error
    the mean over pixels and channels. Infinite for equal images.
    """
    a, b = _to_8_bits(images, reference)
    error = (a - b).square().flatten(1).mean(1)
    return (10 * torch.log10(255**2 / error)).float()


def ssim(images: Tensor, reference: Tensor) -> Tensor:
    """Structural similarity (N,) of images (N, C, H, W) in [-1, 1]: at most 1, higher is better.

    Wang et al. 2004: Gaussian windows of 11 x 11 pixels, sigma 1.5, averaged over pixels and then
    over channels, of the images rounded to 8 bits as for ``psnr``.
    """
    from skimage.metrics import structural_similarity

    a, b = _to_8_bits(images, reference)
    if min(a.shape[2:]) < 11:
        raise ValueError(f"images are {tuple(a.shape)}; expected sides of a window, 11, or more")
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return torch.tensor(
        [
            structural_similarity(x, y, data_range=255, channel_axis=0, **settings)
            for x, y in zip(a.numpy(), b.numpy(), strict=True)
        ]
    ).float()


@torch.no_grad()
def perceptual_distance(
    maps: Callable[[Tensor], Sequence[Tensor]],
    images: Tensor,
    reference: Tensor,
    *,
    batch: int = 8,
) -> Tensor:
    """Relative L1 distance (N,) of the feature maps of images (N, C, H, W), lower is better.

    mean |a - b| / mean |b| of each map, averaged over the maps, b being the reference's: what
    ``losses.perceptual(..., relative=True)`` takes of a batch, image by image. It is no LPIPS:
    nothing is fitted to people's judgements. ``batch`` images go through ``maps`` at a time.
    """
    _check_alike(images, reference)

    def apart(ours: Tensor, theirs: Tensor) -> Tensor:
        return (ours - theirs).abs().flatten(1).mean(1) / theirs.abs().flatten(1).mean(1)

    parts = []
    for a, b in zip(images.split(batch), reference.split(batch), strict=True):
        each = [apart(ours, theirs) for ours, theirs in zip(maps(a), maps(b), strict=True)]
        parts.append(torch.stack(each).mean(0).cpu())
    return torch.cat(parts)


def ks_distance(a: Tensor, b: Tensor) -> float:
    """Largest gap between the distribution functions of two sets of numbers: 0 alike, 1 apart.

    The Kolmogorov-Smirnov statistic, of any shapes; NaN is refused.
    """
    from scipy import stats

    a, b = (_check(x.reshape(-1, 1), "numbers") for x in (a, b))
    # The statistic is the same by every method; the exact p-value, not needed, would take time.
    found: Any = stats.ks_2samp(a[:, 0].cpu().numpy(), b[:, 0].cpu().numpy(), method="asymp")
    return float(found.statistic)


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Shares of fakes among the reals and of reals among the fakes; features (n, d) and (m, d).

    Among: within the distance from one of them to its k-th nearest neighbour. Kynkaanniemi et al.
    2019, eq. (1)-(3). Distances are taken in blocks, so memory grows with n + m.
    """
    real, fake = _check_pair(real, fake)
    if not 0 < k < min(len(real), len(fake)):
        raise ValueError(
            f"k is {k} with {len(real)} real and {len(fake)} fake features; expected fewer "
            "neighbours than features"
        )

    def covered(points: Tensor, by: Tensor) -> float:
        # k + 1, since the nearest to each is itself.
        radii = torch.cat([d.kthvalue(k + 1).values for d in _distances(by, by)])
        inside = torch.cat([(d <= radii).any(1) for d in _distances(points, by)])
        return inside.double().mean().item()

    return covered(fake, real), covered(real, fake)


def auc(scores_real: Tensor, scores_fake: Tensor) -> float:
    """Chance that a real image scores above a fake one, ties half: the area under the ROC curve.

    0.5 is a discriminator that knows nothing. Raises ValueError for no scores, or for NaN.
    """
    _check(scores_real.reshape(-1, 1), "scores of real images")
    _check(scores_fake.reshape(-1, 1), "scores of fake images")
    real, fake = scores_real.flatten(), scores_fake.flatten().sort().values
    below = torch.searchsorted(fake, real) + torch.searchsorted(fake, real, right=True)
    return below.double().mean().item() / (2 * len(fake))


def _check_alike(images: Tensor, reference: Tensor) -> None:
    if images.ndim != 4 or images.shape != reference.shape or not len(images):
        raise ValueError(
            f"images are {tuple(images.shape)} and the reference {tuple(reference.shape)}; "
            "expected (N, C, H, W), the same for both"
        )
    _check(images.flatten(1), "the images")
    _check(reference.flatten(1), "the reference")


def _to_8_bits(images: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Images and reference as 8-bit files hold them, 0..255, in float64 on the CPU."""
    _check_alike(images, reference)
    return data.to_uint8(images).cpu().double(), data.to_uint8(reference).cpu().double()


def _check(x: Tensor, name: str) -> Tensor:
    if x.ndim != 2 or not len(x):
        raise ValueError(f"{name} are {tuple(x.shape)}; expected (n, d) with n > 0")
    finite = x.isfinite().all(1)
    if not finite.all():
        bad = len(x) - int(finite.sum())
        raise ValueError(
            f"{bad} of {len(x)} rows of {name} are not finite; expected numbers: "
            "look at the images that they come from"
        )
    return x.double()


def _check_pair(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    a, b = _check(a, "the first features"), _check(b, "the second features")
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"features have {a.shape[1]} and {b.shape[1]} dimensions; expected the same"
        )
    return a, b


def _check_probabilities(p: Tensor) -> Tensor:
    p = _check(p, "probabilities")
    if p.min() < 0 or (p.sum(1) - 1).abs().max() > 1e-3:
        raise ValueError(
            "probabilities are not: expected rows >= 0 that sum to 1, such as a softmax"
        )
    return p


def _negentropy(p: Tensor) -> Tensor:
    return torch.xlogy(p, p).sum(-1)


def _root(x: Tensor) -> Tensor:
    """R, at most (d, d), with R^T R the covariance of x (n, d)."""
    centred = (x - x.mean(0)) / math.sqrt(len(x) - 1)
    return torch.linalg.qr(centred, mode="r").R if len(x) > x.shape[1] else centred


def _kernel(products: Tensor, dims: int) -> Tensor:
    return products.div_(dims).add_(1).pow_(3)  # in place: nothing here is larger


def _kernel_sums(x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor) -> Tensor:
    """Per subset (S,), the kernel summed over its pairs; subsets are rows of indices (S, size)."""
    subsets, size = in_x.shape
    # One matrix serves all subsets, unless it is about as large as theirs together.
    if 4 * len(x) * len(y) > subsets * size**2:
        sums = [_kernel(x[i] @ y[j].T, x.shape[1]).sum() for i, j in zip(in_x, in_y, strict=True)]
        return torch.stack(sums)
    gram = _kernel(x @ y.T, x.shape[1])
    picks_x = x.new_zeros(subsets, len(x)).scatter_(1, in_x, 1)
    picks_y = y.new_zeros(subsets, len(y)).scatter_(1, in_y, 1)
    return ((picks_x @ gram) * picks_y).sum(1)


def _distances(x: Tensor, y: Tensor) -> Iterable[Tensor]:
    """Rows of the distances (n, m) between x (n, d) and y (m, d), some at a time."""
    return (torch.cdist(part, y) for part in x.split(max(1, BLOCK // len(y))))
