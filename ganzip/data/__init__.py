"""Image sets as uint8 tensors: the embedded digits, the field's usual files, any folder or zip.

:func:`load` decodes a set whole, into memory or into a memory-mapped cache, by all cores.
:func:`photos` decodes photos of any size when asked for. Nothing is dropped silently: an image that
cannot be read stops the loading with its name. :func:`batches_of` gives steps their images on the
device.
"""

import io
from pathlib import Path

import torch

from ganzip import files
from ganzip.data import decoding, named
from ganzip.data.batches import batch_indices, batches_of, real_batches
from ganzip.data.images import DataAbsent, DataError, Images, describe, to_float, to_uint8
from ganzip.data.named import set_name
from ganzip.data.notes import IMAGES, recall_images, recall_parts
from ganzip.data.part_sources import part_sources, photo_parts
from ganzip.data.photo_sets import cut_photos, deal_photos, photos, split_photos

DEFAULT_SIZE = {"digits": 16, "celeba": 178}


def load(
    name: str | Path = "digits",
    *,
    size: int | None = None,
    channels: int | None = None,
    split: str = "train",
    root: str | Path | None = None,
    cache: str | Path | None = None,
) -> Images:
    """Load digits, mnist, fashion, cifar10, celeba, or the folder or zip of images at a path.

    Named sets are found as their tools leave them, before and after extraction. Images are cropped
    to the centre square and resized (bicubic, antialiased) to `size` pixels; None keeps them as
    they are (digits: 16, celeba: 178). `channels` is 1 (luminance), 3 (RGB) or None (as stored;
    RGB where some are grey and some are not); transparency is composited on white, EXIF rotation is
    not applied, and of several frames the first is taken. In a folder or zip what is hidden (.x) is
    left out, links are followed, and a line tells how many files are no images. It is split 90/10
    by a fixed permutation, but train/ and test/ (or val/) in it, beside which no images may lie, or
    X-train.zip and X-test.zip side by side, are the two parts. Its labels are those of StyleGAN's
    dataset.json or, where there is none, its class folders: see ``trees.class_labels``. `root`
    defaults to GANZIP_DATA; relative paths also start at the working directory. `cache` names a
    folder where decoded pixels are kept and memory-mapped from; an entry belongs to one state of
    its source (paths, bytes, modification times), and old ones are yours to delete. Raises
    DataError.
    """
    if split not in ("train", "test"):
        raise DataError(f"split={split!r}: expected 'train' or 'test'")
    if size is not None and (type(size) is not int or size < 1):
        raise DataError(f"size={size!r}: expected a positive whole number of pixels, or None")
    if channels not in (None, 1, 3):
        raise DataError(f"channels={channels}: expected 1 (grey), 3 (RGB), or None (as stored)")
    name = str(name)
    size = size or DEFAULT_SIZE.get(name)
    source = named.find(name, split, root)
    if cache is None or not source.files:
        content = source.read()
        pixels, fingerprint = decoding.decode(source, content, size, channels)
        labels = content.labels
    else:
        folder = Path(cache).expanduser()
        pixels, labels, fingerprint = decoding.load_cached(source, size, channels, split, folder)
    labels = None if labels is None else torch.from_numpy(labels)
    return Images(source.name, torch.from_numpy(pixels), labels, fingerprint)


def load_or_recall(
    name: str | Path, *, size: int | None = None, channels: int | None = None, cache: Path
) -> Images:
    """A set as :func:`load` gives it; where it is not here, what an earlier run kept of it.

    That is its description and its first images, in ``cache``: enough to plan a run whose units
    are done, and to show them. Raises DataAbsent where there is neither.
    """
    note = cache / "known" / f"{set_name(name)}-{size}-{channels}.pt"
    try:
        before = recall_images(note.read_bytes())
    except (OSError, DataError):  # unreadable is as good as absent: it is made again
        before = None
    try:
        images = load(name, size=size, channels=channels, cache=cache)
    except DataAbsent:
        if before is None:
            raise
        print(f"{name} is not here; shown is what an earlier run kept of it")
        return before
    if before is None or before.facts != describe(images):
        few = {"name": images.name, "labels": None, "fingerprint": images.fingerprint}
        few |= {"pixels": images.pixels[:IMAGES].clone(), "facts": describe(images)}
        buffer = io.BytesIO()
        torch.save(few, buffer)
        files.write(note, buffer.getvalue())
    return images
