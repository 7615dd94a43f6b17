"""The numbers that decide a run, one frozen dataclass a paper and one line a choice.

Presets differ in numbers alone: smoke, cpu, gpu and paper run the same code.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

NAMES = ("smoke", "cpu", "gpu", "paper")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one kind of network is trained.

    steps: batches; for W-DCGAN generator steps. lr, d_lr: learning rates of the generator and of
    the discriminator. cosine: whether they fall to 0. betas: Adam's; W-DCGAN uses RMSprop.
    """

    steps: int
    lr: float
    d_lr: float = 0.0
    betas: tuple[float, float] = (0.5, 0.999)
    cosine: bool = False


@dataclass(frozen=True, kw_only=True)
class DcganKd:
    """Paper A. Sizes are d, the DCGAN's width; a value beside a size is its number of seeds."""

    name: str
    size: int  # pixels
    teacher_d: int
    teacher_gan: str  # how teacher and regular GANs train: "gan" (DCGAN) or "wgan" (W-DCGAN)
    regular: Mapping[int, int]  # figure 2, and the regular column of table 1
    mse: Mapping[int, int]  # the student column
    cached: Mapping[int, int]  # students taught from the cache
    joint: Mapping[int, int]  # at every alpha
    warm: Mapping[int, int]  # joint students that start from the MSE student, at the largest alpha
    letter: Mapping[int, int]  # regular GANs with the reference code's settings, untuned
    other: Mapping[int, int]  # the other of gan and wgan
    penalty: Mapping[int, int]  # W-DCGAN with gradient penalty in place of clipping
    alphas: tuple[float, ...]  # eq. (4): 0 is the control at equal steps, figure 11 shows 1e-4
    gan_recipe: Recipe
    teacher_recipe: Recipe  # of DCGANs with d = teacher_d
    wgan_recipe: Recipe
    letter_recipe: Recipe
    mse_recipe: Recipe
    joint_recipe: Recipe
    judge_steps: int  # training of the classifier whose features measure
    cache_pairs: int  # (z, G_T(z)) pairs in the teacher cache
    n_images: int  # generated images a metric sees
    batch: int = 64  # DCGAN
    latent: int = 100  # DCGAN; z from N(0, I), eq. (3)


# The settings of the reference codes: what "letter" rows train with at every preset.
LETTER = Recipe(steps=0, lr=2e-4, d_lr=2e-4)
WGAN = Recipe(steps=0, lr=5e-5, d_lr=5e-5)
# The tuned ones, fixed before any comparison (notebook 1 says what was tried).
GAN = Recipe(steps=0, lr=1e-3, d_lr=5e-4, cosine=True)
TEACHER = Recipe(steps=0, lr=2e-3, d_lr=5e-4, cosine=True)
MSE = Recipe(steps=0, lr=5e-3, betas=(0.9, 0.999), cosine=True)
JOINT = Recipe(steps=0, lr=2e-3, d_lr=5e-4, cosine=True)


def dcgan_kd(
    preset: str = "cpu", *, grey: bool = True, labels: bool = True, scale: float = 1.0
) -> DcganKd:
    """Paper A's numbers at a preset.

    grey, labels: what the data are. At paper scale they decide the teacher, as in the paper:
    W-DCGAN d=256 on grey digits (MNIST), W-DCGAN d=64 on labelled colour images (CIFAR-10), DCGAN
    d=128 on faces. ``scale`` multiplies steps and seeds.
    """
    check_name(preset)
    steps = dataclasses.replace
    if preset == "smoke":
        chosen = DcganKd(
            name=preset, size=16, teacher_d=4, teacher_gan="gan",
            regular={2: 1, 4: 1}, mse={2: 1}, cached={2: 1}, joint={2: 1}, warm={2: 1},
            letter={2: 1}, other={2: 1},
            penalty={2: 1}, alphas=(0.0, 1e-4),
            gan_recipe=steps(GAN, steps=150), teacher_recipe=steps(TEACHER, steps=150),
            wgan_recipe=steps(WGAN, steps=2),
            letter_recipe=steps(LETTER, steps=50), mse_recipe=steps(MSE, steps=200),
            joint_recipe=steps(JOINT, steps=50),
            judge_steps=200, cache_pairs=512, n_images=500,
        )  # fmt: skip
    elif preset == "cpu":
        chosen = DcganKd(
            name=preset, size=16, teacher_d=16, teacher_gan="gan",
            regular={2: 3, 4: 3, 8: 3, 16: 3}, mse={2: 3, 4: 3, 8: 3}, cached={4: 3},
            joint={4: 3}, warm={4: 1}, letter={2: 3}, other={4: 1}, penalty={4: 1},
            alphas=(0.0, 1e-4, 1e-1),
            gan_recipe=steps(GAN, steps=2000), teacher_recipe=steps(TEACHER, steps=2000),
            wgan_recipe=steps(WGAN, steps=500, lr=1e-3, d_lr=1e-3),
            letter_recipe=steps(LETTER, steps=2000),
            mse_recipe=steps(MSE, steps=3500), joint_recipe=steps(JOINT, steps=1000),
            judge_steps=1500, cache_pairs=20_000, n_images=5000,
        )  # fmt: skip
    elif preset == "gpu":
        chosen = DcganKd(
            name=preset, size=64, teacher_d=128, teacher_gan="gan",
            regular={2: 3, 4: 3, 8: 3, 16: 1, 32: 1, 64: 1, 128: 1},
            mse={2: 3, 4: 3, 8: 3, 16: 1, 32: 1, 64: 1}, cached={4: 3}, joint={8: 1}, warm={8: 1},
            letter={2: 1, 4: 1, 8: 1}, other={8: 1}, penalty={8: 1}, alphas=(0.0, 1e-4, 1e-2, 1e-1),
            gan_recipe=steps(GAN, steps=20_000, lr=2e-4, d_lr=2e-4),
            teacher_recipe=steps(GAN, steps=20_000, lr=2e-4, d_lr=2e-4),
            wgan_recipe=steps(WGAN, steps=4000), letter_recipe=steps(LETTER, steps=20_000),
            mse_recipe=steps(MSE, steps=30_000, lr=2e-3), joint_recipe=steps(JOINT, steps=20_000),
            judge_steps=4000, cache_pairs=200_000, n_images=10_000,
        )  # fmt: skip
    else:
        teacher_d, gan = (256, "wgan") if grey else (64, "wgan") if labels else (128, "gan")
        sizes = {2: 3, 4: 3, 8: 3, 16: 3, 32: 3, 48: 3, 64: 3, 128: 3, 256: 3}
        chosen = DcganKd(
            name=preset, size=64, teacher_d=teacher_d, teacher_gan=gan,
            regular=sizes, mse={d: n for d, n in sizes.items() if d < teacher_d},
            cached={4: 3}, joint={8: 3}, warm={8: 3},
            letter={2: 3, 4: 3, 8: 3}, other={8: 3}, penalty={8: 3},
            alphas=(0.0, 1e-4, 1e-3, 1e-2, 1e-1),
            gan_recipe=steps(LETTER, steps=79_000), teacher_recipe=steps(LETTER, steps=79_000),
            wgan_recipe=steps(WGAN, steps=50_000),
            letter_recipe=steps(LETTER, steps=79_000), mse_recipe=steps(MSE, steps=50_000, lr=2e-3),
            joint_recipe=steps(LETTER, steps=50_000),
            judge_steps=10_000, cache_pairs=1_000_000, n_images=50_000,
        )  # fmt: skip
    return scaled(chosen, scale)


def scaled(preset: DcganKd, scale: float) -> DcganKd:
    """The preset with all steps and seeds multiplied, at least one of each."""
    if scale <= 0:
        raise ValueError(f"scale is {scale}; expected above 0: 1 is the preset as it stands")

    def times(n: int) -> int:
        return max(1, round(n * scale))

    changed: dict[str, Any] = {}
    for field in dataclasses.fields(preset):
        value = getattr(preset, field.name)
        if isinstance(value, Recipe):
            changed[field.name] = dataclasses.replace(value, steps=times(value.steps))
        elif isinstance(value, Mapping):
            changed[field.name] = {d: times(seeds) for d, seeds in value.items()}
    return dataclasses.replace(preset, **changed)


def check_name(preset: str) -> None:
    """Raise ValueError for a preset that does not exist."""
    if preset not in NAMES:
        raise ValueError(f"preset is {preset!r}; expected one of {', '.join(NAMES)}")


def check_parameters(namespace: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise NameError for a notebook parameter that nothing reads: papermill itself only logs it.

    namespace: the notebook's ``globals()`` before it holds anything but parameters and modules.
    """
    theirs = {"In", "Out", "exit", "quit", "open", "get_ipython"}  # Jupyter's own
    for name, value in namespace.items():
        ours = not name.startswith("_") and name not in theirs and not isinstance(value, ModuleType)
        if ours and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f", did you mean {near[0]}?" if near else ";"
            raise NameError(
                f"unknown parameter {name!r}{meant} this notebook takes {', '.join(known)}"
            )
