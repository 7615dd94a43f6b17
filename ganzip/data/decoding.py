"""From encoded images to uint8 tensors: by all cores, into memory or a memory-mapped cache."""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count
from PIL import Image
from tqdm import tqdm

from ganzip.data.images import DataError, fingerprint, reason
from ganzip.files import memmap, save_array, write

CHUNK = 64  # images that a thread decodes at a time
SAVED = 64 * CHUNK  # images after which a killed decoding goes on
FORMAT = 2  # of the cache and of what is decoded; another one is decoded anew

File = tuple[str, int, int]
"""A file's path or name, its bytes, and when it was modified, in ns."""


@dataclass(frozen=True)
class Content:
    """The images of an opened set.

    keys: what they are called, in order. labels: (N,) int64, or None. image: the function from a
    number to an image; several threads call it. found: what its reader is to know, or nothing.
    """

    keys: Sequence[str]
    labels: np.ndarray | None
    image: Callable[[int], Image.Image]
    found: str = ""


@dataclass(frozen=True)
class Source:
    """A set that was found and not yet opened.

    files: all that pixels and labels depend on; empty for what is not to be cached.
    """

    name: str
    path: Path
    files: Sequence[File]
    read: Callable[[], Content]


class _ColourAmongGrey(Exception):
    """An image in colour where the first one is grey."""


def decode(
    source: Source,
    content: Content,
    size: int | None,
    channels: int | None,
    target: Path | None = None,
) -> tuple[np.ndarray, str]:
    """All images as uint8 (N, C, H, W), in memory or in the file `target`, and their fingerprint.

    Pillow decodes and resizes without Python's lock, so that threads use all cores. A call goes on
    where a killed one left `target`. Where there are grey and colour images, grey ones become RGB.
    """
    if content.found:
        print(f"{source.name}: {content.found}")
    try:
        pixels, mixed = _fill(source, content, size, channels, target)
    except _ColourAmongGrey:
        pixels, _ = _fill(source, content, size, 3, target)
        mixed = True
    if mixed:
        print(f"{source.name}: grey and colour images, all brought to RGB")
    return pixels, fingerprint(pixels, content.labels)


def _fill(
    source: Source,
    content: Content,
    size: int | None,
    channels: int | None,
    target: Path | None,
) -> tuple[np.ndarray, bool]:
    """The images of ``decode``, and whether grey ones were among colour ones."""
    keys, count, mixed = content.keys, len(content.keys), False
    if not count:
        raise DataError(f"{source.path}: no images, expected at least one; get the set again")

    def image(i: int) -> np.ndarray:
        try:
            return prepare(content.image(i), size, channels)
        except Exception as error:  # Pillow and zipfile raise a dozen kinds for damaged files
            raise undecodable(source.path, keys[i], error) from error

    shape = image(0).shape

    def some(start: int, stop: int) -> np.ndarray:
        pixels = np.empty((stop - start, *shape), np.uint8)

        def chunk(first: int) -> None:
            nonlocal mixed
            for i in range(first, min(first + CHUNK, stop)):
                one = image(i)
                if one.shape[1:] != shape[1:]:
                    raise DataError(
                        f"{source.path}: image {keys[i]} has {one.shape[1]}x{one.shape[2]} pixels, "
                        f"expected {shape[1]}x{shape[2]} as the first; bring all to one size, or "
                        "load them with a size"
                    )
                if len(one) > shape[0]:
                    raise _ColourAmongGrey
                if len(one) < shape[0]:
                    mixed = True
                pixels[i - start] = one  # a grey one is repeated

        firsts = range(start, stop, CHUNK)
        for first, _ in zip(firsts, pool.map(chunk, firsts), strict=True):
            bar.update(min(first + CHUNK, stop) - bar.n)
        return pixels

    pool = ThreadPoolExecutor(cpu_count())
    shown = {"total": count, "disable": count <= 2000, "unit": "image"}
    try:
        with tqdm(desc=source.name, file=sys.stdout, **shown) as bar:
            if target is None:
                return some(0, count), mixed
            stored = memmap(target, (count, *shape), "uint8", some, chunk=SAVED)
            return stored.numpy(), mixed
    except (DataError, _ColourAmongGrey):
        if target is not None:  # what was decoded is of no use
            target.with_suffix(".part").unlink(missing_ok=True)
            target.with_suffix(".rows").unlink(missing_ok=True)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def undecodable(path: Path, key: str, error: Exception) -> DataError:
    """The error that names an image which cannot be decoded."""
    found = f"image {key} cannot be decoded ({reason(error)})"
    return DataError(f"{path}: {found}; replace or remove it")


def prepare(image: Image.Image, size: int | None, channels: int | None) -> np.ndarray:
    """One image as uint8 (C, H, W)."""
    if image.mode == "F":  # of a TIFF: Pillow's own conversion makes 0 to 1 black
        raise ValueError("floating-point pixels, expected 8 or 16 bits")
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    if image.mode.startswith("I"):  # 16 bits, which Pillow's own conversion clips at 255
        wide = np.asarray(image).astype(np.float64)
        if wide.min() < 0 or wide.max() > 65535:
            raise ValueError("pixels of more than 16 bits, expected 0 to 65535")
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


# The cache ----------------------------------------------------------------------------------------


def state(*paths: Path) -> list[File]:
    """Bytes and modification times of the files that are there."""
    there = [(path, path.stat()) for path in paths if path.exists()]
    return [(str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path, stat in there]


def load_cached(
    source: Source, size: int | None, channels: int | None, split: str, folder: Path
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Pixels, labels and fingerprint from the cache, decoded into it first if they are not there.

    The source is read in that case alone: its files' names, sizes and times find the entry. Of
    several calls at once one decodes; a killed one is gone on with.
    """
    facts: dict[str, Any] = {
        "source": str(source.path.resolve()),
        "bytes": sum(length for _, length, _ in source.files),
        "mtime_ns": max(time for _, _, time in source.files),
        "size": size,
        "channels": channels,
        "split": split,
    }
    text = json.dumps([FORMAT, facts, source.files])
    entry = folder / f"{source.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if (found := _entry(entry)) is not None:
        return found
    content = source.read()
    folder.mkdir(parents=True, exist_ok=True)
    pixels, mark = decode(source, content, size, channels, Path(f"{entry}.npy"))
    if content.labels is not None:
        save_array(Path(f"{entry}.labels.npy"), content.labels)
    note = {**facts, "labels": content.labels is not None, "fingerprint": mark}
    note["file"] = _left(entry)
    # Last, for it declares the pixels complete.
    write(Path(f"{entry}.json"), json.dumps(note, indent=1).encode())
    return pixels, content.labels, mark


def _entry(entry: Path) -> tuple[np.ndarray, np.ndarray | None, str] | None:
    """What the cache has, or None where it is absent, torn or altered."""
    with suppress(OSError, ValueError, KeyError, TypeError, EOFError):
        note = json.loads(Path(f"{entry}.json").read_bytes())
        # Copy-on-write, because torch warns about arrays that cannot be written to.
        pixels = np.load(f"{entry}.npy", mmap_mode="c")
        labels = np.load(f"{entry}.labels.npy") if note["labels"] else None
        # All pixels are read again only if the file is not as it was left.
        if note["file"] == _left(entry) or note["fingerprint"] == fingerprint(pixels, labels):
            return pixels, labels, note["fingerprint"]
    return None


def _left(entry: Path) -> list[int]:
    stat = Path(f"{entry}.npy").stat()
    return [stat.st_size, stat.st_mtime_ns]
