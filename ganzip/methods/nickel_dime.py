"""NICKEL and DiME: the student's generator matches distributions, its discriminator a teacher.

Yeo, Jang and Yoo, "Nickel and Diming Your GAN: A Dual-Method Approach to Enhancing GAN Efficiency
via Knowledge Distillation", arXiv:2405.11614. DiME draws the student's images to the teacher's in
the moments of foundation models' embeddings. NICKEL lets the teacher's generator tell the student's
discriminator, which tells the student, how fine its maps should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.methods import gan
from ganzip.taps import taps
from ganzip.train import Batch, Player, Terms

WEIGHTS = {"dino-rn50": 20.0, "clip-rn50": 15.0}
"""The paper's weights of its two kernels, for raw features."""


@dataclass(frozen=True)
class Moments:
    """First and second moment of features, uncentred, (dims,) each, over ``count`` images."""

    first: Tensor
    second: Tensor
    count: int


@dataclass(frozen=True)
class Kernel:
    """A frozen embedding that DiME compares images through.

    embed: images (N, C, H, W) in [-1, 1] to features (N, dims), with a graph.
    target: the global features, moments of many images of the teacher or, for an RBF kernel, their
    features (M, dims). None takes the teacher's images for the same noise, batch by batch.
    """

    name: str
    embed: Callable[[Tensor], Tensor]
    weight: float
    target: Moments | Tensor | None = None


def nickel_dime(
    student: nn.Module,
    teacher: nn.Module,
    D: nn.Module,
    D_teacher: nn.Module | None,
    g_optimiser: Optimizer,
    d_optimiser: Optimizer,
    d_teacher_optimiser: Optimizer | None,
    kernels: Sequence[Kernel],
    *,
    nickel: float = 10.0,
    pair: tuple[str, str] = ("synthesis.b64.conv1", "b128"),
    levels: int = 4,
    mode: str = "l1_moments",
    moment_batch: int | None = None,
    mixing: float = 0.9,
) -> list[Player]:
    """Both methods; DiME alone with ``nickel=0``, NICKEL alone without kernels.

    ``pair`` are the maps of a quarter of the image's size: the teacher's block that draws it and
    D's block that ends in it. D starts afresh where there is NICKEL, else from the teacher's.
    ``D_teacher``, where given, judges the student too; it goes on training by its optimiser, or is
    handed in frozen without one. The teacher draws once a step, in D's player, if kernels have
    targets. R1 (``gan.r1``) of each discriminator and path length are players to add.
    ``mode`` and ``moment_batch``, the images whose moments are compared at once (8 in the released
    code; None takes the batch), are DiME's.
    """
    theirs, ours = pair
    drawn = gan.mixer(student, mixing)
    by_batch = any(kernel.target is None for kernel in kernels)

    def g_terms(batch: Batch) -> Terms:
        if by_batch:
            fake, shown = gan.side_by_side(student, teacher, batch.cond, mixing)
        else:
            fake, shown = drawn(batch.cond), None
        both: Terms = {"adversarial": losses.g_logistic(D(fake))}
        if D_teacher is not None:
            both["adversarial_teacher"] = losses.g_logistic(D_teacher(fake))
        for kernel in kernels:
            gap = dime(kernel, fake, shown, mode=mode, moment_batch=moment_batch)
            both[f"dime_{kernel.name}"] = gap
        return both

    def d_terms(batch: Batch) -> Terms:
        with taps(teacher, [theirs]) as wanted:
            fake, shown = gan.side_by_side(student, teacher, batch.cond, mixing)
        adversarial = losses.d_logistic(D(gan.real(batch)), D(fake))
        with taps(D, [ours]) as seen:
            D(shown)
        gap = high_frequency_gap(seen[ours], wanted[theirs], levels)
        return {"adversarial": adversarial, "nickel": nickel * gap}

    players = [Player("G", g_optimiser, g_terms)]
    if nickel:
        players.append(Player("D", d_optimiser, d_terms))
    else:
        players.append(gan.discriminator(drawn, D, d_optimiser))
    if D_teacher is not None and d_teacher_optimiser is not None:
        players.append(gan.discriminator(drawn, D_teacher, d_teacher_optimiser, name="D_teacher"))
    return players


# DiME ---------------------------------------------------------------------------------------------


def dime(
    kernel: Kernel,
    fake: Tensor,
    shown: Tensor | None = None,
    *,
    mode: str = "l1_moments",
    moment_batch: int | None = None,
) -> Tensor:
    """How far the student's images are from the teacher's as distributions, weighted.

    ``shown`` are the teacher's images, for kernels without a target. Modes: "l1_moments", the
    released code's; "l2_moments", the squared MMD of the kernel <psi(x), psi(y)> with psi the
    features and their squares, over their number; "rbf_mmd", the squared MMD of a Gaussian kernel.
    """
    seen, wanted = kernel.embed(fake), kernel.target
    n = moment_batch or len(seen)
    parts = seen.split(n)
    if wanted is not None:
        targets: Sequence[Moments | Tensor] = [wanted] * len(parts)
    elif shown is not None:
        with torch.no_grad():
            targets = kernel.embed(shown).split(n)
    else:
        raise ValueError(f"kernel {kernel.name} has no target; expected the teacher's images too")
    gaps = [discrepancy(part, target, mode) for part, target in zip(parts, targets, strict=True)]
    return kernel.weight * torch.stack(gaps).mean()


def discrepancy(features: Tensor, target: Moments | Tensor, mode: str) -> Tensor:
    """Distance of features (N, dims) to the target's distribution, in the given mode."""
    if mode == "rbf_mmd":
        if isinstance(target, Moments):
            raise ValueError("mode is 'rbf_mmd' and target Moments; expected features (M, dims)")
        return rbf_mmd(features, target.to(features))
    if mode not in ("l1_moments", "l2_moments"):
        raise ValueError(f"mode is {mode!r}; expected 'l1_moments', 'l2_moments' or 'rbf_mmd'")
    error = F.l1_loss if mode == "l1_moments" else F.mse_loss
    wanted = moments(target) if isinstance(target, Tensor) else target
    ours = moments(features)
    first, second = wanted.first.to(ours.first), wanted.second.to(ours.second)
    return error(ours.first, first) + error(ours.second, second)


def moments(features: Tensor) -> Moments:
    """Moments of features (N, dims)."""
    return Moments(features.mean(0), features.square().mean(0), len(features))


def global_moments(chunks: Iterable[Tensor]) -> Moments:
    """Moments of features that come in chunks (N, dims), in float64: DiME's global features."""
    return merged([moments(chunk.double()) for chunk in chunks])


def merged(parts: Sequence[Moments]) -> Moments:
    """The moments of all images of several sets together."""
    count = sum(part.count for part in parts)
    shares = [part.count / count for part in parts]
    pairs = list(zip(shares, parts, strict=True))
    return Moments(
        torch.stack([share * part.first for share, part in pairs]).sum(0),
        torch.stack([share * part.second for share, part in pairs]).sum(0),
        count,
    )


def rbf_mmd(ours: Tensor, theirs: Tensor) -> Tensor:
    """Squared MMD of features (N, dims) and (M, dims): at least 0, and 0 for equal sets.

    The kernel is Gaussian; its squared width is the median squared distance within ``theirs``.
    Gretton et al. 2012, eq. (5).
    """
    width = torch.pdist(theirs.detach()).square().median().clamp_min(1e-12)

    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        return (torch.cdist(a, b).square() / (-2 * width)).exp().mean()

    return mean_kernel(ours, ours) + mean_kernel(theirs, theirs) - 2 * mean_kernel(ours, theirs)


# NICKEL -------------------------------------------------------------------------------------------


def haar(maps: Tensor) -> tuple[Tensor, Tensor]:
    """One level of the orthonormal Haar transform of maps (N, C, H, W).

    Low frequencies (N, C, H/2, W/2) and the three bands of high ones (N, C, 3, H/2, W/2).
    """
    a, b, c, d = F.pixel_unshuffle(maps, 2).unflatten(1, (-1, 4)).unbind(2)
    high = torch.stack([a - b + c - d, a + b - c - d, a - b - c + d], 2)
    return (a + b + c + d) / 2, high / 2


def high_frequency_gap(seen: Tensor, wanted: Tensor, levels: int = 4) -> Tensor:
    """Mean squared error of high frequencies, summed over as many ``levels`` as the maps have.

    The lowest frequencies, that is the means of blocks, do not count.
    """
    rest, gaps = (seen - wanted).float(), []  # the transform is linear
    for _ in range(min(levels, rest.shape[-1].bit_length() - 1)):
        rest, high = haar(rest)
        gaps.append(high.square().mean())
    return torch.stack(gaps).sum()
