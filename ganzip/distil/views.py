"""Networks as methods want to see them: drawn by styles, with names for what is compared."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganzip import features
from ganzip.distil.family import ADAPTERS, Adapter
from ganzip.taps import taps

MAPS = 4  # layers of a generator whose maps are compared, where the adapter names none


class Synthesis(nn.Module):
    """Any generator as a synthesis of a single style, which is its whole input, flattened."""

    num_ws = 1

    def __init__(self, net: nn.Module, shape: torch.Size):
        super().__init__()
        self.net, self.shape = net, shape

    def forward(self, ws: Tensor) -> Tensor:
        """Draw inputs (N, 1, K)."""
        return self.net(ws[:, 0].unflatten(1, self.shape))


class Identity(nn.Flatten):
    """The mapping that maps nothing."""

    def styles(self, z: Tensor) -> Tensor:
        """The input as it is."""
        return self(z)


class StyleView(nn.Module):
    """A generator without styles, drawn as those with styles are: ``methods.gan.draw``."""

    def __init__(self, net: nn.Module, shape: torch.Size):
        super().__init__()
        self.mapping, self.synthesis = Identity(), Synthesis(net, shape)

    def forward(self, cond: Tensor) -> Tensor:
        """What the generator gives."""
        return self.synthesis.net(cond)


class StoredTeacher(nn.Module):
    """In the place of a teacher whose images of the batch at hand are stored: it never runs."""

    def __init__(self):
        super().__init__()
        self.mapping, self.synthesis = Identity(), StoredImages()


class StoredImages(nn.Module):
    """Gives ``images``, whatever it is asked."""

    num_ws = 1
    images: Tensor

    def forward(self, ws: Tensor) -> Tensor:
        """The images."""
        return self.images


class WithMap(nn.Module):
    """A discriminator whose map ``layer`` is also shown, as ``map``, in the shape of another map.

    NICKEL compares it with the teacher generator's; a 1x1 convolution, which learns with D, brings
    it there. Logits are D's.
    """

    def __init__(self, D: nn.Module, layer: str, images: Tensor, like: torch.Size):
        super().__init__()
        self.D, self.layer, self.side = D, layer, tuple(like[-2:])
        with features.evaluating(D), taps(D, [layer]) as activations:
            D(images)
        self.map = nn.Conv2d(activations[layer].shape[1], like[1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """D's logits."""
        with taps(self.D, [self.layer]) as activations:
            logits = self.D(images)
        self.map(nn.functional.interpolate(activations[self.layer], self.side))
        return logits


class Blocks(nn.Module):
    """A discriminator some of whose modules also go by ``b0``, ``b1``, ...: GCC's gates' names."""

    def __init__(self, D: nn.Module, names: Sequence[str]):
        super().__init__()
        self.blocks = {name: f"b{i}" for i, name in enumerate(names)}
        for name, block in self.blocks.items():
            self.add_module(block, D.get_submodule(name))
        self.D = D

    def forward(self, images: Tensor) -> Tensor:
        """D's logits."""
        return self.D(images)


def view(adapter: Adapter, G: nn.Module) -> nn.Module:
    """The generator with ``mapping`` and ``synthesis``, the same module where it has them."""
    return G if adapter.styles else StyleView(G, adapter.example().shape[1:])


def names_in_view(adapter: Adapter, names: Sequence[str]) -> list[str]:
    """Names of the generator's modules in its ``view``."""
    return list(names) if adapter.styles else [f"synthesis.net.{name}" for name in names]


def shapes(net: nn.Module, given: Tensor, names: Sequence[str]) -> list[torch.Size]:
    """Shapes of the maps that modules give."""
    with features.without_draws(), features.evaluating(net), taps(net, names) as activations:
        net(given)
    return [activations[name].shape for name in names]


def convolutions(net: nn.Module) -> list[str]:
    """Names of the convolutions but the last, which draws the image or the logits."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return [name for name, module in net.named_modules() if isinstance(module, kinds)][:-1]


@lru_cache(maxsize=ADAPTERS)
def four_layers(adapter: Adapter) -> list[str]:
    """The generator's layers that are compared: the adapter's, else convolutions, evenly spaced."""
    found = list(adapter.layers)
    if not found:
        with torch.device("meta"):
            found = convolutions(adapter.generator(1.0))
    count = min(MAPS, len(found))
    return [found[math.ceil(len(found) * i / count) - 1] for i in range(1, count + 1)]


@lru_cache(maxsize=ADAPTERS)
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


@lru_cache(maxsize=ADAPTERS)
def pair(adapter: Adapter) -> tuple[str, str, torch.Size]:
    """NICKEL's two maps: of the teacher's G, of a quarter of the image's size, and of D.

    Where none has that size, the nearest; the shape is the generator's map's.
    """
    G, D = adapter.generator(1.0), adapter.critic()
    names, theirs = list(adapter.layers) or convolutions(G), judge_layers(adapter)
    images = torch.zeros(2, adapter.channels, adapter.size, adapter.size)
    my_shapes = dict(zip(names, shapes(G, adapter.example(2), names), strict=True))
    its_shapes = dict(zip(theirs, shapes(D, images, theirs), strict=True))

    def apart(shape: torch.Size, side: float) -> float:
        return abs(math.log(shape[-1] / side))

    mine = min(names[::-1], key=lambda n: apart(my_shapes[n], adapter.size / 4))
    its = min(theirs, key=lambda n: apart(its_shapes[n], my_shapes[mine][-1]))
    return mine, its, my_shapes[mine]


class InColour(nn.Module):
    """A network of colour images, given grey ones three times."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, *images: Tensor) -> Tensor:
        """The network's answer."""
        return self.net(*(x.expand(-1, 3, -1, -1) for x in images))
