"""A generator of one's own, described so that the methods of all three papers can work on it.

An ``Adapter`` is all that is asked of a user: how a network of a width is made and what it is
given. The four families of the papers are adapters too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ganzip import degrade, features, prune, runs, slicing
from ganzip.nets import checkpoints, dcgan, gcfsr, realesrgan, stylegan2
from ganzip.nets.width import scaled
from ganzip.papers import super_resolution as sr
from ganzip.taps import taps
from ganzip.train import frozen

State = Mapping[str, Tensor]
Start = Callable[[nn.Module, nn.Module], object]
"""Gives a narrow generator its first weights out of the wide one."""
KNOWN = 8  # adapters whose networks are looked into once
MAPS = 4  # layers of a generator whose maps are compared, where the adapter names none


class AdapterError(ValueError):
    """A network of one's own that is not what its adapter says; the message is one line."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapter:
    """A generator from noise (``latent``) or from images (``factor`` or ``inputs``).

    generator, discriminator: from a width to a network; 1 is the teacher's. Images are in [-1, 1],
    (N, channels, size, size), logits of any shape. Without a discriminator it is DCGAN's.
    latent: length of z from N(0, I). factor: by how much images are enlarged; their inputs are
    reduced bicubically, unless ``inputs`` makes them of images and a random generator.
    weights: the teacher's state dict, its file (.pt, .pth, .safetensors), or a function that gives
    it; None trains the teacher first. d_weights: what its discriminator starts from, if there is
    any. span: pixels cut of a photo, if they are reduced to ``size``.
    teacher: makes the teacher where it is not ``generator(1.0)``, such as a deeper one.
    layers, d_layers: modules whose maps are compared, from the input on; else convolutions. The
    last of ``layers`` is SDAKD's feature map. deeper: OMGD's second teacher, from a width.
    starts: first weights of a student, by name; the best of a trial is taken. arguments: those of
    the constructor of a width, which a saved file's card tells.
    """

    name: str
    generator: Callable[[float], nn.Module]
    size: int
    channels: int = 3
    latent: int = 0
    factor: int = 0
    inputs: Callable[[Tensor, torch.Generator], Tensor] | None = None
    discriminator: Callable[[float], nn.Module] | None = None
    deeper: Callable[[float], nn.Module] | None = None
    teacher: Callable[[], nn.Module] | None = None
    weights: str | Path | State | Callable[[], State] | None = None
    d_weights: Callable[[], State] | None = None
    span: int = 0
    layers: Sequence[str] = ()
    d_layers: Sequence[str] = ()
    starts: Mapping[str, Start] = field(default_factory=lambda: {"leading": slicing.leading})
    batch: int = 16
    lr: float = 1e-3
    d_lr: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.99)
    l1: float = 1.0  # weights of the supervision of generators from images
    perceptual: float = 1.0
    adversarial: float = 0.1
    gamma: float = 0.0  # R1
    arguments: Callable[[float], Mapping[str, Any]] = lambda width: {"width": width}

    @property
    def styles(self) -> bool:
        """Whether the generator is StyleGAN2's, with ``mapping`` and ``synthesis``."""
        return _has_styles(self)

    def full(self) -> nn.Module:
        """The teacher's network, its weights as they come."""
        return self.generator(1.0) if self.teacher is None else self.teacher()

    def critic(self, width: float = 1.0) -> nn.Module:
        """A new discriminator."""
        if self.discriminator is not None:
            return self.discriminator(width)
        try:
            d = scaled(16, width, math.ceil)
            return dcgan.Discriminator(d, channels=self.channels, size=self.size)
        except ValueError as error:
            raise AdapterError(
                f"{self.name}: {error}; that is the built-in discriminator, give discriminator="
            ) from error

    def given(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """Inputs of a generator from images, for images (N, channels, size, size)."""
        if self.inputs is not None:
            return self.inputs(images, draws)
        height, width = images.shape[-2:]
        return degrade.bicubic(images, height // self.factor, width // self.factor)

    def example(self, n: int = 1) -> Tensor:
        """n inputs."""
        draws = torch.Generator().manual_seed(0)
        if self.latent:
            return torch.randn(n, self.latent, generator=draws)
        shape = (n, self.channels, self.size, self.size)
        return self.given(torch.rand(shape, generator=draws) * 2 - 1, draws)


# Networks of one's own, as they come --------------------------------------------------------------


@lru_cache(maxsize=KNOWN)
def load(named: str, weights: str = "", preset: str = "cpu") -> Adapter:
    """A family's adapter by its name, or "my_gan.py:adapter": a file and the name in it.

    ``weights``, a path, takes the place of the adapter's. StyleGAN2's may be any file that
    ``nets.checkpoints`` reads: all sizes are the file's. At preset smoke students of Real-ESRGAN
    have 4 of its 23 blocks. Raises AdapterError.
    """
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


def _from_file(named: str) -> Adapter:
    file, _, name = named.rpartition(":")
    places = [Path(file).expanduser(), runs.repository() / "notebooks" / file]
    path = next((place for place in places if file and place.is_file()), None)
    if path is None:
        raise AdapterError(
            f"adapter {named!r}: expected one of {', '.join(FAMILIES)}, or file.py:name of a file "
            "that exists"
        )
    spec = importlib.util.spec_from_file_location(f"ganzip_user_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file may raise anything
        raise AdapterError(f"{file}: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if not isinstance(found, Adapter):
        there = [k for k, v in vars(module).items() if isinstance(v, Adapter)]
        raise AdapterError(
            f"{file} has no adapter {name!r}; expected a ganzip.papers.adapters.Adapter, "
            f"it has {', '.join(there) or 'none'}"
        )
    return found


def check(adapter: Adapter) -> None:
    """Raise AdapterError, in one line, for a network that is not what its adapter says."""
    a, name = adapter, adapter.name
    if not a.latent and not a.inputs and a.factor < 2:
        raise AdapterError(
            f"{name}: neither latent, factor (2 or more) nor inputs; expected what the generator "
            "is given: noise or images"
        )
    if a.factor and a.size % a.factor:
        raise AdapterError(f"{name}: size is {a.size}; expected a multiple of factor, {a.factor}")
    try:
        wide, half = a.generator(1.0), a.generator(0.5)
    except TypeError as error:
        raise AdapterError(
            f"{name}: generator takes no width ({error}); expected a function of one number, as in "
            "lambda width: MyNet(channels=round(64 * width))"
        ) from error
    counts = [sum(p.numel() for p in G.parameters()) for G in (wide, half)]
    if counts[0] <= counts[1]:
        raise AdapterError(
            f"{name}: generator has {counts[0]:,} parameters at width 1 and {counts[1]:,} at 1/2; "
            "expected fewer: let its channels depend on the width"
        )
    cond, wanted = a.example(2), (2, a.channels, a.size, a.size)
    for what, net, given in (("generator", wide, cond), ("discriminator", a.critic(), None)):
        try:
            with features.evaluating(net):
                answer = net(torch.zeros(wanted) if given is None else given)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            shape = wanted if given is None else tuple(given.shape)
            first = str(error).splitlines()[0]
            raise AdapterError(f"{name}: {what} cannot be given {shape}: {first}") from error
        if given is not None and tuple(answer.shape) != wanted:
            raise AdapterError(
                f"{name}: generator gives {tuple(answer.shape)} for {tuple(given.shape)}; expected "
                f"{wanted}: set size, channels, latent or factor"
            )
    modules = dict(wide.named_modules())
    if unknown := [layer for layer in a.layers if layer not in modules]:
        raise AdapterError(f"{name}: generator has no layers {unknown}; it has {list(modules)[1:]}")
    if (state := teacher_state(a)) is not None:
        filled(a, state)


def teacher_state(adapter: Adapter) -> State | None:
    """The teacher's tensors; None where it is to be trained. Raises AdapterError."""
    given = adapter.weights
    if given is None:
        return None
    if callable(given):
        return given()
    if isinstance(given, Mapping):
        return given
    path = Path(given).expanduser()
    expected = "expected a state dict in a .pt, .pth or .safetensors file; name another"
    if not path.is_file():
        raise AdapterError(f"{adapter.name}: weights {given} is no file; {expected}")
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on foreign bytes torch raises whatever it stumbles over
        raise AdapterError(
            f"{adapter.name}: weights {path.name} is no state dict, or truncated; {expected}"
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(x, Tensor) for x in found.values()):
        inside = list(found)[:3] if isinstance(found, Mapping) else type(found).__name__
        raise AdapterError(f"{adapter.name}: weights {path.name} holds {inside}; {expected}")
    return found


def filled(adapter: Adapter, state: State) -> nn.Module:
    """The teacher with its weights, frozen. Raises AdapterError where they do not fit, or where a
    number among them is NaN or infinite.
    """
    G = adapter.full()
    try:
        G.load_state_dict(dict(state))
    except (RuntimeError, AttributeError) as error:
        first = " ".join(str(error).split("\n", 2)[1:2]).strip() or str(error)
        raise AdapterError(
            f"{adapter.name}: weights do not fit the teacher: {first}; expected its state dict"
        ) from error
    if bad := [key for key, x in G.state_dict().items() if not x.isfinite().all()]:
        raise AdapterError(
            f"{adapter.name}: weights are NaN or infinite in {bad[0]} ({len(bad)} such tensors); "
            "expected finite numbers: take an earlier checkpoint of the teacher"
        )
    return frozen(G)


def fingerprint(adapter: Adapter) -> str:
    """Twelve hex digits of what the networks are: modules, code, settings, teacher's weights."""
    apart = ("weights", "d_weights", "starts")
    settings = [f.name for f in dataclasses.fields(adapter) if f.name not in apart]
    values = {name: getattr(adapter, name) for name in settings}
    text = [str({k: v for k, v in values.items() if not callable(v)})]
    for net in (adapter.full(), adapter.generator(1.0), adapter.critic()):
        text.append(str(net))
        try:
            text.append(inspect.getsource(type(net)))
        except (OSError, TypeError):  # typed into a console: its modules have to do
            pass
    digest = hashlib.sha256("\n".join(text).encode())
    judge = {} if adapter.d_weights is None else adapter.d_weights()
    for state in (teacher_state(adapter) or {}, judge):
        for key, value in sorted(state.items()):
            digest.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


# Widths that fit a target -------------------------------------------------------------------------

GRID = 64  # widths are tried in such parts of 1


def fitting(
    adapter: Adapter, target: Mapping[str, float], cost: Callable[[nn.Module], float]
) -> float:
    """The largest width, in 64ths, whose cost fits; ``target`` is the width itself or a limit.

    {"width": 0.25}; {"parameters": 0.1} is a share of the teacher's, {"parameters": 500000} a
    number; "multiply-adds" and "latency" (seconds) alike. ``cost`` counts a generator. Raises
    AdapterError, which names the smallest reachable, where nothing fits.
    """
    ((kind, limit),) = target.items()
    if kind == "width":
        build(adapter, float(limit))
        return float(limit)
    full = cost(adapter.full())
    most = limit * full if limit < 1 else limit

    def of(n: int) -> float:
        try:
            return cost(adapter.generator(n / GRID))
        except ValueError:  # a width that leaves no channel
            return -1.0

    least = next(n for n in range(1, GRID + 1) if of(n) >= 0)
    if (smallest := of(least)) > most:
        raise AdapterError(
            f"{adapter.name}: no width has {kind} of {most:,.6g} or less; the smallest reachable "
            f"is {smallest:,.6g} ({smallest / full:.4f} of the teacher's {full:,.6g}) at width "
            f"{least}/{GRID}"
        )
    low, high = least, GRID
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if of(middle) <= most else (low, middle - 1)
    return low / GRID


def build(adapter: Adapter, width: float) -> nn.Module:
    """A new generator of a width; raises AdapterError where there is none."""
    if not 0 < width <= 1:
        raise AdapterError(f"{adapter.name}: width is {width}; expected above 0, at most 1")
    try:
        return adapter.generator(width)
    except ValueError as error:
        raise AdapterError(f"{adapter.name}: {error}") from error


@lru_cache(maxsize=KNOWN)
def _has_styles(adapter: Adapter) -> bool:
    with torch.device("meta"):
        parts = dict(adapter.generator(1.0).named_children())
    return "mapping" in parts and hasattr(parts.get("synthesis"), "num_ws")


# Seen as methods want it --------------------------------------------------------------------------


class Whole(nn.Module):
    """Any generator as a synthesis of a single style, which is its whole input, flattened."""

    num_ws = 1

    def __init__(self, net: nn.Module, shape: torch.Size):
        super().__init__()
        self.net, self.shape = net, shape

    def forward(self, ws: Tensor) -> Tensor:
        """Draw inputs (N, 1, K)."""
        return self.net(ws[:, 0].unflatten(1, self.shape))


class Flat(nn.Flatten):
    """The mapping that maps nothing."""

    def styles(self, z: Tensor) -> Tensor:
        """The input as it is."""
        return self(z)


class Plain(nn.Module):
    """A generator without styles, drawn as those with styles are: ``methods.gan.draw``."""

    def __init__(self, net: nn.Module, shape: torch.Size):
        super().__init__()
        self.mapping, self.synthesis = Flat(), Whole(net, shape)

    def forward(self, cond: Tensor) -> Tensor:
        """What the generator gives."""
        return self.synthesis.net(cond)


class Remembered(nn.Module):
    """The teacher, its answer to the inputs at hand known: it runs for none of them."""

    def __init__(self):
        super().__init__()
        self.mapping, self.synthesis = Flat(), Answer()


class Answer(nn.Module):
    """Gives ``images``, whatever it is asked."""

    num_ws = 1
    images: Tensor

    def forward(self, ws: Tensor) -> Tensor:
        """The images."""
        return self.images


class Talking(nn.Module):
    """A discriminator whose map ``layer`` is also shown, as ``map``, in the shape of another map.

    NICKEL compares it with the teacher generator's; a 1x1 convolution, which learns with D, brings
    it there. Logits are D's.
    """

    def __init__(self, D: nn.Module, layer: str, images: Tensor, like: torch.Size):
        super().__init__()
        self.D, self.layer, self.side = D, layer, tuple(like[-2:])
        with features.evaluating(D), taps(D, [layer]) as seen:
            D(images)
        self.map = nn.Conv2d(seen[layer].shape[1], like[1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """D's logits."""
        with taps(self.D, [self.layer]) as seen:
            logits = self.D(images)
        self.map(nn.functional.interpolate(seen[self.layer], self.side))
        return logits


class Blocks(nn.Module):
    """A discriminator some of whose modules also go by ``b0``, ``b1``, ...: GCC's gates' names."""

    def __init__(self, D: nn.Module, names: Sequence[str]):
        super().__init__()
        for i, name in enumerate(names):
            self.add_module(f"b{i}", D.get_submodule(name))
        self.D = D

    def forward(self, images: Tensor) -> Tensor:
        """D's logits."""
        return self.D(images)


def view(adapter: Adapter, G: nn.Module) -> nn.Module:
    """The generator with ``mapping`` and ``synthesis``, the same module where it has them."""
    return G if adapter.styles else Plain(G, adapter.example().shape[1:])


def inside(adapter: Adapter, names: Sequence[str]) -> list[str]:
    """Names of the generator's modules in its ``view``."""
    return list(names) if adapter.styles else [f"synthesis.net.{name}" for name in names]


def shapes(net: nn.Module, given: Tensor, names: Sequence[str]) -> list[torch.Size]:
    """Shapes of the maps that modules give."""
    with features.evaluating(net), taps(net, names) as seen:
        net(given)
    return [seen[name].shape for name in names]


def convolutions(net: nn.Module) -> list[str]:
    """Names of the convolutions but the last, which draws the image or the logits."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return [name for name, module in net.named_modules() if isinstance(module, kinds)][:-1]


@lru_cache(maxsize=KNOWN)
def four_layers(adapter: Adapter) -> list[str]:
    """The generator's layers that are compared: the adapter's, else convolutions, evenly spaced."""
    found = list(adapter.layers)
    if not found:
        with torch.device("meta"):
            found = convolutions(adapter.generator(1.0))
    count = min(MAPS, len(found))
    return [found[math.ceil(len(found) * i / count) - 1] for i in range(1, count + 1)]


@lru_cache(maxsize=KNOWN)
def judge_layers(adapter: Adapter) -> list[str]:
    """The discriminator's layers, down to its smallest map."""
    if adapter.d_layers:
        return list(adapter.d_layers)
    D = adapter.critic()
    names = convolutions(D)
    images = torch.zeros(2, adapter.channels, adapter.size, adapter.size)
    sides = [shape[-1] for shape in shapes(D, images, names)]
    down = [a for a, (one, other) in enumerate(pairwise(sides), 1) if other < one]
    return names[: (down[-1] + 1) if down else len(names)]


@lru_cache(maxsize=KNOWN)
def pair(adapter: Adapter) -> tuple[str, str, torch.Size]:
    """NICKEL's two maps: of the teacher's G, of a quarter of the image's size, and of D.

    Where none has that size, the nearest; the shape is the generator's map's.
    """
    G, D = adapter.generator(1.0), adapter.critic()
    names, theirs = list(adapter.layers) or convolutions(G), judge_layers(adapter)
    images = torch.zeros(2, adapter.channels, adapter.size, adapter.size)
    drawn = dict(zip(names, shapes(G, adapter.example(2), names), strict=True))
    seen = dict(zip(theirs, shapes(D, images, theirs), strict=True))

    def apart(shape: torch.Size, side: float) -> float:
        return abs(math.log(shape[-1] / side))

    mine = min(names[::-1], key=lambda n: apart(drawn[n], adapter.size / 4))
    its = min(theirs, key=lambda n: apart(seen[n], drawn[mine][-1]))
    return mine, its, drawn[mine]


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
        return sr.conditioned(images, degrade.draw_factors(len(images), draws, factors), c)

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
        weights=lambda: sr.released("cpu").state_dict(),
        arguments=lambda width: {"width": width, "blocks": blocks},
        size=size, factor=4, inputs=low, batch=4, lr=2e-4 if whole else 2e-3, d_lr=4e-4,
        betas=(0.9, 0.99),
        l1=0.5, perceptual=1.0, adversarial=0.1,
        layers=[*(f"body.{i}" for i in range(blocks)), "last"],
        starts=starts,
    )  # fmt: skip


FAMILIES: dict[str, Callable[[], Adapter]] = {
    "DCGAN": dcgan_adapter,
    "StyleGAN2": stylegan2_adapter,
    "GCFSR": gcfsr_adapter,
    "RealESRGAN": realesrgan_adapter,
}
