"""The numbers that decide a run, one frozen dataclass a paper and one line a choice.

Presets differ in numbers alone: smoke, cpu, night, gpu and paper run the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ganzip import parameters
from ganzip.families import (
    GCFSR,
    PLAIN,
    REAL_ESRGAN,
    Sdakd,
    SuperResolution,
    rows_of_plain,
    rows_of_tables,
)

Numbers = TypeVar("Numbers", "DcganKd", "NickelDime", SuperResolution)
NAMES = parameters.PRESETS
MOST_UNITS = 20_000  # of a plan
MOST_STEPS = 10**9 - 1  # of a schedule: checkpoints bear their step in nine digits


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
    teacher_gan: str = "gan"  # teacher and regular GANs: "gan" (DCGAN) or "wgan" (W-DCGAN)
    regular: Mapping[int, int]  # figure 2, and the regular column of table 1
    mse: Mapping[int, int]  # the student column
    cached: Mapping[int, int]  # students taught from the cache
    joint: Mapping[int, int]  # from fresh weights, at every alpha
    warm: Mapping[int, int]  # figure 11: joint students that start from the MSE student, likewise
    letter: Mapping[int, int]  # regular GANs with the reference code's settings, untuned
    other: Mapping[int, int]  # the other of gan and wgan
    penalty: Mapping[int, int]  # W-DCGAN with gradient penalty in place of clipping
    # Eq. (4): 0 is the control at equal steps, figure 11 shows 1e-4.
    alphas: tuple[float, ...] = (0.0, 1e-4, 1e-2, 1e-1)
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
    preset: str = "cpu",
    *,
    grey: bool = True,
    labels: bool = True,
    scale: float = 1.0,
    seeds: int = 0,
) -> DcganKd:
    """Paper A's numbers at a preset.

    grey, labels: what the data are. At paper scale they decide the teacher, as in the paper:
    W-DCGAN d=256 on grey digits (MNIST), W-DCGAN d=64 on labelled colour images (CIFAR-10), DCGAN
    d=128 on faces. ``scale`` multiplies steps and seeds; no row has fewer than ``seeds``.
    """
    check(preset, scale, seeds)
    if preset == "smoke":
        chosen = DcganKd(
            name=preset, size=16, teacher_d=4, regular={2: 1, 4: 1, 8: 1},
            mse={2: 1}, cached={2: 1}, joint={2: 1}, warm={2: 1}, letter={2: 1}, other={2: 1},
            penalty={2: 1}, alphas=(0.0, 1e-4), gan_recipe=replace(GAN, steps=150),
            teacher_recipe=replace(TEACHER, steps=150), wgan_recipe=replace(WGAN, steps=2),
            letter_recipe=replace(LETTER, steps=50), mse_recipe=replace(MSE, steps=200),
            joint_recipe=replace(JOINT, steps=50),
            judge_steps=200, cache_pairs=512, n_images=500,
        )  # fmt: skip
    elif preset == "cpu":
        chosen = DcganKd(
            name=preset, size=16, teacher_d=16,
            regular={2: 3, 4: 3, 8: 3, 16: 3, 24: 1}, mse={2: 3, 4: 3, 8: 3}, cached={4: 3},
            joint={4: 1}, warm={4: 3}, letter={2: 3}, other={4: 1}, penalty={4: 1},
            gan_recipe=replace(GAN, steps=2000), teacher_recipe=replace(TEACHER, steps=2000),
            wgan_recipe=replace(WGAN, steps=500, lr=1e-3, d_lr=1e-3),
            letter_recipe=replace(LETTER, steps=2000),
            mse_recipe=replace(MSE, steps=3500), joint_recipe=replace(JOINT, steps=1000),
            judge_steps=1500, cache_pairs=20_000, n_images=5000,
        )  # fmt: skip
    elif preset == "night":
        chosen = DcganKd(
            name=preset, size=32, teacher_d=32,
            regular={2: 5, 4: 5, 8: 5, 16: 5, 32: 5, 48: 2}, mse={2: 5, 4: 5, 8: 5, 16: 5},
            cached={4: 3}, joint={4: 3}, warm={4: 3}, letter={2: 3, 4: 1}, other={4: 1, 32: 1},
            penalty={4: 1}, gan_recipe=replace(GAN, steps=10_000, d_lr=1.25e-4),
            teacher_recipe=replace(TEACHER, steps=10_000, lr=5e-4),
            wgan_recipe=replace(WGAN, steps=2500, lr=1e-3, d_lr=1e-3),
            letter_recipe=replace(LETTER, steps=10_000),
            mse_recipe=replace(MSE, steps=15_000), joint_recipe=replace(JOINT, steps=5000),
            judge_steps=3000, cache_pairs=50_000, n_images=5000,
        )  # fmt: skip
    elif preset == "gpu":
        gan = replace(GAN, steps=20_000, lr=2e-4, d_lr=2e-4)
        chosen = DcganKd(
            name=preset, size=64, teacher_d=128,
            regular={2: 3, 4: 3, 8: 3, 16: 1, 32: 1, 64: 1, 128: 1, 192: 1},
            mse={2: 3, 4: 3, 8: 3, 16: 1, 32: 1, 64: 1}, cached={4: 3}, joint={8: 1}, warm={8: 3},
            letter={2: 1, 4: 1, 8: 1}, other={8: 1}, penalty={8: 1},
            gan_recipe=gan, teacher_recipe=gan,
            wgan_recipe=replace(WGAN, steps=4000), letter_recipe=replace(LETTER, steps=20_000),
            mse_recipe=replace(MSE, steps=30_000, lr=2e-3),
            joint_recipe=replace(JOINT, steps=20_000),
            judge_steps=4000, cache_pairs=200_000, n_images=10_000,
        )  # fmt: skip
    else:
        teacher_d, kind = (256, "wgan") if grey else (64, "wgan") if labels else (128, "gan")
        sizes = (2, 4, 8, 16, 32, 48, 64, 128, 256)
        n = 23_400 if grey else 19_500 if labels else 79_000  # 25 epochs of the set
        gan, letter = replace(GAN, steps=n, lr=2e-4, d_lr=2e-4), replace(LETTER, steps=n)
        chosen = DcganKd(
            name=preset, size=64, teacher_d=teacher_d, teacher_gan=kind,
            regular=dict.fromkeys(sizes, 3), mse={d: 3 for d in sizes if d < teacher_d},
            cached={4: 3}, joint={8: 3}, warm={8: 3},
            letter={2: 3, 4: 3, 8: 3}, other={8: 3}, penalty={8: 3},
            alphas=(0.0, 1e-4, 1e-3, 1e-2, 1e-1), gan_recipe=gan, teacher_recipe=gan,
            wgan_recipe=replace(WGAN, steps=50_000), letter_recipe=letter,
            mse_recipe=replace(MSE, steps=50_000, lr=2e-3),
            joint_recipe=replace(JOINT, steps=50_000),
            judge_steps=10_000, cache_pairs=1_000_000, n_images=50_000,
        )  # fmt: skip
    recipes = [k for k, v in vars(chosen).items() if isinstance(v, Recipe)]
    rows = [k for k, v in vars(chosen).items() if isinstance(v, Mapping)]
    chosen = multiply(chosen, scale, seeds, recipes, rows)
    doses = count(chosen.joint, chosen.warm)
    units = count(*(getattr(chosen, name) for name in rows)) + (len(chosen.alphas) - 1) * doses
    check_units(units, scale, seeds)
    return chosen


def sdakd(
    preset: str = "cpu", *, aligned: bool = False, scale: float = 1.0, seeds: int = 0
) -> Sdakd:
    """Paper B's numbers at a preset.

    aligned: whether the images are aligned faces, which GCFSR sees whole. ``scale`` multiplies
    steps and seeds; no row has fewer than ``seeds``.
    """
    check(preset, scale, seeds)
    # What Real-ESRGAN's two columns share.
    held = {"validation": 100, "test": 100}
    tuned = {"lr": 2e-3, "d_lr": 4e-4, "l1_lr": 2e-3, "cosine": True}
    if preset == "smoke":
        tiny, few = {"size": 32, "base": 256, "cap": 8}, {"train": 16, "validation": 8, "test": 8}
        photo = {"net": {"blocks": 4}, "size": 32, "span": 80, "square": 80, "count": few}
        photo |= {"d_width": 1 / 8, "batch": 2, "d_steps": 2}
        families = (
            replace(
                GCFSR, net=tiny | {"latent": 8}, d_net=tiny, size=32, span=64, square=32, count=few,
                factors=(8, 8, 4, 2), shown=(8, 4, 2), batch=4, teacher_steps=12, naive_steps=12,
                steps=6, d_steps=4, epoch=6, cosine=True, ema=0.9,
                seeds=rows_of_tables(1, 1, 1, True), speed=tiny | {"latent": 8}, speed_input=32,
            ),
            replace(
                REAL_ESRGAN, **photo, **tuned, start="nearest", stored=True, teacher_steps=4,
                naive_steps=8, steps=4, epoch=4, ema=0.9,
                seeds=rows_of_tables(1, 1, 1, False), speed={"blocks": 1}, speed_input=8,
            ),
            replace(
                PLAIN, **photo, teacher_steps=4, naive_steps=8, steps=4, epoch=4,
                seeds=rows_of_plain(1, 1),
            ),
        )  # fmt: skip
    elif preset == "cpu":
        small = {"size": 32, "base": 1024, "cap": 32}
        photo = {"net": {"blocks": 4}, "size": 64, "batch": 4, "d_steps": 24}
        photo |= {"count": {"train": 96, "validation": 32, "test": 32}}
        families = (
            replace(
                GCFSR, net=small | {"latent": 32}, d_net=small, size=32, span=96, square=32,
                count={"train": 512, "validation": 32, "test": 32},
                factors=(8, 8, 4, 2), shown=(8, 4, 2), batch=4, teacher_steps=500,
                naive_steps=140, steps=70, d_steps=35, epoch=70,
                lr=1e-2, betas=(0.9, 0.99), cosine=True, ema=0.98,
                seeds=rows_of_tables(3, 1, 1, True), speed={"size": 32}, speed_input=32,
            ),
            replace(
                REAL_ESRGAN, **photo, **tuned, start="nearest", d_width=1 / 4, span=96, square=96,
                stored=True, teacher_steps=200, naive_steps=90, steps=45, epoch=45, ema=0.98,
                seeds=rows_of_tables(2, 1, 1, False), speed_input=16,
            ),
            replace(
                PLAIN, **photo, span=104, square=104, teacher_steps=40, naive_steps=160, steps=80,
                epoch=80, seeds=rows_of_plain(2, 1),
            ),
        )  # fmt: skip
    elif preset == "night":
        small = {"size": 64, "base": 2048, "cap": 64}
        photo = {"net": {"blocks": 4}, "span": 160, "square": 160, "count": {"train": 400} | held}
        photo |= {"batch": 4, "d_steps": 200, "ema": 0.99}
        families = (
            replace(
                GCFSR, net=small | {"latent": 64}, d_net=small, size=64, span=192, square=64,
                count={"train": 3000} | held,
                factors=(8, 8, 4, 2), shown=(8, 4, 2), batch=8, teacher_steps=6000,
                naive_steps=2000, steps=1000, d_steps=300, epoch=250,
                lr=5e-3, betas=(0.9, 0.99), cosine=True, ema=0.995, stand_in=1.0,
                seeds=rows_of_tables(3, 2, 2, True), speed={"size": 64}, speed_input=64,
            ),
            replace(
                REAL_ESRGAN, **photo, **tuned, start="bicubic", d_width=1 / 4, size=96, stored=True,
                teacher_steps=800, naive_steps=1000, steps=500, epoch=125, warmup=10,
                seeds=rows_of_tables(3, 2, 2, False), speed_input=32,
            ),
            replace(
                PLAIN, **photo, **tuned, size=64, teacher_steps=400, naive_steps=2000, steps=1000,
                epoch=250, seeds=rows_of_plain(3, 1, ("Ablation3", "SDAKD balanced")),
            ),
        )  # fmt: skip
    elif preset == "gpu":
        half = {"size": 128, "base": 16384, "cap": 256}
        every = {"size": 128, "square": 128, "count": {"train": 4000} | held, "batch": 32}
        every |= {"naive_steps": 4000, "steps": 2000, "d_steps": 1000, "epoch": 500, "ema": 0.99}
        photo = every | {"net": {"blocks": 8}, "span": 160, "square": 160, "teacher_steps": 2000}
        photo |= {"lr": 5e-4, "l1_lr": 5e-4, "seeds": rows_of_tables(3, 1, 1, False)}
        families = (
            replace(
                GCFSR, **every, net=half | {"latent": 512}, d_net=half, span=192,
                factors=(32, 32, 16, 8), shown=(32, 16, 8), teacher_steps=4000, cosine=True,
                seeds=rows_of_tables(3, 1, 1, True),
            ),
            replace(REAL_ESRGAN, **photo, start="nearest", pool=160, d_lr=2e-4, cosine=True),
            replace(PLAIN, **photo, stored=False, d_lr=2e-4),
        )  # fmt: skip
    else:
        plain = replace(REAL_ESRGAN, network=PLAIN.network, pool=0, speed={})
        families = (
            replace(GCFSR, fresh=True, seeds=rows_of_tables(3, 3, 3, True)),
            replace(REAL_ESRGAN, fresh=True, seeds=rows_of_tables(3, 3, 3, False)),
            replace(plain, fresh=True, seeds=rows_of_tables(3, 3, 3, False)),
        )
    chosen = Sdakd(name=preset, families=families, passes=5 if preset == "smoke" else 50)
    if aligned:
        first, *rest = chosen.families
        chosen = replace(chosen, families=(replace(first, span=0), *rest))
    steps = ("teacher_steps", "naive_steps", "steps", "d_steps", "epoch")
    families = tuple(multiply(f, scale, seeds, steps, ["seeds"]) for f in chosen.families)
    check_units(count(*(family.seeds for family in families)), scale, seeds)
    return replace(chosen, families=families)


@dataclass(frozen=True, kw_only=True)
class NickelDime:
    """Paper C. A rate p is the share of channels that is pruned.

    ``seeds`` are the rows of the tables: for a method its number of seeds by p.
    """

    name: str
    net: Mapping[str, Any]  # size, base and cap of generator and discriminator, or channels
    d_net: Mapping[str, Any] | None = None  # the discriminator's, without size, if it has its own
    latent: int  # z and w
    layers: int  # of the mapping
    group: int  # images that share a minibatch deviation
    batch: int
    teacher_steps: int
    steps: int  # of every student, whatever its method
    sparse_steps: int  # those of GS before it is pruned
    epoch: int  # steps from one evaluation to the next
    lr: float = 2.5e-3  # of all networks, before the correction for lazy regularisation
    teacher_lr: float = 2.5e-3
    half_life: float  # images after which half of G's average is new
    teacher_half_life: float
    gamma: float  # R1, every 16 steps
    path: float = 0.0  # weight of path lengths, every 4 steps; 0 does without
    mixing: float = 0.0  # probability of mixed styles
    nickel: float = 10.0
    dime: float = 10.0  # DiME's terms at the start, of kernels that the paper has no weight for
    moment_batch: int  # images whose moments are compared at once; the released code has 8
    moments: int  # images of the teacher in the global moments
    lite: int  # pixels that EfficientNet-Lite0 sees as a kernel
    energy: int  # channels of ITGC's energy
    langevin: int  # and steps of its sampling
    prune_images: int
    # Of the figure without fine-tuning.
    prune_rates: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)
    n_images: int  # generated images a metric sees
    judge_steps: int
    encoder_steps: int
    encoder_batch: int
    passes: int = 50  # timed forward passes of a generator
    seeds: Mapping[str, Mapping[float, int]]
    # Of DiME, its kernels and targets taken from the batch; of GANs that learn from the data alone.
    ablations: Mapping[float, int] = field(default_factory=lambda: {0.9: 1})
    scratch: Mapping[float, int] = field(default_factory=lambda: {0.9: 1})


# The paper's methods and rates, and a control.
COMPARED = ("GS", "CAGC", "StyleKD", "ITGC", "GCC", "NICKEL", "DiME", "NICKEL & DiME")
PRUNED = (0.5, 0.7, 0.8, 0.9, 0.95)
WITHOUT = "NICKEL & DiME without D_T"
ABLATED = 4  # rows of DiME's ablation, at most


def nickel_dime(
    preset: str = "cpu", *, labels: bool = True, scale: float = 1.0, seeds: int = 0
) -> NickelDime:
    """Paper C's numbers at a preset.

    labels: whether the images have any. Those without, faces as a rule, are not to be known at 16
    pixels: presets smoke and cpu take 64, and fewer runs. ``scale`` multiplies steps and seeds; no
    row has fewer than ``seeds``.
    """
    check(preset, scale, seeds)
    if preset in ("smoke", "cpu"):
        rows: dict[str, dict[float, int]] = {name: {0.9: 1} for name in (*COMPARED, WITHOUT)}
        rows |= {"NICKEL": {0.9: 3}, "DiME": {0.9: 3}, "ITGC": {0.7: 1, 0.9: 1}}
        rows |= {name: {0.5: 2, 0.7: 1, 0.9: 3} for name in ("CAGC", "NICKEL & DiME")}
        rows |= {"fine-tune": {0.5: 1, 0.7: 1, 0.9: 3}}
        chosen = NickelDime(
            name=preset, net={"size": 16, "base": 256, "cap": 32}, latent=32, layers=2, group=4,
            batch=16, teacher_steps=2800, steps=320, sparse_steps=80, epoch=40,
            teacher_lr=4e-3, half_life=500, teacher_half_life=1000,
            gamma=0.1, moment_batch=16, moments=2000, lite=32, energy=8, langevin=5,
            prune_images=256, n_images=1500, judge_steps=600, encoder_steps=250, encoder_batch=96,
            seeds=rows,
        )  # fmt: skip
        if preset == "smoke":
            chosen = replace(
                chosen, teacher_steps=40, steps=6, sparse_steps=2, epoch=2, moments=64, langevin=3,
                prune_images=16, prune_rates=(0.5, 0.9), n_images=128, judge_steps=60,
                encoder_steps=10, encoder_batch=32, passes=5,
                seeds={
                    name: dict.fromkeys((0.7, 0.9) if len(rates) > 1 else (0.9,), 1)
                    for name, rates in chosen.seeds.items()
                },
            )  # fmt: skip
        if not labels:
            chosen = replace(
                chosen, net={"size": 64, "base": 1024, "cap": 32}, lite=64, encoder_batch=32,
                teacher_steps=times(chosen.teacher_steps, 1 / 2), epoch=times(chosen.steps, 1 / 4),
                seeds={name: dict.fromkeys(rates, 1) for name, rates in chosen.seeds.items()},
            )  # fmt: skip
        elif preset == "cpu":
            # The width of preset night. The teacher of the digits comes along, see
            # ``units.unit.receive_kept``, and the minutes go to its students. A network that
            # learns from scratch for as long as teacher and student has no place among them.
            rows |= {name: {0.9: 2} for name in ("NICKEL", "DiME")}
            for name in ("CAGC", "NICKEL & DiME", "fine-tune"):
                rows[name] = {0.5: 1, 0.7: 1, 0.9: 2}
            chosen = replace(
                chosen, net={"size": 16, "base": 1024, "cap": 128}, teacher_steps=4000,
                teacher_half_life=2000, steps=200, sparse_steps=50, epoch=25,
                seeds=rows, scratch={},
            )  # fmt: skip
    elif preset == "night":
        # Wide for its size: p = 0.9 leaves 7 to 13 channels a map, as it leaves 7 to 52 in the
        # paper. Below four nothing trains.
        rows = {name: {0.9: 3} for name in (*COMPARED, WITHOUT)}
        rows |= {name: {0.5: 1, 0.7: 3, 0.9: 3} for name in ("fine-tune", "CAGC", "NICKEL & DiME")}
        chosen = NickelDime(
            name=preset, net={"size": 16, "base": 1024, "cap": 128}, latent=32, layers=2, group=4,
            batch=16, teacher_steps=10_000, steps=3000, sparse_steps=750, epoch=250,
            teacher_lr=4e-3, half_life=1000, teacher_half_life=5000,
            gamma=0.1, moment_batch=16, moments=10_000, lite=32, energy=16, langevin=5,
            prune_images=400, n_images=2000, judge_steps=2000, encoder_steps=1000,
            encoder_batch=96, seeds=rows,
        )  # fmt: skip
    elif preset == "gpu":
        rows = {name: {0.7: 1, 0.9: 1} for name in (*COMPARED, "fine-tune")}
        rows |= {name: dict.fromkeys(PRUNED, 1) for name in ("CAGC", "NICKEL & DiME")}
        chosen = NickelDime(
            name=preset, net={"size": 64, "base": 8192, "cap": 256}, latent=256, layers=8, group=8,
            batch=64, teacher_steps=12_000, steps=1000, sparse_steps=250, epoch=125,
            half_life=5000, teacher_half_life=5000,
            gamma=0.05, path=2.0, mixing=0.9, moment_batch=64, moments=20_000, lite=128,
            energy=32, langevin=10, prune_images=400, prune_rates=PRUNED,
            n_images=10_000, judge_steps=4000, encoder_steps=2000, encoder_batch=256,
            seeds={**rows, WITHOUT: {0.9: 1}},
        )  # fmt: skip
    else:
        rows = {name: dict.fromkeys(PRUNED, 3) for name in (*COMPARED, "fine-tune", WITHOUT)}
        chosen = NickelDime(
            name=preset, net={"size": 256, "base": 16384, "cap": 512}, latent=512, layers=8,
            group=8, batch=64, teacher_steps=390_625, steps=625_000, sparse_steps=156_250,
            epoch=3125, half_life=20_000, teacher_half_life=20_000,
            gamma=1.0, path=2.0, mixing=0.9, moment_batch=8, moments=50_000, lite=128,
            energy=32, langevin=10, prune_images=400, prune_rates=PRUNED,
            n_images=50_000, judge_steps=10_000, encoder_steps=10_000, encoder_batch=256,
            seeds=rows,
        )  # fmt: skip
    names = ("teacher_steps", "steps", "sparse_steps", "epoch")
    chosen = multiply(chosen, scale, seeds, names, ["seeds", "ablations", "scratch"])
    units = count(chosen.seeds, chosen.scratch) + ABLATED * count(chosen.ablations)
    check_units(units, scale, seeds)
    return chosen


def multiply(
    preset: Numbers, scale: float, least: int, steps: Sequence[str], rows: Sequence[str]
) -> Numbers:
    """A preset, or one of its networks, with steps and seeds multiplied, at least one of each.

    steps: names of numbers of steps, or of recipes. rows: names of seeds by size, also by method;
    no row has fewer than ``least``.
    """

    def longer(value: Any) -> Any:
        if isinstance(value, Recipe):
            return replace(value, steps=times(value.steps, scale))
        return times(value, scale)

    def more(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: more(part) for key, part in value.items()}
        return max(least, times(value, scale))

    changes = {name: longer(getattr(preset, name)) for name in steps}
    changes |= {name: more(getattr(preset, name)) for name in rows}
    return replace(preset, **changes)


def count(*rows: Mapping[Any, Any]) -> int:
    """How many units rows have: seeds by size, also by method."""
    values = [value for its in rows for value in its.values()]
    return sum(count(value) if isinstance(value, Mapping) else value for value in values)


def precision(preset: str) -> str:
    """How networks compute on a GPU at a preset, of ``device.PRECISIONS``; on a CPU always fp32."""
    return "tf32" if preset in ("gpu", "paper") else "fp32"


def times(n: int, scale: float) -> int:
    """n multiplied, at least 1; raises ValueError for a scale that is too large."""
    if not n * scale <= MOST_STEPS:
        raise ValueError(
            f"scale is {scale:g}: a schedule of {n} steps would have more than {MOST_STEPS:,}; "
            "take a smaller one"
        )
    return max(1, round(n * scale))


def check_units(count: int, scale: float, seeds: int) -> None:
    """Raise ValueError for a plan of more units than anybody trains, before any is made."""
    if count > MOST_UNITS:
        raise ValueError(
            f"scale {scale:g} and seeds {seeds} make a plan of {count:,} units, expected "
            f"{MOST_UNITS:,} or fewer; take a smaller scale or fewer seeds"
        )


def check(preset: str, scale: float = 1.0, seeds: int = 0) -> None:
    """Raise ParameterError for a preset that does not exist, or numbers out of their range."""
    parameters.check(parameters.Plan, {"preset": preset, "scale": scale, "seeds": seeds})
