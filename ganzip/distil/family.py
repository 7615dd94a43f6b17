"""A family of networks, described so that the methods of all three papers can work on it.

An ``Adapter`` is all that is asked of a user: how a network of a width is made and what it is
given. The four families of the papers are adapters too, see ``papers.adapters``.
"""

import dataclasses
import hashlib
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ganzip import degrade, features, slicing
from ganzip.nets import dcgan
from ganzip.nets.width import scaled
from ganzip.taps import taps
from ganzip.train import frozen

State = Mapping[str, Tensor]
Start = Callable[[nn.Module, nn.Module], object]
"""Gives a narrow generator its first weights out of the wide one."""
ADAPTERS = 8  # adapters whose networks are looked into once


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
    starts: first weights of a student, by name; the best of a trial is taken. students: files of
    trained ones of its class (.safetensors), by name; those of the width asked for are tried too.
    arguments: those of the constructor of a width, which a saved file's card tells.
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
    students: Mapping[str, Path] = field(default_factory=dict)
    batch: int = 16
    lr: float = 1e-3
    d_lr: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.99)
    l1: float = 1.0  # weights of the supervision of generators from images
    perceptual: float = 1.0
    adversarial: float = 0.1
    gamma: float = 0.0  # R1
    arguments: Callable[[float], Mapping[str, Any]] = lambda width: {"width": width}

    @cached_property
    def styles(self) -> bool:
        """Whether the generator is StyleGAN2's, with ``mapping`` and ``synthesis``."""
        with torch.device("meta"):
            parts = dict(self.generator(1.0).named_children())
        return "mapping" in parts and hasattr(parts.get("synthesis"), "num_ws")

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
    modules = dict(wide.named_modules())
    if unknown := [layer for layer in a.layers if layer not in modules]:
        raise AdapterError(f"{name}: generator has no layers {unknown}; it has {list(modules)[1:]}")
    cond, wanted = a.example(2), (2, a.channels, a.size, a.size)
    for what, net, given in (("generator", wide, cond), ("discriminator", a.critic(), None)):
        try:
            with features.evaluating(net):
                answer = net(torch.zeros(wanted) if given is None else given)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            shape = wanted if given is None else tuple(given.shape)
            first = str(error).splitlines()[0]
            raise AdapterError(f"{name}: {what} cannot be given {shape}: {first}") from error
        if not isinstance(answer, Tensor):
            raise AdapterError(
                f"{name}: {what} gives a {type(answer).__name__}; expected one tensor: wrap it in "
                "a module that gives the images or logits alone"
            )
        if given is not None and tuple(answer.shape) != wanted:
            raise AdapterError(
                f"{name}: generator gives {tuple(answer.shape)} for {tuple(given.shape)}; expected "
                f"{wanted}: set size, channels, latent or factor"
            )
    _check_maps(a, wide, cond)
    if (state := teacher_state(a)) is not None:
        load_teacher(a, state)


def _check_maps(adapter: Adapter, G: nn.Module, cond: Tensor) -> None:
    """Raise AdapterError where what is to be compared are no maps."""
    from ganzip.distil import views  # which imports this module

    remedy = "expected maps (N, channels, height, width): name modules that give some in layers="
    if not (names := list(adapter.layers) or views.four_layers(adapter)):
        raise AdapterError(
            f"{adapter.name}: generator has no convolution but the one that draws; {remedy}"
        )
    with features.evaluating(G), taps(G, names) as maps:
        G(cond)
    for name in names:
        given: Any = maps.get(name)
        if not isinstance(given, Tensor) or given.ndim != 4:
            shape = getattr(given, "shape", None)
            found = type(given).__name__ if shape is None else tuple(shape)
            raise AdapterError(f"{adapter.name}: layer {name} gives {found}; {remedy}")


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


def load_teacher(adapter: Adapter, state: State) -> nn.Module:
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


def trained_starts(adapter: Adapter, student: nn.Module) -> dict[str, State]:
    """The weights of the adapter's trained students that fit this one, by name."""
    shapes = {key: x.shape for key, x in student.state_dict().items()}
    found = {name: load_file(path) for name, path in adapter.students.items()}
    return {n: s for n, s in found.items() if {k: x.shape for k, x in s.items()} == shapes}


def fingerprint(adapter: Adapter) -> str:
    """Twelve hex digits of what the networks are: modules, code, settings, all given weights.

    The code of a family of ganzip's is that of its networks' own classes. Of the user's it is that
    of all functions and modules of the adapter, and of what they call.
    """
    apart = ("weights", "d_weights", "starts", "students")
    settings = [f.name for f in dataclasses.fields(adapter) if f.name not in apart]
    values = {name: getattr(adapter, name) for name in settings}
    text, seen = [str({k: v for k, v in values.items() if not callable(v)})], set[object]()
    for net in (adapter.full(), adapter.generator(1.0), adapter.critic()):
        text.append(str(net))
        with suppress(OSError, TypeError):  # made by a program: its modules have to do
            text += [] if _users(type(net)) else [inspect.getsource(type(net))]
        for module in net.modules():
            text += _code(type(module), seen)
    for call in (*values.values(), *adapter.starts.values()):
        text += _code(call, seen)
    digest = hashlib.sha256("\n".join(text).encode())
    judge = {} if adapter.d_weights is None else adapter.d_weights()
    for state in (teacher_state(adapter) or {}, judge):
        for key, value in sorted(state.items()):
            digest.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    for path in adapter.students.values():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _users(thing: object) -> bool:
    """Whether a function or class is the user's, and not of an installed package."""
    name = getattr(thing, "__module__", None) or ""
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    known = ("ganzip", "torch", *sys.stdlib_module_names)
    return name == "__main__" or (name.partition(".")[0] not in known and "-packages" not in file)


def _code(thing: Any, seen: set[object]) -> Iterator[str]:
    """The text of a user's function, or of a class's functions, and of all that they name.

    Values that they name are told as they are printed, without addresses.
    """
    if isinstance(thing, partial):
        yield from _code(thing.func, seen)
        yield _printed([thing.args, thing.keywords])
    if (
        not isinstance(thing, type | FunctionType | MethodType)
        or thing in seen
        or not _users(thing)
    ):
        return
    seen.add(thing)
    if isinstance(thing, type):
        for part in (*thing.__bases__, *vars(thing).values()):
            yield from _code(getattr(part, "__func__", part), seen)
    else:
        try:
            yield inspect.getsource(thing)
        except OSError:  # no file and no cell has it
            yield thing.__code__.co_code.hex()
        named = inspect.getclosurevars(thing)
        for name, value in sorted({**named.globals, **named.nonlocals}.items()):
            yield from _code(value, seen)
            if not callable(value) and not inspect.ismodule(value):
                yield f"{name} = {_printed(value)}"


def _printed(value: object) -> str:
    return re.sub(r" at 0x\w+", "", repr(value))


def build(adapter: Adapter, width: float) -> nn.Module:
    """A new generator of a width; raises AdapterError where there is none."""
    if not 0 < width <= 1:
        raise AdapterError(f"{adapter.name}: width is {width}; expected above 0, at most 1")
    try:
        return adapter.generator(width)
    except ValueError as error:
        raise AdapterError(f"{adapter.name}: {error}") from error
