"""Any folder or zip of images: which belong to a split, and which labels they have."""

import io
import json
import operator
import os
import re
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ganzip.data.decoding import Content, Source, state
from ganzip.data.images import DataError, reason

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif")
INDEX = "dataset.json"
HELD_OUT = ("test", "val", "valid", "validation")  # folders beside train/
CLASSES = 10_000  # at most, of a folder or zip with labels
SHARD = re.compile(r"\d{5}")  # the folders of FFHQ and of StyleGAN's zips say nothing of an image

Choice = Callable[[Sequence[str]], Sequence[int]]
"""Which images of a set belong to the split asked for, of their names."""

Read = Callable[[str], bytes]


def open_tree(
    path: Path, choose: Choice, *more_files: Path, classes_of: Path | None = None
) -> Source:
    """A folder or zip of images as a source.

    Labels are those of StyleGAN's dataset.json or, where there is none, of class folders
    (``class_labels``). more_files: what else decides the images. classes_of: the zip whose class
    folders number the classes, of a set in two zips.
    """

    def read() -> Content:
        names, content = reader(path)
        keys = sorted(filter(is_image, names))
        _check_parts(path, keys)
        chosen = choose(keys) if keys else []
        if not chosen:
            seen = f"{len(keys)} images and none for this split"
            expected = f"expected {' '.join(SUFFIXES)} files, at least two to split"
            raise DataError(f"{path}: {seen}, {expected}; add images or name another folder or zip")
        if index := _index(names, keys):
            labels, found = _json_labels(path, content, index, keys), ""
        else:
            known = None if classes_of in (None, path) else class_names(image_names(classes_of))
            labels, found = class_labels(path, keys, known)
        return Content(
            [keys[i] for i in chosen],
            None if labels is None else labels[list(chosen)],
            lambda i: Image.open(io.BytesIO(content(keys[chosen[i]]))),
            "; ".join(filter(None, (found, left_out(names)))),
        )

    files = state(path, *more_files, *([] if classes_of is None else [classes_of]))
    if path.is_dir():
        listed = walk(path)
        keys = sorted(filter(is_image, listed))
        _check_parts(path, keys)  # here too, for the cache may hold what was once made of them
        index = _index(listed, keys)
        files += [(n, *listed[n]) for n in sorted(listed) if is_image(n) or n == index]
    return Source(path.name, path, files, read)


def image_names(path: Path) -> list[str]:
    """Names of the images of a folder or zip, sorted; raises DataError where there is none."""
    names = sorted(filter(is_image, reader(path)[0]))
    if not names:
        found = f"0 images, expected {' '.join(SUFFIXES)} files"
        raise DataError(f"{path}: {found}; add images or name another folder or zip")
    return names


def walk(path: Path) -> dict[str, tuple[int, int]]:
    """Bytes and modification time of every file below a folder, by its name in it.

    Links are followed. What is hidden is left out. Raises DataError for a link that leads nowhere
    or to a folder which holds it.
    """
    found: dict[str, tuple[int, int]] = {}
    folders: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(path),))]
    while folders:
        inside, above = folders.pop()
        with os.scandir(path / inside) as entries:
            for entry in entries:
                name = f"{inside}{entry.name}"
                if hidden(entry.name):
                    continue
                try:
                    stat = entry.stat()  # of what a link leads to
                except OSError as error:
                    raise _bad_link(path / name, reason(error)) from error
                if entry.is_file():
                    found[name] = (stat.st_size, stat.st_mtime_ns)
                elif entry.is_dir():
                    real = os.path.realpath(entry.path)
                    if real in above:
                        raise _bad_link(path / name, f"leads to {real}, which holds it")
                    folders.append((f"{name}/", (*above, real)))
    return found


def _bad_link(path: Path, found: str) -> DataError:
    expected = "expected a file, a folder or a link to one elsewhere"
    return DataError(f"{path}: {found}, {expected}; correct or remove it")


def reader(path: Path) -> tuple[list[str], Read]:
    """File names in a folder or a zip, and the function that reads one of them, from any thread."""
    if path.is_dir():
        return list(walk(path)), lambda name: (path / name).read_bytes()
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: not readable ({reason(error)}), expected a folder or an intact .zip of "
            "images; get it again"
        ) from error
    lock = threading.Lock()

    def read(name: str) -> bytes:
        with lock:
            return archive.read(name)

    return archive.namelist(), read


def is_image(name: str) -> bool:
    """Whether a file is one, by its name."""
    return name.lower().endswith(SUFFIXES) and not hidden(name)


def hidden(name: str) -> bool:
    """Whether a file or a folder above it is one that tools leave for themselves."""
    # Such as .thumbnails/ and, in zips made on macOS, "__MACOSX/" and "._x.png".
    return any(
        part == "__MACOSX" or (part.startswith(".") and part not in (".", ".."))
        for part in name.split("/")
    )


def left_out(names: Collection[str]) -> str:
    """How many files are neither read nor hidden, by suffix, or nothing where all are read."""
    keys = sorted(filter(is_image, names))
    seen = {name for name in names if not (name.endswith("/") or hidden(name))}
    rest = seen.difference(keys, [_index(names, keys)])
    suffixes = Counter(PurePosixPath(n).suffix.lower() or "without suffix" for n in rest)
    listed = ", ".join(f"{n} {suffix}" for suffix, n in sorted(suffixes.items()))
    return f"left out are {listed}; read are {' '.join(SUFFIXES)}" if listed else ""


def _index(names: Collection[str], keys: Sequence[str]) -> str | None:
    """The outermost dataset.json in a folder that holds all images."""
    shared = _common([key.split("/")[:-1] for key in keys])
    tried = ("/".join([*shared[:n], INDEX]) for n in range(len(shared) + 1))
    return next((name for name in tried if name in names), None)


# Which images of a set belong to the split asked for ----------------------------------------------


def everything(keys: Sequence[str]) -> Sequence[int]:
    """All of them."""
    return range(len(keys))


def part(n: int, held: int, split: str) -> list[int]:
    """`held` of n numbers, by a fixed permutation, are for "test", the others for "train"."""
    order = np.random.default_rng(0).permutation(n)
    return sorted((order[held:] if split == "train" else order[:held]).tolist())


def by_folder_or_share(split: str) -> Choice:
    """train/ and test/ (or val/) where a set has both; else a tenth is for "test"."""

    def choose(keys: Sequence[str]) -> Sequence[int]:
        parts = _part_folders(keys)
        if not parts:
            return part(len(keys), len(keys) // 10 or 1, split)
        own = parts[0] if split == "train" else parts[1]
        return [i for i, key in enumerate(keys) if key.startswith(own)]

    return choose


def _part_folders(keys: Sequence[str]) -> list[str]:
    """The outermost train/ that has test/ or val/ beside it, as "set/train/", and then these."""
    own = {tuple(key.split("/")[:-1]) for key in keys}
    folders = {folder[:n] for folder in own for n in range(1, len(folder) + 1)}
    above = [folder[:-1] for folder in folders if folder[-1] == "train"]
    for place in sorted(above, key=lambda place: (len(place), place)):
        if held := [name for name in HELD_OUT if (*place, name) in folders]:
            return ["/".join([*place, name, ""]) for name in ("train", *held)]
    return []


def _check_parts(path: Path, keys: Sequence[str]) -> None:
    """Raise DataError where images lie beside train/ and test/: of which split are they?"""
    if parts := _part_folders(keys):
        for key in keys:
            if not key.startswith(tuple(parts)):
                found = f"{key} is neither in {' nor in '.join(parts)}"
                expected = "expected all images in these, which tell the splits"
                raise DataError(f"{path}: {found}, {expected}; move it into one or away")


def _common(folders: list[list[str]]) -> list[str]:
    """The folders that all paths begin with."""
    return list(os.path.commonprefix(folders))  # noqa: RUF071 (folder by folder, of lists)


# Labels -------------------------------------------------------------------------------------------


def _json_labels(path: Path, read: Read, index: str, keys: list[str]) -> np.ndarray | None:
    above = index.removesuffix(INDEX)
    try:
        listed = json.loads(read(index))["labels"]
        label = None if listed is None else {above + name: operator.index(c) for name, c in listed}
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        expected = 'expected {"labels": [[file, integer], ...]} or {"labels": null}'
        raise DataError(f"{path}: {index}: {reason(error)}, {expected}; correct it") from error
    if label is None:
        return None
    if wide := [key for key, c in label.items() if not 0 <= c < CLASSES]:
        found = f"the label of {wide[0]} is {label[wide[0]]}, expected 0 to {CLASSES - 1}"
        raise DataError(f"{path}: {index}: {found}; number the classes from 0")
    if odd := set(label).symmetric_difference(keys):
        found = f"{min(odd)} is {'listed but absent' if min(odd) in label else 'without a label'}"
        raise DataError(f"{path}: {index}: {found}, expected a label an image; correct it")
    return np.array([label[key] for key in keys], np.int64)


def _class_folders(keys: Sequence[str]) -> list[str]:
    """The outermost folder of each image that tells images apart, train/ and test/ not counted."""
    folders = [key.split("/")[:-1] for key in keys]
    if parts := _part_folders(keys):
        folders = [folder[parts[0].count("/") :] for folder in folders]
    shared = len(_common(folders))
    return [folder[shared] if folder[shared:] else "" for folder in folders]


def class_names(keys: Sequence[str]) -> list[str]:
    """Names of class folders, sorted, or none: see ``class_labels``."""
    names = sorted(set(_class_folders(keys)))
    return [] if len(names) < 2 or "" in names or all(map(SHARD.fullmatch, names)) else names


def class_labels(
    path: Path, keys: Sequence[str], known: list[str] | None = None
) -> tuple[np.ndarray | None, str]:
    """Labels (N,) int64 by class folders, as torchvision's ImageFolder numbers them, and a word.

    A class is the outermost folder that tells images apart, train/ and test/ (or val/) not counted:
    of animals/train/cat/1/x.png beside animals/test/dog/y.png it is cat. Classes are numbered in
    the order of their names, from 0, or in that of ``known``. There are none where all images are
    in one folder, where some lie beside the class folders, or where folders are numbers of five
    digits, as of FFHQ and of StyleGAN's zips, which put a thousand images into each. A dataset.json
    of {"labels": null} says that folders are no classes.
    """
    folders = _class_folders(keys)
    names = class_names(keys)
    if not names:
        outside = folders.count("")
        if 0 < outside < len(keys):
            return None, f"no labels, for {outside} of {len(keys)} images lie in no class folder"
        return None, "no labels, for its folders are numbered" if len(set(folders)) > 1 else ""
    if known is not None and (odd := sorted(set(names).difference(known))):
        found = f"class folder {odd[0]} is not among the training images'"
        raise DataError(f"{path}: {found}, {', '.join(known) or 'none'}; rename it or add it there")
    number: Mapping[str, int] = {name: i for i, name in enumerate(known or names)}
    few = names if len(names) < 5 else [*names[:3], "...", names[-1]]
    labels = np.array([number[folder] for folder in folders], np.int64)
    return labels, f"{len(names)} classes, a folder each: {', '.join(few)}"
