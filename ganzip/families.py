"""Paper B's networks: their sizes, how they and their students train; the published numbers."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SuperResolution:
    """One of paper B's two networks: its sizes, and how it and its students are trained.

    ``seeds`` are the rows of the tables: for a method the generator's C, and its number of seeds.
    """

    network: str  # "GCFSR", "RealESRGAN", or that with plainly reduced inputs
    net: Mapping[str, Any]  # arguments of the generator at C = 1
    d_net: Mapping[str, Any]  # and of the discriminator
    d_width: float = 1.0  # the discriminator's width where the tables say C = 1
    start: str = ""  # Real-ESRGAN's generators: "nearest" enlargement, or a "bicubic" residual
    size: int  # pixels of a training image
    span: int  # pixels that a square takes of a photo; GCFSR reduces it, aligned faces come whole
    square: int  # pixels of the squares cut out, of which Real-ESRGAN trains on crops
    count: Mapping[str, int]  # squares of each part; fresh ones of "train" beside
    factors: tuple[int, ...]  # GCFSR's, each equally often
    shown: tuple[int, ...]  # the three that the tables show, largest first
    fresh: bool = False  # whether training squares are cut anew in every step
    stored: bool = False  # Real-ESRGAN: whether inputs and the teacher's answers are a finite set
    pool: int = 0  # Real-ESRGAN: training pairs in the pool, where they are not stored
    batch: int
    teacher_steps: int  # stage 1; of Real-ESRGAN the discriminator's alone
    naive_steps: int
    steps: int  # stage 2, and stage 3; OMGD and DCD as many as both
    d_steps: int  # stage 2 of the student discriminator
    epoch: int  # steps from one validation to the next
    lr: float
    d_lr: float
    l1_lr: float = 0.0  # of the first phase of Real-ESRGAN's recipe
    betas: tuple[float, float]
    d_betas: tuple[float, float]
    cosine: bool = False
    warmup: int = 0  # steps in which learning rates rise
    ema: float
    l1: float
    perceptual: float  # weight of VGG's distance
    stand_in: float  # and of its embedded stand-in's, which is relative
    adversarial: float  # the family's own, stage 1 and naive
    r1: float = 0.0
    lambda1: float = 1.0
    lambda2: float = 0.1
    balancing: float = 0.75  # the lambda2 that makes the terms of eq. (3) about equal, as measured
    seeds: Mapping[str, Mapping[str, int]]
    speed: Mapping[str, Any]  # arguments of the generators of table 3; empty: not timed
    speed_input: int  # and pixels of their input


@dataclass(frozen=True, kw_only=True)
class Sdakd:
    """Paper B."""

    name: str
    families: tuple[SuperResolution, ...]
    passes: int = 50  # forward passes of table 3


# The published numbers. Betas and averages of GCFSR are those of StyleGAN2's lazy regularisation.
GCFSR = SuperResolution(
    network="GCFSR", net={"size": 1024}, d_net={"size": 1024}, size=1024, span=1024, square=1024,
    count={"train": 100, "validation": 100, "test": 100},  # fresh squares train
    factors=(64, 64, 64, 64, 32, 32, 16, 16, 8, 4), shown=(64, 32, 16), batch=24,
    teacher_steps=87_500, naive_steps=87_500, steps=87_500, d_steps=87_500,
    epoch=2917,
    lr=2e-3, d_lr=2e-3, betas=(0.0, 0.99 ** (4 / 5)), d_betas=(0.0, 0.99 ** (16 / 17)),
    ema=0.5 ** (32 / 10_000), l1=1.0, perceptual=0.01, stand_in=0.1, adversarial=0.01, r1=10.0,
    seeds={}, speed={"size": 1024}, speed_input=1024,
)  # fmt: skip
REAL_ESRGAN = SuperResolution(
    network="RealESRGAN", net={"blocks": 23}, d_net={}, size=256, span=400, square=400,
    count={"train": 100, "validation": 150, "test": 150}, factors=(4,), shown=(4,),
    pool=720, batch=48,
    teacher_steps=400_000, naive_steps=1_400_000, steps=1_400_000,
    d_steps=1_400_000, epoch=4667,
    lr=1e-4, d_lr=1e-4, l1_lr=2e-4, betas=(0.9, 0.99), d_betas=(0.9, 0.99), ema=0.999,
    l1=0.5,  # 1 for images in [0, 1]
    perceptual=1.0, stand_in=1.0, adversarial=0.1,
    seeds={}, speed={"blocks": 23}, speed_input=100,
)  # fmt: skip
# The other column of Real-ESRGAN, small: the rates and the average of stages of 300 steps.
PLAIN = dataclasses.replace(
    REAL_ESRGAN, network="RealESRGAN-bicubic", start="bicubic", stored=True, pool=0,
    lr=5e-3, d_lr=4e-4, l1_lr=5e-3, cosine=True, warmup=10, ema=0.95, balancing=0.55, speed={},
)  # fmt: skip
SIZES = ("1/2", "1/4", "1/8")


def rows_of_tables(full: int, others: int, online: int, ablations: bool) -> dict[str, Any]:
    """Seeds by method and C: of C = 1/4, of the other two, and of OMGD and DCD at 1/2."""
    main = {"1/4": full, "1/2": others, "1/8": others}
    found = dict.fromkeys(("naive (C,1)", "naive (C,C)", "SDAKD"), main)
    found |= {key: {"1/2": online} for key in ("OMGD", "DCD", "DCD_modified")}
    found["control GT"] = {"1/4": full}
    chain = ("Ablation1", "Ablation1 as long", "Ablation2", "Ablation3")
    names = chain if ablations else (chain[-1], "SDAKD balanced")
    return found | {key: {"1/4": full} for key in names}


def rows_of_plain(full: int, others: int, more: Sequence[str] = ()) -> dict[str, Any]:
    """Seeds by method and C where Real-ESRGAN's inputs are plainly reduced, at small presets."""
    main = {"1/4": full, "1/2": others, "1/8": others}
    return {"SDAKD": main} | {key: {"1/4": full} for key in ("naive (C,C)", "control GT", *more)}
