"""Images that finished networks give, and numbers of them: against real images, and in pairs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip import data, features, metrics
from ganzip.measure.rows import Number
from ganzip.methods.gan import Network
from ganzip.nets import stylegan2
from ganzip.units import Run, Unit, compute_once

HELD_OUT = 190200159  # seed of the noise on which every generator is measured


def noise(n: int, latent: int = 100) -> Tensor:
    """The first n of one fixed list of z from N(0, I), never seen in training."""
    return torch.randn(n, latent, generator=torch.Generator().manual_seed(HELD_OUT))


def interpolate(z: Tensor, steps: int) -> Tensor:
    """Great-circle path through consecutive rows of z (k, latent) -> ((k - 1) * steps + 1, latent).

    Spherical, because Gaussian noise lies near a sphere that a straight line would leave.
    """
    path = []
    for a, b in pairwise(z):
        angle = torch.acos(F.cosine_similarity(a, b, dim=0))
        t = (torch.arange(steps) / steps)[:, None]
        near, far = ((share * angle).sin() / angle.sin() for share in (1 - t, t))
        path.append(near * a + far * b)
    return torch.cat([*path, z[-1:]])


@contextmanager
def fix_noise(device: torch.device) -> Iterator[None]:
    """Inside the ``with`` block all noise is that of measuring; outside none is used up."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(HELD_OUT)
        yield


@torch.no_grad()
def images_of(G: nn.Module, cond: Tensor, batch: int = 16) -> Tensor:
    """G's images of inputs, in eval mode, on the CPU, clamped to [-1, 1].

    Noise maps are those that G stores: the same input gives the same image.
    """
    device = next((p.device for p in G.parameters()), cond.device)
    with features.evaluating(G), stylegan2.stored_noise(G):
        parts = [G(part.to(device)).cpu() for part in cond.split(batch)]
    return torch.cat(parts).clamp(-1, 1)


def draw(run: Run, G: nn.Module, n: int, network: Network | None = None) -> Tensor:
    """n images of G in eval mode, the same noise for every G, rounded as saved ones are.

    ``network`` is a function of G that draws in its place: with style mixing, as in training.
    """
    parts = noise(n, run.config["latent"]).split(250)
    with fix_noise(run.device), features.evaluating(G):
        images = [data.to_uint8((network or G)(z.to(run.device))).cpu() for z in parts]
    return data.to_float(torch.cat(images))


def pictures(
    generator_of: Callable[[Unit, Path], nn.Module],
    units: Mapping[str, Unit],
    root: Path,
    z: Tensor,
    name: str,
) -> dict[str, Tensor]:
    """What several finished units make of the same z, in 8 bits: for a figure, stored by its name.

    generator_of: the paper's. units: by the label that their images have.
    """

    def images(unit: Unit) -> Tensor:
        return data.to_uint8(images_of(generator_of(unit, root), z, batch=500))

    few = z[:, :2].clone()  # enough to tell other noise
    return {
        label: data.to_float(compute_once(unit, root, name, lambda unit=unit: images(unit), few))
        for label, unit in units.items()
    }


@torch.no_grad()
def logits_of(D: Network, images: Tensor, batch: int, device: torch.device | None = None) -> Tensor:
    """D's logits of images, on the CPU; where D gives a map of them, its mean."""
    found = torch.cat([D(part.to(device or part.device)).cpu() for part in images.split(batch)])
    return found.flatten(1).mean(1) if found.ndim > 1 else found


# Numbers ------------------------------------------------------------------------------------------


def distances(name: str, ours: Tensor, real: Tensor, *, pairs: bool = False) -> dict[str, float]:
    """Frechet and kernel (1e-3) distance of images' features from real ones', by metric.

    pairs: whether ours[i] is to be like real[i], see ``metrics.kernel_distance``.
    """
    return {
        "FID" if name == "inception" else f"FD-{name}": metrics.frechet_distance(ours, real),
        f"KID-{name}": 1000 * metrics.kernel_distance(ours, real, pairs=pairs)[0],
    }


def score_numbers(scores: Mapping[str, float], n: int) -> list[Number]:
    """Scores of n images as numbers; names of metrics end in those of the features."""
    return [
        Number(metric, value, "1e-3" if metric.startswith("KID") else "", n, features_of(metric))
        for metric, value in scores.items()
    ]


def features_of(metric: str) -> str:
    """The features that a metric compares, by its name: "FD-digits last" compares "digits"."""
    return metric.split()[0].partition("-")[2] or "inception"


def likeness(images: Tensor, to: Tensor, name: str = "") -> list[Number]:
    """PSNR and SSIM of images in pairs, means over these; ``name``: to what, if not the truth."""
    n = len(images)
    return [
        Number(f"PSNR{name}", metrics.psnr(images, to).mean().item(), "dB", n),
        Number(f"SSIM{name}", metrics.ssim(images, to).mean().item(), "", n),
    ]
