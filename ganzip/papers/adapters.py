"""The papers' four families as adapters, and adapters by name or out of a user's file."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ganzip import degrade, export, files, prune, slicing, zoo
from ganzip.distil.family import ADAPTERS, Adapter, AdapterError, Start, State
from ganzip.nets import checkpoints, dcgan, enlarging, gcfsr, realesrgan, stylegan2
from ganzip.nets.width import scaled
from ganzip.papers import super_resolution as sr


def load(named: str, weights: str = "", preset: str = "cpu") -> Adapter:
    """A family's adapter by its name, or "my_gan.py:adapter": a file and the name in it.

    ``weights``, a path, takes the place of the adapter's. StyleGAN2's may be any file that
    ``nets.checkpoints`` reads: all sizes are the file's. At preset smoke students of Real-ESRGAN
    have 4 of its 23 blocks. A file is read anew once it has changed. Raises AdapterError.
    """
    read = [path for path in (_file_of(named), Path(weights).expanduser()) if path]
    state = [(s.st_mtime_ns, s.st_size) for s in (p.stat() for p in read if p.is_file())]
    return _load(named, weights, preset, tuple(state))


@lru_cache(maxsize=ADAPTERS)
def _load(named: str, weights: str, preset: str, state: tuple[tuple[int, int], ...]) -> Adapter:
    """The adapter; ``state`` is that of the files it is read from."""
    if named == "StyleGAN2" and weights:
        return _released_stylegan2(weights)
    if (named, preset) == ("RealESRGAN", "smoke"):
        found = realesrgan_adapter(4)
    elif named in FAMILIES:
        found = FAMILIES[named]()
    else:
        found = _from_file(named)
    return dataclasses.replace(found, weights=weights) if weights else found


def _released_stylegan2(path: str) -> Adapter:
    """The adapter of a file's own networks; tensors are read when they are asked for."""
    try:
        found = checkpoints.sizes(path)
    except (FileNotFoundError, checkpoints.CheckpointError) as error:
        raise AdapterError(f"StyleGAN2: weights {error}") from error
    net = {"size": found.size, "channels": list(found.channels)}
    judge = {"channels": list(found.d_channels or found.channels)}
    return dataclasses.replace(
        stylegan2_adapter(net, found.latent, found.layers, found.group, d_net=judge),
        weights=partial(_tensors, path, 0),
        d_weights=partial(_tensors, path, 1) if found.d_channels else None,
    )


def _tensors(path: str, which: int) -> State:
    """Of a StyleGAN2's file: the generator's tensors, 0, or the discriminator's, 1."""
    net = checkpoints.load(path)[which]
    return {} if net is None else net.state_dict()


def _file_of(named: str) -> Path | None:
    """The file of "my_gan.py:adapter", from here or of the notebooks."""
    file = named.rpartition(":")[0]
    places = [Path(file).expanduser(), files.repository() / "notebooks" / file]
    return next((place for place in places if file and place.is_file()), None)


def _from_file(named: str) -> Adapter:
    (file, _, name), path = named.rpartition(":"), _file_of(named)
    if path is None:
        raise AdapterError(
            f"adapter {named!r}: expected one of {', '.join(FAMILIES)}, or file.py:name of a file "
            "that exists"
        )
    module = ModuleType(f"ganzip_user_{path.stem}")
    module.__file__ = str(path)
    try:  # not by an import, which may take what it kept of the file as it was a second ago
        exec(compile(path.read_bytes(), path, "exec"), vars(module))
    except Exception as error:  # a user's file may raise anything
        raise AdapterError(f"{file}: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if not isinstance(found, Adapter):
        there = [k for k, v in vars(module).items() if isinstance(v, Adapter)]
        raise AdapterError(
            f"{file} has no adapter {name!r}; expected a ganzip.distil.family.Adapter, "
            f"it has {', '.join(there) or 'none'}"
        )
    return found


# The papers' families -----------------------------------------------------------------------------


def dcgan_adapter(d: int = 16, size: int = 16, channels: int = 1) -> Adapter:
    """DCGAN, whose width is a share of d."""
    shape = {"channels": channels, "size": size}
    return Adapter(
        name="DCGAN",
        generator=lambda width: dcgan.Generator(scaled(d, width, math.ceil), **shape),
        discriminator=lambda width: dcgan.Discriminator(scaled(d, width, math.ceil), **shape),
        size=size, channels=channels, latent=100, batch=64, lr=2e-3, d_lr=5e-4,
        arguments=lambda width: {"d": scaled(d, width, math.ceil), **shape},
        layers=[f"stages.{i}.0" for i in range(size.bit_length() - 3)],
        d_layers=[f"stages.{i}" for i in range(size.bit_length() - 3)],
    )  # fmt: skip


def stylegan2_adapter(
    net: Mapping[str, Any] | None = None,
    latent: int = 32,
    layers: int = 2,
    group: int = 4,
    d_net: Mapping[str, Any] | None = None,
) -> Adapter:
    """StyleGAN2; ``net`` has size, base and cap, or channels, ``layers`` are those of the mapping.

    ``d_net``: the discriminator's, where it is another.
    """
    net = dict(net or {"size": 16, "base": 256, "cap": 32})
    judge = {**(d_net or net), "size": net["size"], "group": group}
    size, shape = net["size"], {**net, "latent": latent, "layers": layers}
    sides = [2**i for i in range(2, size.bit_length())]

    def cut(wide: nn.Module, narrow: nn.Module) -> nn.Module:
        z = torch.randn(256, latent, generator=torch.Generator().manual_seed(0))
        scores = prune.saliency(wide, prune.everything, z.to(next(wide.parameters()).device))
        left = [narrow.get_parameter(f"{name}.weight").shape[1] for name in prune.readers(narrow)]
        return prune.cut(wide, narrow, prune.strongest(scores, left))

    return Adapter(
        name="StyleGAN2",
        generator=lambda width: stylegan2.Generator(**shape, width=width),
        discriminator=lambda width: stylegan2.Discriminator(**judge, width=width),
        size=size, latent=latent, batch=16, lr=2.5e-3, d_lr=2.5e-3, betas=(0.0, 0.99),
        gamma=0.1, starts={"content-aware": cut},
        arguments=lambda width: {**shape, "width": width},
        layers=[f"synthesis.b{r}.conv1" for r in sides],
        d_layers=[f"b{r}" for r in sides[:0:-1]],
    )  # fmt: skip


def gcfsr_adapter(
    net: Mapping[str, Any] | None = None, factors: Sequence[int] = (8, 8, 4, 2)
) -> Adapter:
    """GCFSR, told by which of some factors a face or a photo is enlarged."""
    net = dict(net or {"size": 32, "base": 1024, "cap": 32, "latent": 32})
    c = {"factors": factors}
    judged = {k: v for k, v in net.items() if k != "latent"}

    def enlarged(images: Tensor, draws: torch.Generator) -> Tensor:
        return sr.condition(images, degrade.draw_factors(len(images), draws, factors), c)

    sides = [2**i for i in range(4, net["size"].bit_length())]
    return Adapter(
        name="GCFSR",
        generator=lambda width: gcfsr.Generator(**net, width=width),
        discriminator=lambda width: gcfsr.Discriminator(**judged, width=width),
        deeper=lambda width: gcfsr.Generator(**net, extra=1, width=width),
        size=net["size"], span=3 * net["size"], inputs=enlarged, batch=4, lr=1e-2, d_lr=2e-3,
        betas=(0.9, 0.99), l1=1.0, perceptual=0.1, adversarial=0.01, gamma=10.0,
        arguments=lambda width: {**net, "width": width},
        layers=[f"decoder.b{r}.conv1" for r in sides],
        d_layers=[f"b{2 * r}" for r in (*sides[::-1], 8, 4) if 2 * r <= net["size"]],
    )  # fmt: skip


def realesrgan_adapter(blocks: int = 23, size: int = 64, d_width: float = 0.25) -> Adapter:
    """Real-ESRGAN x4, the released one; ``d_width``: a share of the published discriminator.

    Students have ``blocks`` of the teacher's 23: with fewer, none can be sliced out of it.
    """

    def low(images: Tensor, draws: torch.Generator) -> Tensor:
        return degrade.degrade(images, draws, degrade.sized(images.shape[-1], images.shape[-1]))

    def nearest(wide: nn.Module, narrow: nn.Module) -> None:
        assert isinstance(narrow, realesrgan.RRDBNet)
        realesrgan.start_nearest(narrow)

    def both(wide: nn.Module, narrow: nn.Module) -> None:
        slicing.rrdb(wide, narrow)
        nearest(wide, narrow)

    whole = blocks == 23
    starts: dict[str, Start] = {"nearest": nearest}
    if whole:
        starts |= {"sliced": slicing.rrdb, "nearest over sliced": both}
    return Adapter(
        name="RealESRGAN",
        generator=lambda width: realesrgan.RRDBNet(width=width, blocks=blocks),
        discriminator=lambda width: realesrgan.UNetDiscriminator(width=width * d_width),
        deeper=lambda width: realesrgan.RRDBNet(width=width, blocks=2 * blocks),
        teacher=realesrgan.RRDBNet,
        weights=lambda: sr.load_released("cpu").state_dict(),
        arguments=lambda width: {"width": width, "blocks": blocks},
        size=size, factor=4, inputs=low, batch=4, lr=2e-4 if whole else 2e-3, d_lr=4e-4,
        betas=(0.9, 0.99),
        l1=0.5, perceptual=1.0, adversarial=0.1,
        layers=[*(f"body.{i}" for i in range(blocks)), "last"],
        starts=starts,
    )  # fmt: skip


def realesrgan_bicubic_adapter(blocks: int = 4) -> Adapter:
    """The same for photos that are reduced and nothing else, as a residual of their enlargement.

    Students of paper B that come along and have the width asked for are starts.
    """
    make = enlarging.Residual
    name = f"{make.__module__}.{make.__qualname__}"
    files = {f"sdakd/{short}": path for short, path in zoo.files("sdakd").items()}
    return dataclasses.replace(
        realesrgan_adapter(blocks),
        name=sr.PLAIN,
        generator=lambda width: make(width=width, blocks=blocks),
        deeper=lambda width: make(width=width, blocks=2 * blocks),
        factor=4, inputs=None, lr=5e-4, starts={},
        students={n: path for n, path in files.items() if export.card(path).architecture == name},
    )  # fmt: skip


FAMILIES: dict[str, Callable[[], Adapter]] = {
    "DCGAN": dcgan_adapter,
    "StyleGAN2": stylegan2_adapter,
    "GCFSR": gcfsr_adapter,
    "RealESRGAN": realesrgan_adapter,
    sr.PLAIN: realesrgan_bicubic_adapter,
}
