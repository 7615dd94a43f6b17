"""Which channels of a StyleGAN2 generator matter, and a narrow generator cut out of a wide one.

A generator of 256 pixels has 14 sets of channels: the constant (0), and the result of each of its
13 convolutions (1 to 13). A set is scored by the weights of the layer that reads it: the next
convolution or, at the end, the last layer to RGB. Inner layers to RGB do not vote. Scores are one
(C,) a set, and what is lowest goes first.

A generator here is any module with the names of ``nets.stylegan2``: ``mapping``,
``synthesis.const`` and ``synthesis.b{r}.conv0``, ``.conv1``, ``.torgb``.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganzip.losses import Mask
from ganzip.nets.width import scaled

# Scores -------------------------------------------------------------------------------------------


def saliency(
    G: nn.Module,
    mask: Mask,
    z: Tensor,
    *,
    share: float = 0.05,
    batch: int = 8,
    seed: int = 0,
) -> list[Tensor]:
    """Content-aware scores: how strongly noise on what matters in the images pulls at the weights.

    Liu et al., arXiv:2104.02244, section 3.1: 400 images, one for each noise z (N, latent), have a
    ``share`` of the pixels inside their mask disturbed; a channel's score is the mean size of the
    gradient of the weights that read it, summed over batches. ``seed`` draws the noise maps and the
    disturbance. G is left as it is.
    """
    G = copy.deepcopy(G).eval().requires_grad_(True)
    weights = [G.get_parameter(f"{name}.weight") for name in readers(G)]
    scores = [w.new_zeros(w.shape[1]) for w in weights]
    with torch.random.fork_rng([z.device] if z.is_cuda else []):
        torch.manual_seed(seed)
        for part in z.split(batch):
            images = G(part)
            loss = disturbance(images, mask(images.detach()), share)
            for score, grad in zip(scores, torch.autograd.grad(loss, weights), strict=True):
                score += grad.abs().mean((0, 2, 3))
    return scores


def disturbance(images: Tensor, mask: Tensor, share: float = 0.05) -> Tensor:
    """The sum of what salt and pepper change in images (N, C, H, W) inside a mask (N, 1, H, W).

    Each masked pixel is replaced with probability ``share``, in all channels, by -1 or 1 from one
    map for the whole batch. Its gradient is the sign of the change there and 0 elsewhere.
    """
    grains = torch.randint(2, images.shape[2:], device=images.device) * 2 - 1
    replaced = mask * (torch.rand(mask.shape, device=images.device) < share)
    return ((images - grains).abs() * replaced).sum()


@torch.no_grad()
def style_scale(G: nn.Module, z: Tensor) -> list[Tensor]:
    """Scores of GAN Slimming: the size of a channel's mean style over noise z (N, latent).

    Wang et al., arXiv:2008.11062, in the form that the code of arXiv:2104.02244 gave it for
    StyleGAN2: a style scalar takes the place of a normalisation's scale.
    """
    w = copy.deepcopy(G.get_submodule("mapping")).eval()(z)  # in train mode its mean style moves
    return [G.get_submodule(f"{name}.affine")(w).mean(0).abs() for name in readers(G)]


# Masks: what matters in images (N, C, H, W), as (N, 1, H, W) of 0 and 1 ---------------------------


def everything(images: Tensor) -> Tensor:
    """All of the image."""
    return torch.ones_like(images[:, :1])


def ellipse(images: Tensor, *, width: float = 0.75, height: float = 0.95) -> Tensor:
    """A centred ellipse, for aligned faces; its axes are shares of the image's."""
    y, x = (
        (torch.arange(n, device=images.device) + 0.5) * (2 / n) - 1 for n in images.shape[2:]
    )  # the centres of pixels, in [-1, 1]
    inside = (y[:, None] / height).square() + (x[None] / width).square() <= 1
    return inside.to(images.dtype).expand(len(images), 1, -1, -1)


def foreground(images: Tensor, *, background: float = -1.0, threshold: float = 0.1) -> Tensor:
    """What is off the background by more than ``threshold`` in any channel: things on black."""
    return (images - background).abs().amax(1, keepdim=True).gt(threshold).to(images.dtype)


# Channels -----------------------------------------------------------------------------------------


def layers(G: nn.Module) -> list[tuple[str, int, int | None]]:
    """Every layer with the set of channels that it reads and the one, if any, that it writes."""
    found, at = [], 0
    for name, _ in G.named_modules():
        if re.fullmatch(r"synthesis\.b\d+\.(conv0|conv1|torgb)", name):
            writes = None if name.endswith("torgb") else at + 1
            found.append((name, at, writes))
            at = at if writes is None else writes
    return found


def readers(G: nn.Module) -> list[str]:
    """The layer that scores each set: the convolution that reads it; for the last, torgb."""
    # Where both read a set, the convolution comes after the layer to RGB.
    return list({reads: name for name, reads, _ in layers(G)}.values())


def keep(scores: Sequence[Tensor], p: float) -> list[Tensor]:
    """Indices, ascending, of the channels of each set that stay when a share ``p`` is pruned.

    Of C channels floor(C p) go, so C' = ceil((1 - p) C) stay: the widths of a generator that is
    built with ``width=1 - p``. Raises ValueError for p outside of [0, 1).
    """
    if not 0 <= p < 1:
        raise ValueError(f"p is {p}; expected a share to prune, 0 to below 1")
    return strongest(scores, [scaled(len(score), 1 - p, math.ceil) for score in scores])


def strongest(scores: Sequence[Tensor], left: Sequence[int]) -> list[Tensor]:
    """Indices, ascending, of the channels of each set with the highest scores: ``left`` of them."""
    ranked = [score.argsort(descending=True, stable=True) for score in scores]
    return [order[:n].sort().values for order, n in zip(ranked, left, strict=True)]


@torch.no_grad()
def cut(wide: nn.Module, narrow: nn.Module, kept: Sequence[Tensor]) -> nn.Module:
    """Copy the kept channels of ``wide`` into ``narrow``, which is returned.

    The mapping, the mean style and all noise are copied whole. Raises ValueError where ``kept`` has
    not one entry a set, or where ``narrow`` has other widths.
    """
    if len(kept) != len(readers(wide)):
        raise ValueError(
            f"kept has {len(kept)} sets; expected {len(readers(wide))}: take keep(scores, p) of "
            "scores of this generator"
        )
    state = dict(wide.state_dict())
    state["synthesis.const"] = state["synthesis.const"][kept[0]]
    for name, reads, writes in layers(wide):
        weight, reading = state[f"{name}.weight"], kept[reads]
        for key in (f"{name}.affine.weight", f"{name}.affine.bias"):
            state[key] = state[key][reading]
        if writes is None:
            # The layer to RGB divides by the root of its width while it runs.
            weight = weight * math.sqrt(len(reading) / weight.shape[1])
        else:
            weight = weight[kept[writes]]
            state[f"{name}.bias"] = state[f"{name}.bias"][kept[writes]]
        state[f"{name}.weight"] = weight[:, reading]
    for key, value in narrow.state_dict().items():
        if key not in state or state[key].shape != value.shape:
            found = tuple(state[key].shape) if key in state else "missing"
            raise ValueError(
                f"narrow has {key} of {tuple(value.shape)}, cut out it is {found}: build narrow "
                "like wide, with width=1 - p for the same p"
            )
    narrow.load_state_dict(state)
    return narrow
