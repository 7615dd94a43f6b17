"""SDAKD: a student generator and a student discriminator, distilled apart and then set to play.

Kaparinos and Mezaris 2025, "SDAKD: Student Discriminator Assisted Knowledge Distillation",
arXiv:2510.03870, eq. (1)-(4). Stage 1 is the teachers' own training, ``gan.supervised`` and
``gan.discriminator``. The teacher generator is a black box here: its image is the batch's target,
its feature map the batch's features, computed on the spot or read from a cache.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip.losses import Supervision
from ganzip.methods import gan
from ganzip.taps import taps
from ganzip.train import Batch, Player, Terms


def mapper(student: int, teacher: int) -> nn.Module:
    """The MLP that maps the student's channels to the teacher's, pixel by pixel.

    Two 1x1 convolutions with ReLU between them, Liu et al., arXiv:2303.13212; thrown away after
    training. 1,344 parameters from 8 to 32 channels.
    """
    return nn.Sequential(nn.Conv2d(student, teacher, 1), nn.ReLU(), nn.Conv2d(teacher, teacher, 1))


def stage2(
    G: nn.Module,
    optimiser: Optimizer,
    supervision: Supervision,
    *,
    mlp: nn.Module | None,
    tap: str,
    lambda1: float = 1.0,
) -> list[Player]:
    """Eq. (1): the student learns the teacher's images and its last feature map, without a D.

    supervision: the family's own, with the teacher's image in the place of the ground truth.
    tap: the module of G whose output is the feature map; ``optimiser`` holds G and ``mlp``. Without
    an ``mlp`` there is no feature term (ablation 2).
    """
    return [_student(G, None, optimiser, supervision, mlp, tap, lambda1, 0.0)]


def stage2_discriminator(
    D: nn.Module, teacher: nn.Module, optimiser: Optimizer, *, inputs: str = "both"
) -> list[Player]:
    """Eq. (2): D learns the teacher discriminator's probabilities, in squared error.

    inputs: of "real" images, the teacher's "fake" ones or, half and half, of "both". The student's
    images are not among them: the two students are trained apart. The teacher is in eval mode, or
    its spectral norms would move.
    """
    if inputs not in ("real", "fake", "both"):
        raise ValueError(f"inputs is {inputs!r}; expected 'real', 'fake' or 'both'")

    def terms(batch: Batch) -> Terms:
        real, fake = gan.real(batch), gan.target(batch)
        shown = {"real": real, "fake": fake, "both": torch.cat([real, fake])}[inputs]
        with torch.no_grad():
            wanted = teacher(shown).sigmoid()
        return {"probabilities": F.mse_loss(D(shown).sigmoid(), wanted)}

    return [Player("D", optimiser, terms)]


def stage3(
    G: nn.Module,
    D: nn.Module,
    g_optimiser: Optimizer,
    d_optimiser: Optimizer,
    supervision: Supervision,
    *,
    mlp: nn.Module | None,
    tap: str,
    lambda1: float = 1.0,
    lambda2: float = 0.1,
) -> list[Player]:
    """Eq. (3) and (4): the student generator plays D and keeps the supervision of stage 2.

    D is the student discriminator or, in ablations 1 to 3, the teacher's, trained on. It acts
    first, as in GCFSR; Real-ESRGAN reverses the list. Real images are the ground truth.
    """
    return [
        gan.discriminator(G, D, d_optimiser),
        _student(G, D, g_optimiser, supervision, mlp, tap, lambda1, lambda2),
    ]


def _student(
    G: nn.Module,
    D: nn.Module | None,
    optimiser: Optimizer,
    supervision: Supervision,
    mlp: nn.Module | None,
    tap: str,
    lambda1: float,
    lambda2: float,
) -> Player:
    """The supervised generator with the feature term beside."""
    plain = gan.supervised(G, D, optimiser, supervision, weight=lambda2)
    if mlp is None:
        return plain

    def terms(batch: Batch) -> Terms:
        with taps(G, [tap]) as seen:
            both = plain.terms(batch)
        return both | {"features": lambda1 * F.mse_loss(mlp(seen[tap]), features(batch))}

    return Player("G", optimiser, terms)


def features(batch: Batch) -> Tensor:
    """The teacher's feature map for the batch's inputs."""
    if batch.features is None:
        raise ValueError("batch.features is None; the feature term needs the teacher's map")
    return batch.features.to(batch.cond.dtype)
