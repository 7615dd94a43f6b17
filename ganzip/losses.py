"""Loss terms as free functions of tensors. Logits are unbounded discriminator outputs, (N,)."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzip import parallel
from ganzip.device import computing, full_precision

Distance = Callable[[Tensor, Tensor], Tensor]
"""From two sets of images, pair by pair, to a number."""
Supervision = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""From a network's images and what they should be to weighted terms."""
Mask = Callable[[Tensor], Tensor]
"""From images (N, C, H, W) to what matters in them: (N, 1, H, W), 1 there and 0 elsewhere."""


def d_logistic(real: Tensor, fake: Tensor) -> Tensor:
    """Discriminator's cross entropy: -log f(x) - log(1 - f(G(z))), f the sigmoid of the logits.

    Goodfellow et al. 2014; DCGAN, and paper A eq. (1).
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def g_logistic(fake: Tensor) -> Tensor:
    """Generator's non-saturating loss: -log f(G(z))."""
    return F.softplus(-fake).mean()


def g_saturating(fake: Tensor) -> Tensor:
    """Generator's loss in the minimax game: log(1 - f(G(z))), paper A eq. (4) to the letter."""
    return -F.softplus(fake).mean()


def critic_gap(real: Tensor, fake: Tensor) -> Tensor:
    """Wasserstein critic's loss: mean f(G(z)) - mean f(x). Arjovsky et al. 2017; eq. (2)."""
    return fake.mean() - real.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Mean of (|grad f| - 1)^2 on random segments between real and fake images.

    Gulrajani et al. 2017, eq. (3), without its weight.
    """
    t = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (t * real + (1 - t) * fake).requires_grad_(True)
    with full_precision():
        (grad,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (grad.flatten(1).norm(dim=1) - 1).square().mean()


def squared_error(student: Tensor, teacher: Tensor, reduction: str = "mean") -> Tensor:
    """Distance of paper A eq. (3), averaged over the batch.

    ``reduction`` is over the pixels of an image: "mean" (ours) or "sum" (the norm as printed). They
    differ by the factor C*H*W, which matters only where another term stands beside, eq. (4).
    """
    per_image = (student - teacher).square().flatten(1)
    if reduction == "mean":
        return per_image.mean()
    if reduction == "sum":
        return per_image.sum(1).mean()
    raise ValueError(f"reduction is {reduction!r}; expected 'mean' or 'sum'")


def r1_penalty(D: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Mean squared norm of the gradient of D's logits at real images, summed over pixels.

    Mescheder et al. 2018, eq. (9), without its weight gamma / 2.
    """
    real = real.detach().requires_grad_(True)
    with full_precision():
        (grad,) = torch.autograd.grad(D(real).sum(), real, create_graph=True)
    return grad.square().flatten(1).sum(1).mean()


def path_lengths(images: Tensor, ws: Tensor) -> Tensor:
    """How far each image moves with its styles (N, num_ws, latent), in a random direction: (N,).

    |J^T y| of Karras et al., arXiv:1912.04958, eq. (4); y is normal noise over the root of the
    number of pixels, and the mean over layers stands under the square root. Several processes have
    the lengths of all their images, for these are compared with their mean.
    """
    y = torch.randn_like(images) / math.sqrt(images[0, 0].numel())
    (grad,) = torch.autograd.grad((images * y).sum(), ws, create_graph=True)
    return parallel.gathered(grad.square().sum(2).mean(1).sqrt())


def perceptual(
    maps: Callable[[Tensor], Sequence[Tensor]],
    weights: Sequence[float],
    *,
    relative: bool = False,
) -> Distance:
    """Weighted L1 between the feature maps of a frozen network; the second image is the reference.

    ``relative`` divides each by the mean size of the reference's map, for networks whose maps are
    not on the scale that the papers' weights were chosen for. Johnson et al. 2016.
    """

    def distance(images: Tensor, reference: Tensor) -> Tensor:
        with torch.no_grad():
            expected = maps(reference.detach())
            scales = [parallel.mean(m.abs().mean()) if relative else 1 for m in expected]
        parts = [
            weight * F.l1_loss(seen, wanted) / scale
            for weight, seen, wanted, scale in zip(
                weights, maps(images), expected, scales, strict=True
            )
        ]
        return torch.stack(parts).sum()

    return distance


def supervision(distance: Distance | None, *, l1: float = 1.0, weight: float = 1.0) -> Supervision:
    """L1 of pixels and a perceptual distance: how super-resolution networks are supervised.

    GCFSR: 1 and 0.01; Real-ESRGAN: 1 and 1, for images in [0, 1], so 1/2 and 1 in [-1, 1]. Without
    a distance it is L1 alone.
    """

    def terms(images: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        both = {"l1": l1 * F.l1_loss(images, wanted)}
        if distance is not None:
            both["perceptual"] = weight * distance(images, wanted)
        return both

    return terms


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity of images in [-1, 1], 1 where they are equal; channel by channel.

    Gaussian window of 11x11 pixels and sigma 1.5, wherever it fits. Wang et al. 2004, section III.
    Raises ValueError for images smaller than the window.
    """
    if min(a.shape[-2:]) < 11:
        raise ValueError(
            f"images are {tuple(a.shape)}; expected 11x11 pixels or more, SSIM's window: "
            "take larger images"
        )
    row = torch.exp(-torch.arange(-5, 6, dtype=a.dtype, device=a.device).square() / (2 * 1.5**2))
    row = row / row.sum()
    x, y = (a + 1) / 2, (b + 1) / 2
    planes = torch.stack([x, y, x * x, y * y, x * y])
    with computing(a.device):  # a variance is a small difference of squares: no room for tf32
        along = F.conv2d(planes.flatten(0, 2)[:, None], row.view(1, 1, 1, 11))
        means = F.conv2d(along, row.view(1, 1, 11, 1)).unflatten(0, planes.shape[:3])
    mx, my, xx, yy, xy = means
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    structure = (2 * (xy - mx * my) + c2) / (xx - mx * mx + yy - my * my + c2)
    return (luminance * structure).mean()


def style(seen: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Sum over feature maps (N, c, h, w) of the L1 between Gram matrices over c * h * w.

    Johnson et al. 2016, section 3.2, with L1 for the squared norm, as OMGD (arXiv:2108.06908) has.
    """
    return torch.stack(
        [F.l1_loss(gram(a), gram(b)) for a, b in zip(seen, wanted, strict=True)]
    ).sum()


def gram(maps: Tensor) -> Tensor:
    """Products of channels, summed over pixels, over c * h * w: (N, c, h, w) to (N, c, c)."""
    rows = maps.flatten(2)
    return rows @ rows.mT / rows[0].numel()


def total_variation(images: Tensor) -> Tensor:
    """Sum of |dx| + |dy| over an image, mean over images, on the scale of 256x256 pixels.

    The sum grows with the image and OMGD's weight was chosen for 256, hence times 256^2 / (H W).
    """
    total = images.diff(dim=-1).abs().sum() + images.diff(dim=-2).abs().sum()
    return total * 256**2 / images[:, 0].numel()


def masked(supervision: Supervision, mask: Mask) -> Supervision:
    """Supervision of what matters in the wanted images alone: both are 0, mid-grey, elsewhere.

    Content-aware distillation, Liu et al., arXiv:2104.02244. Means are still over all pixels.
    """

    def terms(images: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            matters = mask(wanted)
        return supervision(matters * images, matters * wanted)

    return terms
