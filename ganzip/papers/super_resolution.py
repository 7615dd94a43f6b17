"""Paper B's two networks and what they see: photos in parts, squares, degradations, teachers.

Shared by what ``papers.sdakd`` trains and measures. ``c`` is the configuration of a unit.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import cpu_count
from torch import Tensor, nn

from ganzip import assets, data, degrade, features, files, parallel, sets
from ganzip.measure.images import images_of
from ganzip.nets import enlarging, gcfsr, realesrgan, stylegan2
from ganzip.taps import taps
from ganzip.train import Batch, frozen, parted, step_seed
from ganzip.units import ABSENT, Run, load_network

PAPER = "sdakd"
PLAIN = "RealESRGAN-bicubic"  # Real-ESRGAN's other column: its inputs are reduced, no more
CONTROL = "control GT"  # SDAKD's schedule, the ground truth in the teacher's place
BALANCED = "SDAKD balanced"  # with the lambda2 that makes the terms of eq. (3) about equal
LONGER = "Ablation1 as long"  # stage 3 alone like ablation 1, for as many steps as both stages have
NETWORKS = {  # generator and discriminator
    "GCFSR": (gcfsr.Generator, gcfsr.Discriminator),
    "RealESRGAN": (realesrgan.RRDBNet, realesrgan.UNetDiscriminator),
    PLAIN: (realesrgan.RRDBNet, realesrgan.UNetDiscriminator),
}

# Photos, their parts, and what is cut out of them -------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Pieces:
    """A set of photos and the disjoint parts that they are dealt into.

    manifest: as ``data.split_photos`` or ``data.deal_photos`` made it.
    """

    source: str
    photos: Mapping[str, Tensor]
    manifest: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        """What rows call the set; of several, each once, as "ffhq+celeba-hq"."""
        names = [name for part in data.part_sources(self.source).values() for name in part]
        return "+".join(dict.fromkeys(Path(name).stem for name in names))

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits of the sha256 of the manifest, which holds that of every photo."""
        if any(entry["sha256"] == ABSENT for entry in self.manifest):
            return ABSENT
        return hashlib.sha256(json.dumps(self.manifest).encode()).hexdigest()[:12]

    @property
    def aligned(self) -> bool:
        """Whether all are squares of one size, as aligned faces are: GCFSR then sees them whole."""
        sizes = {(entry["height"], entry["width"]) for entry in self.manifest}
        return len(sizes) == 1 and all(height == width for height, width in sizes)


@lru_cache(maxsize=2)
def load_pieces(source: str) -> Pieces:
    """Photos and their parts, see ``data.photo_parts``. Raises DataError.

    Every photo is decoded once, so that a damaged one is named before any training.
    """
    return Pieces(source, *data.photo_parts(source))


def find_pieces(source: str) -> Pieces:
    """``load_pieces``; where the photos are not here, the parts that an earlier run kept of them.

    Those are enough to plan a run whose units are done, and to show them.
    """
    note = files.runs_folder() / "cache" / "known" / f"{data.set_name(source)}.json"
    try:
        pieces = load_pieces(source)
    except data.DataAbsent as absent:
        try:
            parts = data.recall_parts(note.read_bytes())
        except (OSError, data.DataError):
            raise absent from None
        print(f"{source} is not here; shown is what an earlier run kept of it")
        return Pieces(source, {}, parts)
    files.write(note, json.dumps(pieces.manifest).encode())
    return pieces


def stand_in(facts: sets.Facts) -> Pieces:
    """In the place of photos that are not here: a plan that is only counted."""
    entry = {"photo": facts.name, "sha256": ABSENT, "part": "train", "top": 0, "left": 0}
    width = facts.side if facts.aligned else facts.side * 3 // 2
    return Pieces(facts.name, {}, [entry | {"height": facts.side, "width": width}])


def sources(data: str) -> dict[str, str]:
    """Which photos are whose: one source for both networks, or GCFSR's and Real-ESRGAN's, "a,b".

    Each is a set, or sets by part: see ``data.part_sources``.
    """
    first, _, second = data.partition(",")
    real = (second or first).strip()
    return {"GCFSR": first.strip(), "RealESRGAN": real, PLAIN: real}


def check_sizes(pieces: Pieces, span: int) -> None:
    """Raise DataError, which names the photo, for a piece that has no square of ``span`` pixels."""
    for entry in pieces.manifest:
        if min(entry["height"], entry["width"]) < span:
            found = f"its {entry['part']} part is {entry['height']}x{entry['width']} pixels"
            raise data.DataError(
                f"{pieces.source}: photo {entry['photo']}: {found}, expected {span} or more on "
                "each side; leave it out, or enlarge it"
            )


def squares(pieces: Pieces, part: str, c: Mapping[str, Any]) -> Callable[[int], Tensor]:
    """The function from a number to a square of a part, uint8 (3, square, square).

    With span 0 a photo comes whole, each in turn. Else ``span`` pixels are cut at random, out of
    large pieces more often; of two such squares the one with more detail is taken.
    """
    entries = [entry for entry in pieces.manifest if entry["part"] == part]
    areas = np.array([entry["height"] * entry["width"] for entry in entries], float)

    def piece(i: int) -> Tensor:
        return data.cut_photos(pieces.photos, [entries[i]], part)[0]

    def detail(image: Tensor) -> float:
        return image.diff(dim=-1).abs().mean().item() + image.diff(dim=-2).abs().mean().item()

    def square(i: int) -> Tensor:
        if c["span"]:
            rng = np.random.default_rng([len(part), i])
            g = torch.Generator().manual_seed(int(rng.integers(2**31)))
            drawn = rng.choice(len(entries), 2, p=areas / areas.sum())
            image = max((degrade.patch(piece(k), c["span"], g) for k in drawn), key=detail)
        else:
            image = data.to_float(piece(i % len(entries)))
        return _resize(image, c["square"])

    return square


def fresh_squares(run: Run) -> Callable[[int], Tensor]:
    """The function from a step to squares of the training photos, uint8 (batch, 3, square, square).

    Every photo has its turn once an epoch; where ``span`` pixels are cut, the place, and whether
    they are mirrored, come from torch's global generator. Photos are decoded side by side.
    """
    c, pieces = run.config, pieces_of(run)
    entries = [entry for entry in pieces.manifest if entry["part"] == "train"]
    indices = data.batch_indices(len(entries), c["batch"], c["seed"])

    def one(k: int, seed: int) -> Tensor:
        (photo,) = data.cut_photos(pieces.photos, [entries[k]], "train")
        g = torch.Generator().manual_seed(seed)
        image = degrade.patch(photo, c["span"], g) if c["span"] else data.to_float(photo)
        return _resize(image, c["square"])

    def cut(step: int) -> Tensor:
        seeds = torch.randint(2**31, (c["batch"],)).tolist()
        with ThreadPoolExecutor(max_workers=min(c["batch"], cpu_count())) as pool:
            return torch.stack(list(pool.map(one, indices(step).tolist(), seeds))).to(run.device)

    return cut


def _resize(image: Tensor, side: int) -> Tensor:
    """An image (3, S, S) in [-1, 1] as uint8 of ``side`` pixels."""
    if image.shape[-1] != side:
        image = degrade.bicubic(image[None], side, side)[0]
    return data.to_uint8(image)


def pieces_of(run: Run) -> Pieces:
    """The photos that a unit was planned for; raises DataError where they have changed."""
    c, pieces = run.config, load_pieces(run.unit.source)
    if pieces.fingerprint != c["fingerprint"]:
        raise data.DataError(
            f"{c['data']}: the photos have fingerprint {pieces.fingerprint}, this unit was "
            f"planned for {c['fingerprint']}; plan again, or bring the old photos back"
        )
    return pieces


def store(run: Run, what: str, part: str) -> Tensor:
    """What is computed once for a set of photos, by the unit that needs it first.

    "high": squares, uint8 (n, 3, side, side). "low", of Real-ESRGAN: each reduced, or degraded by a
    draw of its own, uint8 (n, 3, side / 4, side / 4). "teacher": the teacher's answers, float16
    (n, channels, side, side): of Real-ESRGAN the image and, in training, the feature map behind it;
    of GCFSR an image for each of the factors shown.
    """
    c = run.config
    n, side, faces = c["count"][part], c["square"], c["network"] == "GCFSR"
    origin = [c[k] for k in ("network", "fingerprint", "span", "square")]
    if what == "teacher":
        origin.append(run.unit.needs["teacher"].key if faces else "released")
    digest = hashlib.sha256(json.dumps([origin, what, part, n]).encode()).hexdigest()[:12]
    path = run.root / PAPER / "cache" / f"{c['network']}-{what}-{part}-{digest}.npy"

    def high(start: int, stop: int) -> np.ndarray:
        square = squares(pieces_of(run), part, c)
        return torch.stack([square(i) for i in range(start, stop)]).numpy()

    def low(start: int, stop: int) -> np.ndarray:
        images = floats(run, "high", part, start, stop)
        drawn = []
        for i, image in enumerate(images.split(1), start):
            g = torch.Generator().manual_seed(step_seed(len(part), i))
            drawn.append(reduce(image, g, c, degrade.sized(side, side)))
        return data.to_uint8(torch.cat(drawn)).numpy()

    @torch.no_grad()
    def teacher(start: int, stop: int) -> np.ndarray:
        T = teacher_generator(run)
        if faces:
            truth = floats(run, "high", part, start, stop)
            conds = [condition(truth, [f] * len(truth), c) for f in c["shown"]]
            return torch.cat([images_of(T, cond) for cond in conds], 1).half().numpy()
        with taps(T, ["last"]) as activations:
            image = T(floats(run, "low", part, start, stop).to(run.device))
        whole = torch.cat([image, activations["last"]], 1) if part == "train" else image
        return whole.half().cpu().numpy()

    channels = 3 * len(c["shown"]) if faces else 3 + 64 * (part == "train")
    fill, shape, dtype, chunk = {
        "high": (high, (n, 3, side, side), "uint8", 64),
        "low": (low, (n, 3, side // 4, side // 4), "uint8", 64),
        "teacher": (teacher, (n, channels, side, side), "float16", 4),
    }[what]
    return files.memmap(path, shape, dtype, fill, chunk=chunk)


def floats(
    run: Run, what: str, part: str, start: int | None = None, stop: int | None = None
) -> Tensor:
    """Some of what is stored, as floats in [-1, 1]."""
    found = store(run, what, part)[start:stop]
    return data.to_float(found) if found.dtype == torch.uint8 else found.float()


@lru_cache(maxsize=2)
def load_released(device: str) -> nn.Module:
    """The released Real-ESRGAN x4plus generator, frozen, from the package that carries it.

    It is kept for the next call, so the first one leaves the random numbers as they were.
    """
    with features.without_draws():
        G = realesrgan.RRDBNet()
    realesrgan.load_ncnn(G, assets.require("realesrgan-x4plus"))
    return frozen(G).to(device)


# What a step sees ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Batches:
    """What the steps of a unit see: a function from a step to its batch, and its state, if any."""

    batch: Callable[[int], Batch]
    pool: degrade.Pool | None = None  # Real-ESRGAN's training pairs, where they are drawn anew

    @property
    def state(self) -> dict[str, nn.Module]:
        """What a run saves of it beside the networks."""
        return {} if self.pool is None else {"pool": self.pool}


def batches(run: Run, *, teacher: nn.Module | None = None) -> Batches:
    """Batches of a unit: input, ground truth, and as target the ground truth or the teacher's.

    With a teacher, the target is its image, and its last feature map stands beside. Real-ESRGAN's
    own target is the sharpened ground truth; at small presets its inputs and the teacher's answers
    come from the store, at preset paper squares are cut anew. What is random comes from torch's
    global generator, which ``train`` seeds by the step.
    """
    c, device, draws = run.config, run.device, torch.default_generator
    indices = data.batch_indices(c["count"]["train"], c["batch"], c["seed"])
    names, pool = ["high"], None
    if c["stored"]:
        names += ["low", "teacher"] if teacher else ["low"]
    elif c["network"] == "RealESRGAN":  # degraded
        pool = degrade.Pool(degradation(c)).to(device)
    if c["fresh"]:
        picks = {"high": fresh_squares(run)}
    else:
        picks = {n: data.batches_of(store(run, n, "train"), indices, device) for n in names}

    def pick(name: str, step: int) -> Tensor:
        rows = picks[name](step)
        return data.to_float(rows) if rows.dtype == torch.uint8 else rows.float()

    def gcfsr_batch(step: int) -> Batch:
        """GCFSR: reduced by a factor each, enlarged again."""
        real = pick("high", step)
        mirrored = (torch.rand(len(real), 1, 1, 1) < 0.5).to(device)
        real = torch.where(mirrored, real.flip(-1), real)
        factors = degrade.draw_factors(len(real), draws, c["factors"])
        # Several processes reduce their own images alone.
        real, factors = parallel.part(real), factors[parallel.rank() :: parallel.size()]
        return Batch(condition(real, factors, c), real, real, parted=True)

    def degraded_batch(step: int) -> Batch:
        """Real-ESRGAN: degraded anew, exchanged with the pool."""
        assert pool is not None
        return degrade.training_batch(pick("high", step), pool, draws, degradation(c))

    def plain_batch(step: int) -> Batch:
        """Real-ESRGAN: cropped and reduced."""
        real = pick("high", step)
        real, _ = degrade.crop_pair(real, real, c["size"], draws)
        return Batch(reduce(real, draws, c), real, degrade.sharpen(real, degradation(c).usm))

    def stored_batch(step: int) -> Batch:
        """Real-ESRGAN: a random crop of stored pairs and of the teacher's answers to them."""
        real, low = pick("high", step), pick("low", step)
        answer = pick("teacher", step) if teacher else degrade.sharpen(real, degradation(c).usm)
        whole, low = degrade.crop_pair(torch.cat([real, answer], 1), low, c["size"], draws)
        real, target, features = whole.split([3, 3, whole.shape[1] - 6], 1)
        return Batch(low, real, target, features if teacher else None)

    if c["stored"]:
        return Batches(stored_batch)
    new = gcfsr_batch if c["network"] == "GCFSR" else degraded_batch if pool else plain_batch
    if teacher is None:
        return Batches(new, pool)

    @torch.no_grad()
    def taught_batch(step: int) -> Batch:
        batch = parted(new(step))  # each process asks for its own images alone
        with stylegan2.stored_noise(teacher), taps(teacher, [tap(c)]) as activations:
            return dataclasses.replace(
                batch, target=teacher(batch.cond), features=activations[tap(c)]
            )

    return Batches(taught_batch, pool)


def condition(images: Tensor, factors: Sequence[int], c: Mapping[str, Any]) -> Tensor:
    """GCFSR's input: images reduced and enlarged by a factor each, and the factors."""
    share = torch.tensor(factors) / max(c["factors"])
    return gcfsr.condition(degrade.gcfsr_input(images, factors), share)


def reduce(
    images: Tensor,
    draws: torch.Generator,
    c: Mapping[str, Any],
    numbers: degrade.Degradation | None = None,
) -> Tensor:
    """Real-ESRGAN's inputs of images (N, 3, S, S): degraded by a draw, or bicubic, at 8-bit levels.

    ``numbers`` are those of the degradation, where they are not the unit's.
    """
    if c["network"] == PLAIN:
        side = images.shape[-1] // realesrgan.SCALE
        return data.to_float(data.to_uint8(degrade.bicubic(images, side, side)))
    return degrade.degrade(images, draws, numbers or degradation(c))


def degradation(c: Mapping[str, Any]) -> degrade.Degradation:
    """Real-ESRGAN's numbers, changed only where patches are too small for them."""
    return degrade.sized(c["square"], c["size"], c["pool"] or degrade.PAPER.pool)


# Networks -----------------------------------------------------------------------------------------


def generator(c: Mapping[str, Any], width: str, **changed: Any) -> nn.Module:
    """A new generator; ``width`` is the table's C: "1", "1/2", "1/4" or "1/8"."""
    residual = c.get("start") == "bicubic"
    make = enlarging.Residual if residual else NETWORKS[c["network"]][0]
    G = make(**{**c["net"], **changed}, width=share(width))
    if c.get("start") == "nearest":
        realesrgan.start_nearest(G)
    return G


def discriminator(c: Mapping[str, Any], width: str) -> nn.Module:
    """A new discriminator; at small presets width 1 is only a share of the published one."""
    return NETWORKS[c["network"]][1](**c["d_net"], width=share(width) * c["d_width"])


def share(width: str) -> float:
    """C as a number."""
    return float(Fraction(width))


def tap(c: Mapping[str, Any]) -> str:
    """The module whose output enters the last RGB layer: SDAKD's feature map."""
    return "last" if c["network"] != "GCFSR" else f"decoder.b{c['size']}.conv1"


def four_taps(G: nn.Module, c: Mapping[str, Any]) -> list[str]:
    """Where OMGD and DCD compare maps: four modules, as evenly over the generator as it has them.

    Real-ESRGAN: blocks. GCFSR: the modulated layers of the decoder or, where it has fewer than
    four resolutions, the last four layers of any kind.
    """
    layers = [name for name, m in G.named_modules() if isinstance(m, gcfsr.FeatureConv)]
    if c["network"] != "GCFSR":
        layers = [name for name, m in G.named_modules() if isinstance(m, realesrgan.RRDB)]
    if len(layers) < 4:
        layers = [name for name, m in G.named_modules() if isinstance(m, stylegan2.StyleConv)]
    return [layers[math.ceil(len(layers) * i / 4) - 1] for i in range(1, 5)]


def example(c: Mapping[str, Any]) -> Tensor:
    """One input of a generator, of the size that it is trained on, all 0."""
    channels, side = (4, c["size"]) if c["network"] == "GCFSR" else (3, c["size"] // 4)
    return torch.zeros(1, channels, side, side)


def teacher_generator(run: Run) -> nn.Module:
    """The frozen teacher of a unit: the released generator, or GCFSR's of stage 1."""
    c = run.config
    if c["network"] != "GCFSR":
        return load_released(str(run.device))
    T = load_network(generator(c, "1"), run.weights_of("teacher"), "G")
    return frozen(T).to(run.device)


# Held-out examples --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Example:
    """Inputs at one factor, the ground truth of them, and the teacher's answers: (N, ...)."""

    cond: Tensor
    truth: Tensor
    teacher: Tensor


def examples(run: Run, part: str) -> dict[str, Example]:
    """Held-out inputs by factor: "16x", ... of GCFSR, "4x" of Real-ESRGAN."""
    c = run.config
    truth = floats(run, "high", part)
    if c["network"] != "GCFSR":
        low = floats(run, "low", part)
        teacher = floats(run, "teacher", part).clamp(-1, 1)
        return {"4x": Example(low, truth, teacher)}
    conds = {f"{f}x": condition(truth, [f] * len(truth), c) for f in c["shown"]}
    if c["method"] == "teacher":
        return {label: Example(cond, truth, truth) for label, cond in conds.items()}
    its = floats(run, "teacher", part).split(3, 1)
    return {
        label: Example(cond, truth, answer)
        for (label, cond), answer in zip(conds.items(), its, strict=True)
    }


def enlarge(cond: Tensor, like: Tensor) -> Tensor:
    """Inputs as images of the size of others: GCFSR's are, Real-ESRGAN's grow bicubically.

    It is what costs nothing.
    """
    shown, (height, width) = cond[:, :3], like.shape[-2:]
    if shown.shape[-2:] == like.shape[-2:]:
        return shown
    return degrade.bicubic(shown, height, width).clamp(-1, 1)
