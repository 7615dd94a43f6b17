"""Paper C's networks: their sizes, what pruning leaves of them, the maps that are compared."""

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzip import assets, prune
from ganzip.data import Images
from ganzip.distil.recipe import MASKS
from ganzip.methods import stylekd
from ganzip.nets import checkpoints, stylegan2
from ganzip.presets import NickelDime
from ganzip.train import frozen
from ganzip.units import Run, Unit, load_network

CONTENT, STYLE = "content-aware", "style scale"  # what ranks channels
RELEASED = "stylegan2-ffhq256"  # the teacher's file at the paper's scale


def is_released(preset: NickelDime, images: Images) -> bool:
    """Whether the teacher is the released one: at the paper's scale, for faces, where its file is.

    It serves without being trained; nothing else of the plan changes.
    """
    return preset.name == "paper" and content(images) == "ellipse" and assets.available(RELEASED)


def with_released_sizes(preset: NickelDime, images: Images) -> NickelDime:
    """The preset with the sizes of the released teacher's networks, where that one serves."""
    if not is_released(preset, images):
        return preset
    found = teacher_sizes()
    if not found.d_channels:
        raise checkpoints.CheckpointError(
            f"{assets.require(RELEASED)} has no discriminator, expected D or d: the methods of "
            "paper C go on training it; take a whole file"
        )
    net = {"size": found.size, "channels": list(found.channels)}
    same = found.d_channels == found.channels
    return dataclasses.replace(
        preset,
        net=net,
        d_net=None if same else {"channels": list(found.d_channels)},
        latent=found.latent,
        layers=found.layers,
        group=found.group,
    )


def teacher_sizes() -> checkpoints.Sizes:
    """The sizes of the released teacher's networks."""
    path = assets.require(RELEASED)
    return _sizes(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _sizes(path: Path, _: int) -> checkpoints.Sizes:
    """Once a file: a plan asks several times."""
    return checkpoints.sizes(path)


def content(images: Images) -> str:
    """The mask of what matters in these images: ``prune``'s, by name.

    Things on black are their foreground; else images without labels are taken for aligned faces.
    """
    some = images.pixels[:256]
    edges = torch.cat([some[..., 0], some[..., -1], some[..., 0, :], some[..., -1, :]])
    if edges.float().median() < 16:
        return "foreground"
    return "everything" if images.classes else "ellipse"


def generator(c: Mapping[str, Any], p: float = 0.0) -> stylegan2.Generator:
    """A fresh generator, pruned by p."""
    return stylegan2.Generator(
        c["size"], **c["net"], latent=c["latent"], layers=c["layers"], width=1 - p
    )


def discriminator(c: Mapping[str, Any]) -> stylegan2.Discriminator:
    """A fresh discriminator, of full size as all are here."""
    return stylegan2.Discriminator(c["size"], **c.get("d_net", c["net"]), group=c["group"])


def generator_of(unit: Unit, root: Path) -> nn.Module:
    """The finished unit's generator, its average over training, frozen."""
    c = unit.config
    return frozen(load_network(generator(c, c["p"]), unit.weights(root), "G"))


def teacher_of(run: Run) -> nn.Module:
    """The frozen teacher of a unit."""
    return generator_of(run.unit.needs["teacher"], run.root).to(run.device)


def start(run: Run, wide: nn.Module) -> nn.Module:
    """The student before it learns: pruned by its method's scores; StyleKD's is fresh."""
    c = run.config
    S = generator(c, c["p"]).to(run.device)
    if c["scores"]:
        return prune.cut(wide, S, prune.keep(ranks(run, wide, c["scores"]), c["p"]))
    stylekd.inherit(S, wide)
    return S


def ranks(run: Run, wide: nn.Module, name: str) -> list[Tensor]:
    """Scores of the channels of a generator, the same for all seeds of a student."""
    c = run.config
    seeded = torch.Generator().manual_seed(0)
    z = torch.randn(c["prune_images"], c["latent"], generator=seeded).to(run.device)
    if name == CONTENT:
        return prune.saliency(wide, MASKS[c["mask"]], z)
    scores = prune.style_scale(wide, z)
    if name == STYLE:
        return scores
    return [torch.rand(score.shape, generator=seeded).to(run.device) for score in scores]


def pair(c: Mapping[str, Any]) -> tuple[str, str]:
    """NICKEL's two maps, of a quarter of the image's size: of the teacher's G, and of D."""
    return f"synthesis.b{c['size'] // 4}.conv1", f"b{c['size'] // 2}"


def parts(c: Mapping[str, Any], *shares: int) -> list[int]:
    """Parts of the image's size in pixels, 4 or more, each once."""
    return list(dict.fromkeys(max(4, c["size"] // share) for share in shares))
