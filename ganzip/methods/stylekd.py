"""StyleKD: the student keeps the teacher's mapping and how its maps relate under shifts of style.

Xu et al., "Mind the Gap in Distilling StyleGANs", arXiv:2208.08840.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.losses import Distance, Mask
from ganzip.methods import gan
from ganzip.taps import taps
from ganzip.train import Batch, Player, Terms


def stylekd(
    student: nn.Module,
    teacher: nn.Module,
    D: nn.Module,
    g_optimiser: Optimizer,
    d_optimiser: Optimizer,
    mask: Mask,
    distance: Distance | None,
    bank: Tensor,
    *,
    layers: Sequence[str] = tuple(f"synthesis.b{r}.conv1" for r in (16, 32, 64, 128)),
    l1: float = 3.0,
    perceptual: float = 3.0,
    relation: float = 30.0,
    strength: float = 5.0,
    mixing: float = 0.9,
) -> list[Player]:
    """CAGC's losses and the relation of maps at styles w to those at w + shift, layer by layer.

    The student starts afresh but for the mapping (:func:`inherit`), and so does D. ``bank`` is what
    :func:`directions` finds in the teacher; ``layers`` are compared, of 256 pixels those of up
    to half the size, but for 8 pixels. ``relation=0`` is what the code released with NICKEL &
    DiME amounts to: it compares with an empty half.
    """
    supervision = losses.masked(losses.supervision(distance, l1=l1, weight=perceptual), mask)

    def terms(batch: Batch) -> Terms:
        seeds = gan.latents(student, batch.cond, mixing)
        shift = shifts(bank, len(batch.cond), strength)
        with taps(student, layers) as mine, taps(teacher, layers) as theirs:
            fake = draw(student, seeds, shift)
            with torch.no_grad():
                wanted = draw(teacher, seeds, shift)
        relations = [relation_loss(mine[name], theirs[name]) for name in layers]
        return {
            "adversarial": losses.g_logistic(D(fake)),
            **supervision(fake, wanted),
            "relation": relation * torch.stack(relations).sum(),
        }

    if relation:
        player = Player("G", g_optimiser, terms)
    else:
        player = gan.distilled(student, teacher, D, g_optimiser, supervision, mixing=mixing)
    return [player, gan.discriminator(gan.mixer(student, mixing), D, d_optimiser)]


def inherit(student: nn.Module, teacher: nn.Module) -> None:
    """Give the student the teacher's mapping."""
    student.get_submodule("mapping").load_state_dict(teacher.get_submodule("mapping").state_dict())


@torch.no_grad()
def directions(
    teacher: nn.Module, blocks: Sequence[str] = ("b8", "b16", "b32", "b64", "b128"), top: int = 5
) -> Tensor:
    """Unit directions (blocks * top, latent) in which styles sway the blocks' channels most.

    Of each block the ``top`` leading eigenvectors of W W^T, where the columns of W are the rows of
    both convolutions' style layers, at unit length. The usual blocks are those of 256 pixels, up
    to half the size.
    """
    bank = []
    for block in blocks:
        names = [f"synthesis.{block}.{conv}.affine.weight" for conv in ("conv0", "conv1")]
        rows = F.normalize(torch.cat([teacher.get_parameter(name) for name in names]), dim=1)
        vectors = torch.linalg.eigh(rows.T @ rows).eigenvectors  # of ascending eigenvalues
        bank.append(vectors[:, -top:].T)
    return torch.cat(bank)


def shifts(bank: Tensor, n: int, strength: float = 5.0) -> Tensor:
    """A random direction of the bank for each sample, times ``strength`` * N(0, 1): (n, latent)."""
    chosen = bank[torch.randint(len(bank), (n,), device=bank.device)]
    return strength * torch.randn(n, 1, device=bank.device) * chosen


def draw(G: nn.Module, seeds: gan.Latents, shift: Tensor) -> Tensor:
    """G's images (N, ...) at its styles; layers also see N shifted styles, after the first N."""
    ws = gan.styles(G, seeds)
    return G.get_submodule("synthesis")(torch.cat([ws, ws + shift[:, None]]))[: len(ws)]


def relation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """KL divergence of the student's similarities from the teacher's, a mean over samples.

    Maps are (2 N, C, H, W), shifted ones last. Each sample's map has a distribution over the N
    shifted ones: the softmax of their cosines. Channels of the two may differ in number.
    """
    return F.kl_div(
        similarity(student).log_softmax(1), similarity(teacher).softmax(1), reduction="batchmean"
    )


def similarity(maps: Tensor) -> Tensor:
    """Cosines (N, N) of the first half of maps (2 N, C, H, W) with the second."""
    here, there = F.normalize(maps.flatten(1), dim=1).chunk(2)
    return here @ there.T
