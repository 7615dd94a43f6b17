"""Photos of several folders or zips, for all parts or for some: ``train:a+b;test:c``.

Papers train on one set and test on another; GCFSR of FFHQ is tested on CelebA-HQ.
"""

import random
from collections import ChainMap, Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from ganzip.data.images import DataError
from ganzip.data.named import set_name
from ganzip.data.photo_sets import Photos, deal_photos, photos, split_photos, whole_photos

PARTS = ("train", "validation", "test")
FEW = 20  # photos below which each is cut into parts
FORM = "expected parts as in 'train:a.zip+b.zip;test:c.zip'"


def photo_parts(source: str) -> tuple[Mapping[str, Tensor], list[dict[str, Any]]]:
    """Photos of a source, by name, and the parts that they are dealt into: a manifest.

    source: a folder, a zip or "photos", of which fewer than 20 photos are cut into parts and more
    are dealt whole; or sources by part, see :func:`part_sources`. What is named for "train" alone
    is dealt likewise. Where "validation" has no source of its own it has a random half of the test
    photos. Every photo is decoded once. Raises DataError.
    """
    named = part_sources(source)
    sets = {part: _several(names, has_parts(source)) for part, names in named.items()}
    if len(sets) == 1:
        (found,) = sets.values()
        return found, split_photos(found) if len(found) < FEW else deal_photos(found)
    manifest = [entry | {"part": part} for part in sets for entry in whole_photos(sets[part])]
    if "validation" not in sets:
        names = sorted(sets["test"])
        half = set(random.Random(0).sample(names, len(names) // 2))
        if not half:
            raise DataError(f"{source}: 1 photo for test, expected 2 or more; add one, or {FORM}")
        for entry in manifest:
            if entry["part"] == "test" and entry["photo"] in half:
                entry["part"] = "validation"
    both = [name for name, n in Counter(entry["photo"] for entry in manifest).items() if n > 1]
    if both:
        raise DataError(f"{source}: {both[0]} is in two parts; take it out of one")
    return ChainMap(*sets.values()), manifest  # pyright: ignore[reportArgumentType]


def _several(sources: Sequence[str], prefix: bool) -> Photos:
    """Photos of several sources; with ``prefix`` their names begin with their source's."""
    decode = {}
    for source in sources:
        found, its = photos(source), f"{set_name(source)}/" if prefix else ""
        decode |= {its + name: partial(found.__getitem__, name) for name in found}
    return Photos(decode)


def has_parts(source: str) -> bool:
    """Whether a source names parts."""
    return source.partition(":")[0].strip() in PARTS


def part_sources(source: str) -> dict[str, list[str]]:
    """Names or paths by part: of "train:a+b;test:c" {"train": ["a", "b"], "test": ["c"]}.

    A source without parts is of "train", from which the others are dealt. Raises DataError.
    """
    if not has_parts(source):
        return {"train": [source]}
    found: dict[str, list[str]] = {}
    for text in source.split(";"):
        part, colon, names = (piece.strip() for piece in text.partition(":"))
        if part not in PARTS or not colon:
            known = ", ".join(PARTS)
            raise DataError(f"{source}: {text.strip()!r} names none of {known}; {FORM}")
        if part in found:
            raise DataError(f"{source}: {part} is named twice; join its sources by +")
        found[part] = [name.strip() for name in names.split("+")]
        if not all(found[part]):
            raise DataError(f"{source}: {part} has an empty name; {FORM}")
    if "train" not in found:
        raise DataError(f"{source}: nothing to train on; {FORM}")
    if "validation" in found and "test" not in found:
        raise DataError(f"{source}: nothing to test on; {FORM}")
    return {part: found[part] for part in PARTS if part in found}
