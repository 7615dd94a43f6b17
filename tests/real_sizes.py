"""The networks of presets gpu and paper, at their sizes and batches, built and stepped on meta.

    python -m tests.real_sizes [preset] [paper]

Every kind of unit of the three papers takes a step of every phase and is finished. Few images are
measured; nothing else is smaller than in the preset.
"""

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganzip import data, files, presets, sets
from ganzip.data import Images
from ganzip.papers import dcgan_kd, nickel_dime, sdakd
from ganzip.papers import super_resolution as sr
from ganzip.units import Unit
from tests.meta import Meta
from tests.plans import kind

WORKS = {"dcgan_kd": dcgan_kd.work, "sdakd": sdakd.work, "nickel_dime": nickel_dime.work}
FEW = 8  # images that are measured: a group of the minibatch deviation


def some(facts: sets.Facts, size: int, channels: int, n: int) -> Images:
    """Images in the place of a set: random ones would be as good."""
    pixels = torch.full((n, channels, size, size), 0 if facts.dark else 128, dtype=torch.uint8)
    labels = torch.arange(n) % facts.classes if facts.classes else None
    return Images(facts.name, pixels, labels, "0" * 12)


def of_images(paper: str, preset: str) -> tuple[list[Unit], Images]:
    """The plan of paper A or C with few images measured, and the images."""
    (facts, *_) = sets.facts(paper, preset)
    if paper == "dcgan_kd":
        grey, labels = facts.channels == 1, facts.classes > 0
        a = presets.dcgan_kd(preset, grey=grey, labels=labels)
        few = {"n_images": FEW, "cache_pairs": a.batch, "judge_steps": 1}
        a = dataclasses.replace(a, **few)
        images = some(facts, a.size, facts.channels, 2 * a.batch)
        return dcgan_kd.plan(a, images, "these"), images
    c = presets.nickel_dime(preset, labels=facts.classes > 0)
    few = {"n_images": FEW, "moments": c.batch, "judge_steps": 1, "encoder_steps": 1, "passes": 1}
    c = dataclasses.replace(c, **few, prune_images=FEW, prune_rates=c.prune_rates[:1])
    images = some(facts, c.net["size"], 3, 2 * max(c.batch, c.encoder_batch))
    return nickel_dime.plan(c, images, "these"), images


def of_photos(preset: str) -> tuple[list[Unit], dict[str, sr.Pieces]]:
    """Paper B's plan with few images measured, and its photos by the name of their set."""
    b = presets.sdakd(preset, aligned=preset == "paper")
    count = {"train": 64, "validation": FEW, "test": FEW}
    families = [dataclasses.replace(f, count=count, pool=2 * f.batch) for f in b.families]
    faces, photos = (grey_photo(sr.stand_in(its)) for its in sets.facts("sdakd", preset))
    held = {f.network: faces if f.network == "GCFSR" else photos for f in families}
    b = dataclasses.replace(b, families=tuple(families), passes=1)
    return sdakd.plan(b, held), {pieces.source: pieces for pieces in (faces, photos)}


def grey_photo(pieces: sr.Pieces) -> sr.Pieces:
    """The same with a photo in it: presets that cut fresh squares in every step read it."""
    (entry,) = pieces.manifest
    grey = torch.full((1, 1, 1), 128, dtype=torch.uint8)
    photo = grey.expand(3, entry["height"], entry["width"])
    return dataclasses.replace(pieces, photos={entry["photo"]: photo})


def blank_store(path: Path, shape: tuple[int, ...], dtype: str, *_: Any, **__: Any) -> Tensor:
    """In the place of what is stored on the disk: zeros that take no memory."""
    return torch.from_numpy(np.zeros(1, dtype)).expand(shape)


def one_of_each(units: Iterable[Unit], wanted: Callable[[Unit], bool]) -> list[Unit]:
    """One unit of each kind that is wanted, the largest, and what it needs, needs first."""
    found: dict[Any, Unit] = {}
    for unit in units:
        if wanted(unit):
            found.setdefault(kind(unit), unit)
    chosen: dict[str, Unit] = {}

    def add(unit: Unit) -> None:
        for need in unit.needs.values():
            add(need)
        chosen.setdefault(unit.key, unit)

    for unit in found.values():
        add(unit)
    return list(chosen.values())


def step_all(
    meta: Meta,
    patch: pytest.MonkeyPatch,
    root: Path,
    preset: str,
    paper: str,
    wanted: Callable[[Unit], bool] = lambda unit: True,
) -> Iterator[Unit]:
    """Do one unit of each kind at a preset's sizes on the meta device, needs first."""
    if paper == "sdakd":
        units, held = of_photos(preset)
        patch.setattr(sr, "load_pieces", held.__getitem__)
    else:
        units, images = of_images(paper, preset)
        patch.setattr(data, "load", lambda *_, **__: images)
    patch.setattr(files, "memmap", blank_store)
    for unit in one_of_each(units, wanted):
        meta.work(unit, WORKS[paper], root)
        yield unit


def main(preset: str = "", paper: str = "") -> int:
    """Step all, or those of one preset and one paper."""
    for its in [preset] if preset else ("gpu", "paper"):
        for each in [paper] if paper else WORKS:
            with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as root:
                patch.setenv("GANZIP_RUNS", root)
                meta, start = Meta(patch), time.process_time()
                for unit in step_all(meta, patch, Path(root), its, each):
                    print(f"  {unit.name}: {time.process_time() - start:.1f} s", flush=True)
                    start = time.process_time()
                print(f"{its} {each}: {meta.steps} steps of players", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
