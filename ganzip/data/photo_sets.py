"""Photos of any size, and their parts: cut out of each photo, or whole photos dealt."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganzip.data import named, trees
from ganzip.data.decoding import prepare, undecodable
from ganzip.data.images import DataError, fingerprint

PHOTOS = ("astronaut", "chelsea", "coffee", "stereo_motorcycle", "rocket")  # of scikit-image
SHARES = {"train": 0.5, "validation": 0.25, "test": 0.25}  # of a photo that is cut into parts


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
    path = named.find_path(str(name), "train", root)
    return _Photos(path, trees.image_names(path))


class _Photos(Mapping[str, Tensor]):
    """The images of a folder or zip, each decoded when it is asked for."""

    def __init__(self, path: Path, names: Sequence[str]):
        self._path, self._names = path, dict.fromkeys(names)
        _, self._read = trees.reader(path)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        try:
            array = prepare(Image.open(io.BytesIO(self._read(name))), None, 3)
        except Exception as error:  # Pillow and zipfile raise a dozen kinds for damaged files
            raise undecodable(self._path, name, error) from error
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
                raise DataError(f"{found}, expected one or more; leave it out, or enlarge it")
            box = (at, 0, size, width) if height > width else (0, at, height, size)
            manifest.append(
                {"photo": name, "sha256": fingerprint(photo.numpy(), None), "part": part}
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
        raise DataError(f"{found}; add photos, or cut each by split_photos")
    order = random.Random(seed).sample(sorted(photos), len(photos))
    part = dict.fromkeys(order, "train")
    part |= dict.fromkeys(order[:held], "validation") | dict.fromkeys(
        order[held : 2 * held], "test"
    )
    return [entry | {"part": part[str(entry["photo"])]} for entry in whole_photos(photos)]


def whole_photos(photos: Mapping[str, Tensor]) -> list[dict[str, str | int]]:
    """A manifest, as ``split_photos`` makes it, in which every photo is whole and of "train"."""
    return [
        {"photo": name, "sha256": fingerprint(photo.numpy(), None), "part": "train"}
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
    return {name: torch.from_numpy(prepare(p, None, 3).copy()) for name, p in pictures.items()}
