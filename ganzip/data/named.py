"""Finding a set: digits, the field's usual ones as their tools leave them, any folder or zip."""

import gzip
import hashlib
import io
import os
import pickle
import re
import struct
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from ganzip.data import trees
from ganzip.data.decoding import Content, Source, state
from ganzip.data.images import DataAbsent, DataError, reason

# Folders in which a set may lie, beside that of all sets.
FOLDERS = {
    "mnist": ("MNIST", "mnist"),
    "fashion": ("FashionMNIST", "fashionmnist", "fashion-mnist", "fashion_mnist", "fashion"),
    "cifar10": ("CIFAR10", "cifar10", "CIFAR-10", "cifar-10"),
    "celeba": ("celeba", "CelebA", "celebA", "Celeb-A"),
}
IDX = ("mnist", "fashion")
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
TORCHVISION = dict(mnist="MNIST", fashion="FashionMNIST", cifar10="CIFAR10", celeba="CelebA")
CELEBA_PARTS = "list_eval_partition.txt"


def set_name(name: str | Path) -> str:
    """What files and folders of results are called after a set: its name, without ``.zip``.

    Of a path, or a name with other characters than letters, digits, dots and dashes, a hash is part
    of it, so that /a/faces and /b/faces have different results, and /a/faces/ the same.
    """
    text = os.path.normpath(str(name).strip())
    plain = re.sub(r"[^\w.-]+", "-", PurePosixPath(text).name.removesuffix(".zip")).strip("-.")
    own = plain in ("digits", "photos", *TORCHVISION)
    if len(plain) <= 60 and text in ((plain,) if own else (plain, f"{plain}.zip")):
        return plain
    return f"{plain[:60] or 'set'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def root() -> Path | None:
    """Folder of the user's data sets: environment variable GANZIP_DATA, or None."""
    folder = os.environ.get("GANZIP_DATA")
    return Path(folder).expanduser() if folder else None


def find(name: str, split: str, folder: str | Path | None) -> Source:
    """The set of this name or path, of which nothing but the names of files is read.

    folder: that of all sets; None is ``root()``. Raises DataError.
    """
    if name == "digits":
        return Source("digits", Path("digits"), [], partial(_digits, split))
    found = find_path(name, split, folder)
    if name in IDX:
        labels = found.with_name(found.name.replace("images-idx3", "labels-idx1"))
        return Source(name, found, state(found, labels), partial(_idx, found, labels))
    if name == "cifar10" and found.suffix != ".zip":
        files = [found / batch for batch in _batches(split)] if found.is_dir() else [found]
        return Source(name, found, state(*files), partial(_cifar, found, split))
    if name == "cifar10":
        return trees.open_tree(found, trees.everything)
    table = found.parent / CELEBA_PARTS
    if name == "celeba" and table.exists():
        return trees.open_tree(found, partial(_celeba_part, table, split), table)
    stem, _, part = found.stem.rpartition("-")
    pair = {p: found.with_name(f"{stem}-{p}.zip") for p in ("train", "test")}
    if found != pair.get(part) or not all(p.is_file() for p in pair.values()):
        return trees.open_tree(found, trees.by_folder_or_share(split))
    if part == "test" and split == "train":
        expected = f"expected training images; name {pair['train'].name}"
        raise DataError(f"{found}: holds test images, {expected}, whose test images they are")
    return trees.open_tree(pair[split], trees.everything, classes_of=pair["train"])


def find_path(name: str, split: str, folder: str | Path | None) -> Path:
    """Where the set of this name or path lies; raises DataAbsent."""
    base = root() if folder is None else Path(folder).expanduser()
    files, places = _files(name, split), _places(name, base)
    for path in (place / file for place in places for file in files):
        if path.exists():
            return path
    remedy = "set GANZIP_DATA to the folder that holds it"
    if name in FOLDERS:
        wanted, fetch = " or ".join(files), f"torchvision.datasets.{TORCHVISION[name]}"
        remedy += f"; {fetch}(root, download=True) fetches it there"
    else:
        wanted, remedy = "a folder or zip of this name", f"{remedy}, or give its whole path"
    looked = ", ".join(map(str, places)) or "no folder"
    raise DataAbsent(f"{name}: not found, looked for {wanted} in {looked}; {remedy}")


def _files(name: str, split: str) -> list[str]:
    """What a set is in its folder: the first of these files and folders that is there."""
    if name in IDX:
        file = f"{'train' if split == 'train' else 't10k'}-images-idx3-ubyte"
        return [file, f"{file}.gz"]
    return {
        "cifar10": ["cifar-10-batches-py", "cifar-10-python.tar.gz", f"cifar10-{split}.zip"],
        "celeba": ["img_align_celeba", "img_align_celeba.zip"],
    }.get(name, [os.path.expanduser(name)])


def _places(name: str, base: Path | None) -> list[Path]:
    """Folders where a set is looked for."""
    bases = [] if base is None else [base]
    if name not in FOLDERS:
        return [*bases, Path.cwd()]
    folders = [b / f for b in bases for f in FOLDERS[name]]
    if name not in IDX:
        return [*bases, *folders]
    folders = [folder / raw for folder in folders for raw in ("raw", "")]
    # Both sets use the same file names: in a flat folder only the folder's own name tells which.
    names = [(b, (b.parent if b.name == "raw" else b).name.lower()) for b in bases]
    own = [b for b, its in names if ("fashion" in its) == (name == "fashion")]
    return [*folders, *own, *([DEBIAN_FASHION] if name == "fashion" else [])]


# Reading a set: everything but the pixels is checked here -----------------------------------------


def _digits(split: str) -> Content:
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    chosen = trees.part(len(digits.target), 297, split)
    arrays = (digits.images[chosen] * (255 / 16)).round().astype(np.uint8)
    return _numbered(arrays, digits.target[chosen].astype(np.int64), chosen)


def _numbered(
    arrays: np.ndarray | list[np.ndarray], labels: np.ndarray, numbers: Sequence[int]
) -> Content:
    keys = [f"number {i}" for i in numbers]
    return Content(keys, labels, lambda i: Image.fromarray(arrays[i]))


def _idx(path: Path, label_path: Path) -> Content:
    arrays, labels = _read_idx(path, 2051), _read_idx(label_path, 2049).astype(np.int64)
    if len(arrays) != len(labels):
        found = f"{len(labels)} labels, expected {len(arrays)}, one an image"
        raise DataError(f"{label_path}: {found}; take both files from one copy of the set")
    return _numbered(arrays, labels, range(len(arrays)))


def _read_idx(path: Path, magic: int) -> np.ndarray:
    """One idx file, plain or gzipped; the magic number's last byte counts the dimensions."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: absent or damaged ({reason(error)}); get it again") from error
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


def _batches(split: str) -> list[str]:
    return ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]


def _cifar(path: Path, split: str) -> Content:
    """CIFAR-10's pickles, of their folder or of the archive that it comes in."""
    names, arrays, labels, keys = _batches(split), [], [], []
    packed = {} if path.is_dir() else _unpacked(path, names)
    for name in names:
        file = path / name
        try:
            stream = io.BytesIO(file.read_bytes() if path.is_dir() else packed[name])
            content = _ArrayUnpickler(stream, encoding="latin1").load()
            images = np.asarray(content["data"], np.uint8).reshape(-1, 3, 32, 32)
            targets = np.asarray(content["labels"], np.int64)
        except Exception as error:  # a damaged or foreign pickle may raise anything
            found = f"absent or damaged ({reason(error)})"
            raise DataError(f"{file}: {found}, expected a CIFAR-10 batch; get it again") from error
        if targets.shape != (len(images),):
            found = f"{targets.size} labels, expected {len(images)}, one an image"
            raise DataError(f"{file}: {found}; get the set again")
        arrays.extend(images.transpose(0, 2, 3, 1))
        labels.append(targets)
        keys += [f"{name} number {i}" for i in range(len(images))]
    return Content(keys, np.concatenate(labels), lambda i: Image.fromarray(arrays[i]))


def _unpacked(path: Path, names: Sequence[str]) -> Mapping[str, bytes]:
    """The files of these names in a .tar.gz, in whatever folder."""
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if Path(member.name).name in names and member.isfile():
                    stream = archive.extractfile(member)
                    assert stream is not None  # of a file
                    found[Path(member.name).name] = stream.read()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{path}: damaged ({reason(error)}); get it again") from error
    return found


def _celeba_part(table: Path, split: str, keys: Sequence[str]) -> list[int]:
    try:
        part = dict(line.split() for line in table.read_text().splitlines() if line.strip())
    except ValueError as error:
        raise DataError(
            f"{table}: {reason(error)}, expected lines 'file part'; replace it"
        ) from error
    names = [key.removeprefix("img_align_celeba/") for key in keys]  # as the zip has them
    if odd := set(part).symmetric_difference(names):
        found = f"{min(odd)} is {'listed but absent' if min(odd) in part else 'not listed'}"
        remedy = "complete the set, or name the folder by its path instead of celeba"
        raise DataError(f"{table}: {found}, expected the files of the folder; {remedy}")
    wanted = {"train": "0", "test": "2"}[split]
    return [i for i, name in enumerate(names) if part[name] == wanted]
