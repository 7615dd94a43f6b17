"""Image sets as uint8 tensors: the embedded digits, the field's usual files, any folder or zip.

:func:`load` decodes a set whole, into memory or into a memory-mapped cache. Nothing is dropped
silently: an image that cannot be read stops the loading with its name.
"""

import gzip
import hashlib
import io
import json
import operator
import os
import pickle
import random
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
DEFAULT_SIZE = {"digits": 16, "celeba": 178}
IDX_FOLDERS = {"mnist": ("MNIST", "mnist"), "fashion": ("FashionMNIST", "fashionmnist", "fashion")}
PHOTOS = ("astronaut", "chelsea", "coffee", "stereo_motorcycle", "rocket")  # of scikit-image
SHARES = {"train": 0.5, "validation": 0.25, "test": 0.25}  # of a photo that is cut into parts
KNOWN = 8  # images that stay known of a set that is not here
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
TORCHVISION = dict(mnist="MNIST", fashion="FashionMNIST", cifar10="CIFAR10", celeba="CelebA")


class DataError(ValueError):
    """A data set that is absent, damaged or not what was asked for; the message is one line."""


class DataAbsent(DataError):
    """There is nothing at any place where the data set is looked for."""


@dataclass(frozen=True, eq=False)
class Images:
    """A decoded image set: pixels (N, C, H, W) uint8 0..255, labels (N,) int64 or None."""

    name: str
    pixels: Tensor
    labels: Tensor | None
    fingerprint: str  # first 12 hex digits of the sha256 of shape, pixels and labels
    facts: Mapping[str, Any] | None = None  # of a set that is not here but for a few images

    def __len__(self) -> int:
        return self.facts["count"] if self.facts else len(self.pixels)

    @property
    def classes(self) -> int:
        """Number of classes: the largest label + 1, or 0 without labels."""
        if self.facts:
            return self.facts["classes"]
        return 0 if self.labels is None else int(self.labels.max()) + 1


@dataclass(frozen=True)
class _Source:
    """An opened set, not yet decoded: `images` come one by one, in the order of `keys`."""

    name: str
    path: Path
    files: list[Path]  # all that the pixels and labels depend on
    keys: Sequence[str]
    labels: np.ndarray | None
    images: Iterator[Image.Image]


def root() -> Path | None:
    """Folder of the user's data sets: environment variable GANZIP_DATA, or None."""
    folder = os.environ.get("GANZIP_DATA")
    return Path(folder).expanduser() if folder else None


def load(
    name: str | Path = "digits",
    *,
    size: int | None = None,
    channels: int | None = None,
    split: str = "train",
    root: str | Path | None = None,
    cache: str | Path | None = None,
    download: bool = False,
) -> Images:
    """Load digits, mnist, fashion, cifar10, celeba, or the folder or zip of images at a path.

    Images are cropped to the centre square and resized (bicubic, antialiased) to `size` pixels;
    None keeps them as they are (digits: 16, celeba: 178). `channels` is 1 (luminance), 3 (RGB) or
    None (as stored); transparency is composited on white, EXIF rotation is not applied. A folder or
    zip is split 90/10 by a fixed permutation, but X-train.zip and X-test.zip side by side are the
    two parts. `root` defaults to GANZIP_DATA; relative paths also start at the working directory.
    `cache` names a folder where decoded pixels are kept and memory-mapped from; an entry belongs to
    one state of its source (paths, bytes, modification times), and old ones are yours to delete.
    `download` lets torchvision fetch a missing named set into `root`. Raises DataError.
    """
    if split not in ("train", "test"):
        raise DataError(f"split={split!r}: expected 'train' or 'test'")
    if size is not None and size < 1:
        raise DataError(f"size={size}: expected a positive number of pixels, or None")
    if channels not in (None, 1, 3):
        raise DataError(f"channels={channels}: expected 1 (grey), 3 (RGB), or None (as stored)")
    name = str(name)
    size = size or DEFAULT_SIZE.get(name)
    source = _open(name, split, _base(root), download)
    if cache is None or not source.files:
        pixels = _decode(source, size, channels)
        fingerprint = _fingerprint(pixels, source.labels)
    else:
        pixels, fingerprint = _cached(source, size, channels, split, Path(cache).expanduser())
    labels = None if source.labels is None else torch.from_numpy(source.labels)
    return Images(source.name, torch.from_numpy(pixels), labels, fingerprint)


def known(
    name: str | Path, *, size: int | None = None, channels: int | None = None, cache: Path
) -> Images:
    """A set as :func:`load` gives it; where it is not here, what an earlier run kept of it.

    That is its description and its first images, in ``cache``: enough to plan a run whose units
    are done, and to show them. Raises DataAbsent where there is neither.
    """
    note = cache / "known" / f"{Path(name).stem}-{size}-{channels}.pt"
    try:
        images = load(name, size=size, channels=channels, cache=cache)
    except DataAbsent:
        if not note.exists():
            raise
        images = Images(**torch.load(note, weights_only=True))
        print(f"{name} is not here; shown is what an earlier run kept of it")
        return images
    if not note.exists() or torch.load(note, weights_only=True)["facts"] != describe(images):
        few = {"name": images.name, "labels": None, "fingerprint": images.fingerprint}
        few |= {"pixels": images.pixels[:KNOWN].clone(), "facts": describe(images)}
        note.parent.mkdir(parents=True, exist_ok=True)
        torch.save(few, note)
    return images


def photos(name: str | Path = "photos", *, root: str | Path | None = None) -> Mapping[str, Tensor]:
    """Colour photos of any size, by name: uint8 (3, H, W).

    "photos" are the seven inside scikit-learn and scikit-image, which need no download; else all
    images of a folder or zip, looked for as in :func:`load` and decoded when asked for, so that a
    set may be larger than memory. Grey is repeated, transparency is composited on white, 16 bits
    become 8, EXIF rotation is not applied. Raises DataError: at once for a set that is absent or
    empty, with the image's name for one that cannot be decoded.
    """
    if str(name) == "photos":
        return _embedded_photos()
    places = _places(str(name), "train", _base(root))
    path = next((place for place in places if place.exists()), None)
    if path is None:
        looked = ", ".join(str(place.parent) for place in places)
        remedy = "set GANZIP_DATA or root= to the folder that holds it"
        raise DataAbsent(f"{name}: not found, looked for a folder or zip in {looked}; {remedy}")
    return _Photos(path, _open_tree(path, _all).keys)


class _Photos(Mapping[str, Tensor]):
    """The images of a folder or zip, each decoded when it is asked for."""

    def __init__(self, path: Path, names: Sequence[str]):
        self._path, self._names = path, dict.fromkeys(names)
        self._archive = None if path.is_dir() else zipfile.ZipFile(path)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        try:
            file = self._path / name
            content = self._archive.read(name) if self._archive else file.read_bytes()
            array = _prepare(Image.open(io.BytesIO(content)), None, 3)
        except Exception as error:  # Pillow and zipfile raise a dozen kinds for damaged files
            raise _undecodable(self._path, name, error) from error
        return torch.from_numpy(array.copy())


def split_photos(
    photos: Mapping[str, Tensor],
    shares: Mapping[str, float] | None = None,
    *,
    gap: int = 8,
) -> list[dict[str, str | int]]:
    """Cut every photo along its longer side into disjoint parts: the manifest, a dict a part.

    shares: of the length, by part, in order; None is train 1/2, validation 1/4, test 1/4. ``gap``
    pixels between two parts belong to none. Keys: photo, sha256 of its pixels (first 12 digits),
    part, top, left, height, width. Training and test pixels are of the same photos, which has to be
    said beside the results. Raises DataError where a part would be empty.
    """
    shares = shares or SHARES
    manifest = []
    for name, photo in photos.items():
        height, width = photo.shape[1:]
        length = max(height, width) - gap * (len(shares) - 1)
        ends = (np.cumsum(list(shares.values())) / sum(shares.values()) * length).round()
        starts = [0, *ends[:-1]]
        for i, (part, start, end) in enumerate(zip(shares, starts, ends, strict=True)):
            at, size = int(start) + gap * i, int(end - start)
            if size < 1:
                found = f"{name}: {height}x{width} pixels leave none for part {part!r}"
                raise DataError(f"{found}, expected one or more; leave it out or change shares")
            box = (at, 0, size, width) if height > width else (0, at, height, size)
            manifest.append(
                {"photo": name, "sha256": _fingerprint(photo.numpy(), None), "part": part}
                | dict(zip(("top", "left", "height", "width"), box, strict=True))
            )
    return manifest


def deal_photos(
    photos: Mapping[str, Tensor], held: int = 100, seed: int = 0
) -> list[dict[str, str | int]]:
    """Give whole photos to disjoint parts at random: a manifest as ``split_photos`` makes it.

    Validation and test get ``held`` photos each, or a fifth of the set where that is less. The
    parts depend on the sorted names and the seed alone.
    """
    held = min(held, len(photos) // 5)
    if not held:
        found = f"{len(photos)} photos, expected five or more to deal to three parts"
        raise DataError(f"{found}; take split_photos, which cuts each")
    order = random.Random(seed).sample(sorted(photos), len(photos))
    part = dict.fromkeys(order, "train")
    part |= dict.fromkeys(order[:held], "validation") | dict.fromkeys(
        order[held : 2 * held], "test"
    )
    return [
        {"photo": name, "sha256": _fingerprint(photo.numpy(), None), "part": part[name]}
        | {"top": 0, "left": 0, "height": photo.shape[1], "width": photo.shape[2]}
        for name, photo in photos.items()
    ]


def cut_photos(
    photos: Mapping[str, Tensor], manifest: Iterable[Mapping[str, Any]], part: str
) -> list[Tensor]:
    """The pieces of photos that a manifest gives to a part: uint8 (3, H, W) each, in its order."""
    pieces = []
    for entry in manifest:
        if entry["part"] == part:
            top, left = entry["top"], entry["left"]
            photo = photos[entry["photo"]]
            pieces.append(photo[:, top : top + entry["height"], left : left + entry["width"]])
    if not pieces:
        raise DataError(f"part={part!r}: not in the manifest; name one of its parts")
    return pieces


def describe(images: Images) -> dict[str, str | int]:
    """Facts for a table or a manifest; size is in pixels, "HxW" where it is not square."""
    if images.facts:
        return dict(images.facts)
    count, channels, height, width = images.pixels.shape
    return {
        "name": images.name,
        "count": count,
        "size": height if height == width else f"{height}x{width}",
        "channels": channels,
        "classes": images.classes,
        "fingerprint": images.fingerprint,
    }


def to_float(pixels: Tensor) -> Tensor:
    """uint8 0..255 to float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Float images in [-1, 1] to uint8 0..255, rounded and clamped."""
    return ((images.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def batch_indices(n: int, batch: int, seed: int) -> Callable[[int], Tensor]:
    """Return the function from a step number, counted from 0, to `batch` indices below `n` (int64).

    The indices walk through one seeded permutation of 0..n-1 an epoch. A batch may straddle epochs,
    so each of them holds every image exactly once; any step may be asked for first.
    """
    if n < 1 or batch < 1:
        raise DataError(f"n={n}, batch={batch}: expected at least one image and a positive batch")

    @lru_cache(maxsize=2)
    def epoch(number: int) -> np.ndarray:
        return np.random.default_rng((seed, number)).permutation(n)

    def indices(step: int) -> Tensor:
        first, stop = step * batch, (step + 1) * batch
        walk = np.concatenate([epoch(e) for e in range(first // n, (stop - 1) // n + 1)])
        return torch.from_numpy(walk[first % n :][:batch])

    return indices


def real_batches(images: Images, batch: int, seed: int) -> Callable[[int], Tensor]:
    """Return the function from a step number to float images (batch, C, H, W) in [-1, 1].

    `batch_indices(len(images), batch, seed)` gives the indices, thus the labels, of the same steps.
    """
    indices = batch_indices(len(images), batch, seed)
    return lambda step: to_float(images.pixels[indices(step)])


# Finding a set ------------------------------------------------------------------------------------


def _base(folder: str | Path | None) -> Path | None:
    return root() if folder is None else Path(folder).expanduser()


def _open(name: str, split: str, base: Path | None, download: bool) -> _Source:
    if name == "digits":
        return _open_digits(split)
    places = _places(name, split, base)
    found = next((place for place in places if place.exists()), None)
    if found is None and download:
        _download(name, base)
        found = next((place for place in places if place.exists()), None)
    if found is None:
        wanted = " or ".join(dict.fromkeys(place.name for place in places)) or name
        looked = ", ".join(dict.fromkeys(str(place.parent) for place in places)) or "no folder"
        or_get = " or pass download=True" if name in TORCHVISION else ""
        remedy = f"set GANZIP_DATA or root= to the folder that holds it{or_get}"
        raise DataAbsent(f"{name}: not found, looked for {wanted} in {looked}; {remedy}")
    if name in IDX_FOLDERS:
        return _open_idx(name, found)
    if name == "cifar10":
        return _open_cifar(found, split) if found.is_dir() else _open_tree(found, _all)
    table = found.parent / "list_eval_partition.txt"
    if name == "celeba" and table.exists():
        return _open_tree(found, partial(_celeba_part, table, split), table)
    stem, _, part = found.stem.rpartition("-")
    pair = {p: found.with_name(f"{stem}-{p}.zip") for p in ("train", "test")}
    if found != pair.get(part) or not all(p.is_file() for p in pair.values()):
        return _open_tree(found, lambda keys: _part(len(keys), len(keys) // 10 or 1, split))
    if part == "test" and split == "train":
        remedy = f"load {pair['train'].name}, or pass split='test'"
        raise DataError(f"{found}: holds test images, expected training images; {remedy}")
    return _open_tree(pair[split], _all)


def _places(name: str, split: str, base: Path | None) -> list[Path]:
    bases = [] if base is None else [base]
    if name == "cifar10":
        return [b / n for b in bases for n in ("cifar-10-batches-py", f"cifar10-{split}.zip")]
    if name == "celeba":
        return [b / "celeba" / "img_align_celeba" for b in bases]
    if name not in IDX_FOLDERS:
        return [folder / Path(name).expanduser() for folder in (*bases, Path.cwd())]
    folders = [b / f / raw for b in bases for f in IDX_FOLDERS[name] for raw in ("raw", "")]
    # Both sets use the same file names: in a flat folder only the folder's own name tells which.
    folders += [b for b in bases if ("fashion" in b.name.lower()) == (name == "fashion")]
    folders += [DEBIAN_FASHION] if name == "fashion" else []
    file = f"{'train' if split == 'train' else 't10k'}-images-idx3-ubyte"
    return [folder / f"{file}{suffix}" for folder in folders for suffix in ("", ".gz")]


def _download(name: str, base: Path | None) -> None:
    if name not in TORCHVISION:
        known = ", ".join(TORCHVISION)
        raise DataError(f"{name}: cannot be downloaded, expected {known}; give an existing path")
    if base is None:
        raise DataError(f"{name}: download=True needs a folder; pass root= or set GANZIP_DATA")
    from ganzip import _compat

    _compat.ensure_torchvision()
    from torchvision import datasets

    try:
        getattr(datasets, TORCHVISION[name])(root=str(base), download=True)
    except (OSError, RuntimeError) as error:
        found = f"torchvision could not download it into {base} ({_why(error)})"
        raise DataError(f"{name}: {found}; put the files there by hand") from error


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


# Which images of a set belong to the split asked for ----------------------------------------------

Choice = Callable[[Sequence[str]], Sequence[int]]


def _all(keys: Sequence[str]) -> Sequence[int]:
    return range(len(keys))


def _part(n: int, held: int, split: str) -> list[int]:
    order = np.random.default_rng(0).permutation(n)
    return sorted((order[held:] if split == "train" else order[:held]).tolist())


def _celeba_part(table: Path, split: str, keys: Sequence[str]) -> list[int]:
    try:
        part = dict(line.split() for line in table.read_text().splitlines() if line.strip())
    except ValueError as error:
        raise DataError(
            f"{table}: {_why(error)}, expected lines 'file part'; replace it"
        ) from error
    if odd := set(part).symmetric_difference(keys):
        found = f"{min(odd)} is {'listed but absent' if min(odd) in part else 'not listed'}"
        remedy = "complete the set, or load a subset by its folder's path"
        raise DataError(f"{table}: {found}, expected the files of the folder; {remedy}")
    wanted = {"train": "0", "test": "2"}[split]
    return [i for i, key in enumerate(keys) if part[key] == wanted]


# Opening a set: everything but the pixels is checked here -----------------------------------------


def _open_digits(split: str) -> _Source:
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    chosen = _part(len(digits.target), 297, split)
    arrays = (digits.images[chosen] * (255 / 16)).round().astype(np.uint8)
    labels = digits.target[chosen].astype(np.int64)
    keys = [f"number {i}" for i in chosen]
    return _Source("digits", Path("digits"), [], keys, labels, map(Image.fromarray, arrays))


def _embedded_photos() -> dict[str, Tensor]:
    from sklearn.datasets import load_sample_image

    from ganzip._compat import optional

    remedy = "pip install scikit-image, or name a folder or zip of photos"
    store = optional("skimage.data", remedy)
    arrays = {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    for name in PHOTOS:
        found = getattr(store, name)()
        # The right view of the stereo pair shows what the left one does: it would tell test pixels.
        arrays[name] = found[0] if isinstance(found, tuple) else found
    pictures = {name: Image.fromarray(np.asarray(array)) for name, array in arrays.items()}
    return {name: torch.from_numpy(_prepare(p, None, 3).copy()) for name, p in pictures.items()}


def _open_idx(name: str, path: Path) -> _Source:
    label_path = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    arrays, labels = _read_idx(path, 2051), _read_idx(label_path, 2049).astype(np.int64)
    if len(arrays) != len(labels):
        found = f"{len(labels)} labels, expected {len(arrays)}, one an image"
        raise DataError(f"{label_path}: {found}; take both files from one copy of the set")
    keys = [f"number {i}" for i in range(len(arrays))]
    return _Source(name, path, [path, label_path], keys, labels, map(Image.fromarray, arrays))


def _read_idx(path: Path, magic: int) -> np.ndarray:
    """One idx file, plain or gzipped; the magic number's last byte counts the dimensions."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: absent or damaged ({_why(error)}); get it again") from error
    header = 4 + 4 * (magic % 256)
    found, *shape = struct.unpack_from(f">{header // 4}I", content.ljust(header, b"\0"))
    if found != magic:
        raise DataError(f"{path}: idx magic number {found}, expected {magic}; get the file again")
    expected = header + int(np.prod(shape))
    if len(content) != expected:
        sizes = f"{len(content)} bytes of idx data, expected {expected} for shape {tuple(shape)}"
        raise DataError(f"{path}: {sizes}; get the file again")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


class _ArrayUnpickler(pickle.Unpickler):
    """Admits plain containers and numpy arrays: an unrestricted pickle can run any code."""

    def find_class(self, module: str, name: str) -> Any:
        array_parts = {"ndarray", "dtype", "_reconstruct", "_frombuffer"}
        is_numpy = module.split(".")[0] == "numpy" and name in array_parts
        # Python 3 writes an array's bytes through this codec in the older pickle protocols.
        if is_numpy or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is neither an array nor a container")


def _open_cifar(path: Path, split: str) -> _Source:
    names = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    files = [path / name for name in names]
    arrays, labels, keys = [], [], []
    for file in files:
        try:
            with file.open("rb") as stream:
                content = _ArrayUnpickler(stream, encoding="latin1").load()
            images = np.asarray(content["data"], np.uint8).reshape(-1, 3, 32, 32)
            targets = np.asarray(content["labels"], np.int64)
        except Exception as error:  # a damaged or foreign pickle may raise anything
            found = f"absent or damaged ({_why(error)})"
            raise DataError(f"{file}: {found}, expected a CIFAR-10 batch; get it again") from error
        if targets.shape != (len(images),):
            found = f"{targets.size} labels, expected {len(images)}, one an image"
            raise DataError(f"{file}: {found}; get the set again")
        arrays.extend(images.transpose(0, 2, 3, 1))
        labels.append(targets)
        keys += [f"{file.name} number {i}" for i in range(len(images))]
    pictures = map(Image.fromarray, arrays)
    return _Source("cifar10", path, files, keys, np.concatenate(labels), pictures)


@contextmanager
def _reader(path: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """File names in a folder or a zip, and the function that reads one of them in place."""
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        yield names, lambda name: (path / name).read_bytes()
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        expected = "expected a folder or an intact .zip of images"
        raise DataError(
            f"{path}: not readable ({_why(error)}), {expected}; get it again"
        ) from error
    with archive:
        yield archive.namelist(), archive.read


def _is_image(name: str) -> bool:
    # Zips made on macOS hold "__MACOSX/" entries and "._x.png", which bear no image.
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and path.name[0] != "." and "__MACOSX" not in path.parts


def _open_tree(path: Path, choose: Choice, *more_files: Path) -> _Source:
    """A folder or zip of images, with StyleGAN's dataset.json if it has one."""
    with _reader(path) as (names, read):
        keys = sorted(filter(_is_image, names))
        labels = _read_labels(path, read, keys) if "dataset.json" in names else None
    chosen = choose(keys) if keys else []
    if not chosen:
        found = f"{len(keys)} images and none for this split"
        expected = f"expected {' '.join(SUFFIXES)} files, at least two to split"
        raise DataError(f"{path}: {found}, {expected}; add images or name another folder or zip")

    def images() -> Iterator[Image.Image]:
        with _reader(path) as (_, read):
            for i in chosen:
                yield Image.open(io.BytesIO(read(keys[i])))

    files = [path]
    if path.is_dir():
        files = [path / name for name in (*keys, *({"dataset.json"} & set(names)))]
    labels = None if labels is None else labels[list(chosen)]
    return _Source(
        path.name, path, [*files, *more_files], [keys[i] for i in chosen], labels, images()
    )


def _read_labels(path: Path, read: Callable[[str], bytes], keys: list[str]) -> np.ndarray | None:
    try:
        listed = json.loads(read("dataset.json"))["labels"]
        label = None if listed is None else {name: operator.index(c) for name, c in listed}
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        expected = 'expected {"labels": [[file, integer], ...]} or {"labels": null}'
        raise DataError(f"{path}: dataset.json: {_why(error)}, {expected}; correct it") from error
    if label is None:
        return None
    if odd := set(label).symmetric_difference(keys):
        found = f"{min(odd)} is {'listed but absent' if min(odd) in label else 'without a label'}"
        raise DataError(f"{path}: dataset.json: {found}, expected a label an image; correct it")
    return np.array([label[key] for key in keys], np.int64)


# Decoding and caching -----------------------------------------------------------------------------


def _decode(
    source: _Source, size: int | None, channels: int | None, target: Path | None = None
) -> np.ndarray:
    """All images as uint8 (N, C, H, W), in memory or in the new .npy file `target`."""
    pixels, count = np.empty(0, np.uint8), len(source.keys)
    bar = tqdm(source.keys, source.name, file=sys.stdout, disable=count <= 2000, unit="image")
    for i, key in enumerate(bar):
        try:
            image = _prepare(next(source.images), size, channels)
        except Exception as error:  # Pillow and zipfile raise a dozen kinds for damaged files
            raise _undecodable(source.path, key, error) from error
        if i == 0:
            new = partial(np.lib.format.open_memmap, target, "w+") if target else np.empty
            pixels = new(shape=(count, *image.shape), dtype=np.uint8)
        if image.shape != pixels.shape[1:]:
            found = (
                f"image {key} is {image.shape}, expected (C, H, W) {pixels.shape[1:]} as the first"
            )
            remedy = "size=" if image.shape[1:] != pixels.shape[2:] else "channels="
            raise DataError(f"{source.path}: {found}; pass {remedy} to bring all to one form")
        pixels[i] = image
    if not count:
        raise DataError(f"{source.path}: no images, expected at least one; get the set again")
    return pixels


def _undecodable(path: Path, key: str, error: Exception) -> DataError:
    found = f"image {key} cannot be decoded ({_why(error)})"
    return DataError(f"{path}: {found}; replace or remove it")


def _prepare(image: Image.Image, size: int | None, channels: int | None) -> np.ndarray:
    """One image as uint8 (C, H, W)."""
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    if image.mode.startswith("I"):  # 16 bits, which Pillow's own conversion clips at 255
        wide = np.asarray(image).astype(np.float64)
        image = Image.fromarray((wide / 257).round().clip(0, 255).astype(np.uint8))
    elif "A" in image.getbands() or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("L" if channels == 1 or (channels is None and grey) else "RGB")
    if size is not None:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _fingerprint(pixels: np.ndarray, labels: np.ndarray | None) -> str:
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(pixels.data)
    if labels is not None:
        digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()[:12]


def _cached(
    source: _Source, size: int | None, channels: int | None, split: str, folder: Path
) -> tuple[np.ndarray, str]:
    """Pixels and fingerprint from the cache, decoded into it first where they are not there."""
    stats = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in source.files]
    facts: dict[str, Any] = {
        "source": str(source.path.resolve()),
        "bytes": sum(length for _, length, _ in stats),
        "mtime_ns": max(time for _, _, time in stats),
        "size": size,
        "channels": channels,
        "split": split,
    }
    key = hashlib.sha256(json.dumps([facts, stats]).encode()).hexdigest()[:12]
    stored, note = folder / f"{source.name}-{key}.npy", folder / f"{source.name}-{key}.json"
    if not (stored.exists() and note.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as scratch:
            new = Path(scratch, stored.name)
            pixels = _decode(source, size, channels, new)
            facts["fingerprint"] = _fingerprint(pixels, source.labels)
            del pixels  # closes the file
            new_note = Path(scratch, note.name)
            new_note.write_text(json.dumps(facts, indent=1))
            os.replace(new, stored)
            os.replace(new_note, note)  # last, for it declares the pixels complete
    # Copy-on-write, because torch warns about arrays that cannot be written to.
    return np.load(stored, mmap_mode="c"), json.loads(note.read_text())["fingerprint"]
