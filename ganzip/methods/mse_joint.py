"""Paper A: a student generator from a teacher that is a black box of (z, G_T(z)) pairs.

Aguinaldo et al., "Compressing GANs using Knowledge Distillation", arXiv:1902.00159, eq. (3), (4).
The teacher's image is the batch's target, computed on the spot or read from a cache: no function
here sees the teacher.
"""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.methods import gan
from ganzip.train import Batch, Player, Terms


def mse(student: nn.Module, optimiser: Optimizer) -> list[Player]:
    """Eq. (3): min |G_T(z) - G_S(z)|^2 over noise z. No real image, no discriminator."""
    return [
        Player(
            "G", optimiser, lambda b: {"mse": losses.squared_error(student(b.cond), gan.target(b))}
        )
    ]


def joint(
    student: nn.Module,
    D: nn.Module,
    g_optimiser: Optimizer,
    d_optimiser: Optimizer,
    *,
    alpha: float = 1e-4,
    saturating: bool = False,
    reduction: str = "mean",
) -> list[Player]:
    """Eq. (4): alpha * adversarial + (1 - alpha) * squared error; D trains with its full loss.

    alpha weighs the ADVERSARIAL term: 0 is eq. (3), 1 an ordinary GAN, 1e-4 the dose of figure 11.
    ``saturating`` takes log(1 - f) to the letter; ``reduction="sum"`` the norm to the letter, which
    divides the adversarial share by C*H*W.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; expected 0 (squared error alone) to 1 (GAN alone)")
    adversarial = losses.g_saturating if saturating else losses.g_logistic

    def terms(batch: Batch) -> Terms:
        fake = student(batch.cond)
        both: Terms = {}
        if alpha > 0:
            both["adversarial"] = alpha * adversarial(D(fake))
        if alpha < 1:
            both["mse"] = (1 - alpha) * losses.squared_error(fake, gan.target(batch), reduction)
        return both

    return [gan.discriminator(student, D, d_optimiser), Player("G", g_optimiser, terms)]
