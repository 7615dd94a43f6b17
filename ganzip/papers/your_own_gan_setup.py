"""A GAN of one's own: its networks, and what its method is handed."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ganzip import features, losses, prune
from ganzip.distil import compose, family
from ganzip.distil.compose import Setup
from ganzip.distil.family import Adapter
from ganzip.distil.recipe import Recipe
from ganzip.methods import nickel_dime
from ganzip.papers import adapters
from ganzip.train import Batch, frozen, step_seed
from ganzip.units import (
    Unit,
    load_network,
)

LITE = (0, 2, 4, 10)  # blocks of EfficientNet-Lite0 in the place of VGG16's four maps


def recipe_of(a: Adapter, c: Mapping[str, Any]) -> Recipe:
    """How a unit's networks are trained."""
    return Recipe(
        steps=c["steps"], lr=c["lr"], d_lr=c["d_lr"], betas=tuple(c["betas"]), cosine=True,
        decay=c["ema"], step_decay=c["ema"], gamma=a.gamma, mask=c["mask"], langevin=c["langevin"],
        moment_batch=c["batch"],
    )  # fmt: skip


def setup_of(
    a: Adapter,
    c: Mapping[str, Any],
    device: torch.device,
    draw: Callable[[int], Batch],
    new: Callable[[str, Callable[[], Any]], Any],
    *,
    start: Mapping[str, Tensor] | None = None,
    T: nn.Module | None = None,
    D: nn.Module | None = None,
    target: Callable[[], nickel_dime.Moments] = compose.absent,
    stored_teacher: nn.Module | None = None,
) -> Setup:
    """What a method is handed: networks of the adapter, made by ``new``.

    start: the first weights of a student, None for those of a new one. T, D: the frozen teacher's.
    target: moments of the teacher's images.
    """

    def fresh() -> nn.Module:
        return new("G", lambda: family.build(a, c["width"]))

    def cut(wide: nn.Module) -> nn.Module:
        z = torch.randn(256, a.latent, generator=torch.Generator().manual_seed(0))
        scores = prune.style_scale(wide, z.to(device))
        return prune.cut(wide, fresh(), prune.keep(scores, round(1 - c["width"], 6)))

    def kernels(G: nn.Module) -> list[nickel_dime.Kernel]:
        kernel = nickel_dime.Kernel("efflite0", embedding(c, device), 1.0, target())
        torch.manual_seed(step_seed(c["seed"], "gap"))
        with torch.no_grad():
            gap = nickel_dime.dime(kernel, G(draw(0).cond)).item()
        return [dataclasses.replace(kernel, weight=c["dime"] / gap)]

    def truth(step: int) -> Batch:
        batch = draw(step)
        return dataclasses.replace(batch, target=batch.real)

    return Setup(
        adapter=a, recipe=recipe_of(a, c), width=c["width"], device=device, draw=draw, new=new,
        truth=None if a.latent else truth,
        fresh=fresh,
        student=lambda: fresh() if start is None else load_network(fresh(), start, "G"),
        cut=cut, critic=lambda width, name: new(name, lambda: a.critic(width)),
        judge=lambda: copy.deepcopy(cast(nn.Module, D)).train().requires_grad_(True),
        kernels=kernels, distance=lambda: distance(a.size, str(device)),
        maps=lambda: maps(a.size, str(device)), T=T or nn.Identity(),
        stored_teacher=stored_teacher,
    )  # fmt: skip


@lru_cache(maxsize=2)
def distance(size: int, device: str) -> losses.Distance:
    """The perceptual distance: relative L1 of three maps of EfficientNet-Lite0."""
    found = features.lite_maps(0, LITE[:3], size=size, device=device).extract
    return losses.perceptual(found, [1 / 3] * 3, relative=True)


@lru_cache(maxsize=2)
def maps(size: int, device: str) -> Callable[[Tensor], list[Tensor]]:
    """The four maps that OMGD and DCD compare."""
    return features.lite_maps(0, LITE, size=size, device=device).extract


def critic_of(unit: Unit, root: Path, a: Adapter, width: float = 1.0) -> nn.Module:
    """The frozen discriminator that a unit keeps."""
    return frozen(load_network(a.critic(width), unit.weights(root), "D"))


def student_of(unit: Unit, root: Path, adapter: Adapter | None = None) -> nn.Module:
    """The trained student of a finished unit, frozen."""
    a = adapter or named(unit)
    net = family.build(a, unit.config["width"])
    return frozen(load_network(net, unit.weights(root), "G"))


def embedding(c: Mapping[str, Any], device: torch.device) -> Callable[[Tensor], Tensor]:
    """What DiME compares images through: EfficientNet-Lite0, which never measures."""
    return _lite(c["lite"], str(device)).extract


@lru_cache(maxsize=2)
def _lite(size: int, device: str) -> features.Features:
    return features.efficientnet_lite(0, size=size, device=device)


def named(unit: Unit) -> Adapter:
    """The adapter that a unit's configuration names."""
    return adapters.load(unit.config["adapter"], preset=unit.config["preset"])
