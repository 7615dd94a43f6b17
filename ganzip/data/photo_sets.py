"""Photos of any size, and their parts: cut out of each photo, or whole photos dealt."""

import io
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
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
GAP = 8  # pixels between two parts of a photo


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
    names, read = trees.reader(path)
    if left := trees.left_out(names):
        print(f"{path.name}: {left}")
    return Photos({name: partial(_decode, path, read, name) for name in trees.image_names(path)})


class Photos(Mapping[str, Tensor]):
    """Photos by name, each decoded when it is asked for, by a function of its own."""

    def __init__(self, decode: Mapping[str, Callable[[], Tensor]]):
        self._decode = decode

    def __len__(self) -> int:
        return len(self._decode)

    def __iter__(self) -> Iterator[str]:
        return iter(self._decode)

    def __getitem__(self, name: str) -> Tensor:
        return self._decode[name]()


def _decode(path: Path, read: trees.Read, name: str) -> Tensor:
    """An image of a folder or zip: uint8 (3, H, W)."""
    try:
        array = prepare(Image.open(io.BytesIO(read(name))), None, 3)
    except Exception as error:  # Pillow and zipfile raise a dozen kinds for damaged files
        raise undecodable(path, name, error) from error
    return torch.from_numpy(array.copy())


def split_photos(photos: Mapping[str, Tensor]) -> list[dict[str, str | int]]:
    """Cut every photo along its longer side into disjoint parts: the manifest, a dict a part.

    ``GAP`` pixels between two parts belong to none. Keys: photo, sha256 of its pixels (first 12
    digits), part, top, left, height, width. Training and test pixels are of the same photos, which
    has to be said beside the results. Raises DataError where a part would be empty.
    """
    manifest = []
    for name, photo in photos.items():
        height, width = photo.shape[1:]
        length = max(height, width) - GAP * (len(SHARES) - 1)
        ends = (np.cumsum(list(SHARES.values())) * length).round()
        starts = [0, *ends[:-1]]
        for i, (part, start, end) in enumerate(zip(SHARES, starts, ends, strict=True)):
            at, size = int(start) + GAP * i, int(end - start)
            if size < 1:
                found = f"{name}: {height}x{width} pixels leave none for part {part!r}"
                raise DataError(f"{found}, expected one or more; leave it out, or enlarge it")
            box = (at, 0, size, width) if height > width else (0, at, height, size)
            manifest.append(_entry(name, photo, part, box))
    return manifest


def deal_photos(photos: Mapping[str, Tensor]) -> list[dict[str, str | int]]:
    """Give whole photos to disjoint parts at random: a manifest as ``split_photos`` makes it.

    Validation and test get 100 photos each, or a fifth of the set where that is less. The parts
    depend on the sorted names alone.
    """
    held = min(100, len(photos) // 5)
    if not held:
        found = f"{len(photos)} photos, expected five or more to deal to three parts"
        raise DataError(f"{found}; add photos, or cut each by split_photos")
    order = random.Random(0).sample(sorted(photos), len(photos))
    part = dict.fromkeys(order[:held], "validation")
    part |= dict.fromkeys(order[held : 2 * held], "test")
    whole = whole_photos(photos)
    return [entry | {"part": part.get(str(entry["photo"]), "train")} for entry in whole]


def whole_photos(photos: Mapping[str, Tensor]) -> list[dict[str, str | int]]:
    """A manifest, as ``split_photos`` makes it, in which every photo is whole and of "train"."""
    return [
        _entry(name, photo, "train", (0, 0, *photo.shape[1:])) for name, photo in photos.items()
    ]


def _entry(name: str, photo: Tensor, part: str, box: Sequence[int]) -> dict[str, str | int]:
    """An entry of a manifest; box: top, left, height, width."""
    entry = {"photo": name, "sha256": fingerprint(photo.numpy(), None), "part": part}
    return entry | dict(zip(("top", "left", "height", "width"), box, strict=True))


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
