"""A GAN of one's own: its networks, what its method is handed, what it sees and is measured on.

Where inputs are images, training pairs are a finite set, and the teacher's answers to them are
computed once.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ganzip import data, files, prune
from ganzip.distil import family, views
from ganzip.distil.compose import METHODS
from ganzip.distil.family import Adapter
from ganzip.distil.recipe import Recipe
from ganzip.distil.setup import Setup, absent
from ganzip.measure import judging
from ganzip.measure.images import images_of
from ganzip.methods import nickel_dime
from ganzip.nets import stylegan2
from ganzip.papers import adapters, perceptual
from ganzip.papers import super_resolution as sr
from ganzip.taps import taps
from ganzip.train import Batch, frozen, step_seed
from ganzip.units import Run, Unit, load_network


def recipe_of(a: Adapter, c: Mapping[str, Any]) -> Recipe:
    """How a unit's networks are trained."""
    return Recipe(
        steps=c["steps"], lr=c["lr"], d_lr=c["d_lr"], betas=tuple(c["betas"]), cosine=True,
        decay=c["ema"], step_decay=c["ema"], gamma=a.gamma, mask=c["mask"], langevin=c["langevin"],
        moment_batch=c["batch"],
    )  # fmt: skip


def setup_of(
    a: Adapter,
    c: Mapping[str, Any],
    device: torch.device,
    draw: Callable[[int], Batch],
    new: Callable[[str, Callable[[], Any]], Any],
    *,
    start: Mapping[str, Tensor] | None = None,
    T: nn.Module | None = None,
    D: nn.Module | None = None,
    target: Callable[[], nickel_dime.Moments] = absent,
    stored_teacher: nn.Module | None = None,
) -> Setup:
    """What a method is handed: networks of the adapter, made by ``new``.

    start: the first weights of a student, None for those of a new one. T, D: the frozen teacher's.
    target: moments of the teacher's images.
    """

    def fresh() -> nn.Module:
        return new("G", lambda: family.build(a, c["width"]))

    def cut(wide: nn.Module) -> nn.Module:
        z = torch.randn(256, a.latent, generator=torch.Generator().manual_seed(0))
        scores = prune.style_scale(wide, z.to(device))
        return prune.cut(wide, fresh(), prune.keep(scores, round(1 - c["width"], 6)))

    def kernels(G: nn.Module) -> list[nickel_dime.Kernel]:
        kernel = nickel_dime.Kernel(
            "efflite0", perceptual.lite_embedding(c["lite"], str(device)), 1.0, target()
        )
        torch.manual_seed(step_seed(c["seed"], "gap"))
        with torch.no_grad():
            gap = nickel_dime.dime(kernel, G(draw(0).cond)).item()
        return [dataclasses.replace(kernel, weight=c["dime"] / gap)]

    def truth(step: int) -> Batch:
        batch = draw(step)
        return dataclasses.replace(batch, target=batch.real)

    return Setup(
        adapter=a, recipe=recipe_of(a, c), width=c["width"], device=device, draw=draw, new=new,
        truth=None if a.latent else truth,
        fresh=fresh,
        student=lambda: fresh() if start is None else load_network(fresh(), start, "G"),
        cut=cut, critic=lambda width, name: new(name, lambda: a.critic(width)),
        judge=lambda: copy.deepcopy(cast(nn.Module, D)).train().requires_grad_(True),
        kernels=kernels, distance=lambda: perceptual.lite_distance(a.size, str(device)),
        maps=lambda: perceptual.lite_maps(a.size, str(device)), T=T or nn.Identity(),
        stored_teacher=stored_teacher,
    )  # fmt: skip


def critic_of(unit: Unit, root: Path, a: Adapter, width: float = 1.0) -> nn.Module:
    """The frozen discriminator that a unit keeps."""
    return frozen(load_network(a.critic(width), unit.weights(root), "D"))


def student_of(unit: Unit, root: Path, adapter: Adapter | None = None) -> nn.Module:
    """The trained student of a finished unit, frozen."""
    a = adapter or adapter_of(unit)
    net = family.build(a, unit.config["width"])
    return frozen(load_network(net, unit.weights(root), "G"))


def adapter_of(unit: Unit) -> Adapter:
    """The adapter that a unit's configuration names."""
    return adapters.load(unit.config["adapter"], preset=unit.config["preset"])


# Data ---------------------------------------------------------------------------------------------


def teacher_of(unit: Unit, root: Path, adapter: Adapter | None = None) -> nn.Module:
    """The frozen teacher of a unit: the adapter's, else the one that was trained."""
    a = adapter or adapter_of(unit)
    state = family.teacher_state(a)
    if state is not None:
        return family.load_teacher(a, state)
    needed = unit.needs["teacher"]
    return frozen(load_network(a.full(), needed.weights(root), "G"))


def batches(
    run: Run, a: Adapter, T: nn.Module | None, stored_teacher: views.StoredTeacher | None = None
) -> Callable[[int], Batch]:
    """Batches: inputs, real images, as target the teacher's, its last feature map for SDAKD.

    Without T the target is the truth, if there is one. ``stored_teacher`` is given every target.
    """
    if a.latent:
        return from_noise(run, a, T)
    c, with_map = run.config, run.config["method"] == "SDAKD"
    indices = data.batch_indices(c["count"]["train"], c["batch"], c["seed"])
    names = ("high", "cond") if T is None else ("high", "cond", "answer")
    picks = [
        data.batches_of(stored(run, a, name, "train", T), indices, run.device) for name in names
    ]
    image, shape = answer_shapes(a)

    def batch(step: int) -> Batch:
        real, cond, *rest = (pick(step) for pick in picks)
        real, cond = data.to_float(real), cond.float()
        if not rest:
            return Batch(cond, real, real)
        k = math.prod(image)
        target = rest[0][:, :k].float().unflatten(1, image)
        shown = rest[0][:, k:].float().unflatten(1, shape) if with_map else None
        if stored_teacher is not None:
            stored_teacher.synthesis.images = target
        return Batch(cond, real, target, shown)

    return batch


def from_noise(run: Run, a: Adapter, T: nn.Module | None) -> Callable[[int], Batch]:
    """Noise and real images, the teacher's answer to it where the method asks for one."""
    c, device, method = run.config, run.device, run.config["method"]
    real = data.real_batches(judging.load_images(run), c["batch"], c["seed"], device)
    asked = method in ("common", "teacher") or METHODS[method].by_answer
    last = views.four_layers(a)[-1]
    picks = None
    if T is not None and "pairs" in c:
        pool = data.batch_indices(c["pairs"], c["batch"], c["seed"])
        picks = [data.batches_of(rows, pool, device) for rows in pairs(run, a, T)]

    @torch.no_grad()
    def batch(step: int) -> Batch:
        z, shown = torch.randn(c["batch"], a.latent, device=device), real(step)
        if T is None or not asked:
            return Batch(z, shown)
        if picks is not None:
            rows, images = (pick(step) for pick in picks)
            return Batch(rows, shown, data.to_float(images))
        with stylegan2.stored_noise(T), taps(T, [last]) as activations:
            target = T(z)
        return Batch(z, shown, target, activations[last])

    return batch


def pairs(run: Run, a: Adapter, T: nn.Module) -> tuple[Tensor, Tensor]:
    """A finite set of noise (n, latent), and the teacher's images of it, uint8, computed once."""
    c, n = run.config, run.config["pairs"]
    noise = torch.randn(n, a.latent, generator=torch.Generator().manual_seed(n))

    @torch.no_grad()
    def answer(start: int, stop: int) -> np.ndarray:
        with stylegan2.stored_noise(T):
            return data.to_uint8(T(noise[start:stop].to(run.device)).cpu()).numpy()

    path = cache(run, a, f"images-{n}", by_teacher=True)
    shape = (n, a.channels, c["size"], c["size"])
    return noise, files.memmap(path, shape, "uint8", answer, chunk=256)


def cache(run: Run, a: Adapter, what: str, *, by_teacher: bool) -> Path:
    """Where something of this data, and of this teacher, is kept."""
    c = run.config
    kept = [c["networks"], c["fingerprint"], c["size"], c.get("span", 0), what]
    if by_teacher and a.weights is None:
        kept.append(run.unit.needs["teacher"].key)
    digest = hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:12]
    return run.root / run.unit.paper / "cache" / f"{a.name}-{what}-{digest}.npy"


def stored(run: Run, a: Adapter, what: str, part: str, T: nn.Module | None) -> Tensor:
    """What is computed once for a set of photos.

    "high": squares, uint8 (n, channels, size, size). "cond": inputs, float16, each made of one by a
    draw of its own. "answer": the teacher's image of it and its last feature map, flat, float16.
    """
    c, n = run.config, run.config["count"][part]
    path = cache(run, a, f"{what}-{part}-{n}", by_teacher=what == "answer")

    def high(start: int, stop: int) -> np.ndarray:
        square = sr.squares(sr.pieces_of(run), part, c)
        images = torch.stack([square(i) for i in range(start, stop)])
        if a.channels == 1:
            images = images.float().mean(1, keepdim=True).round().byte()
        return images.numpy()

    def cond(start: int, stop: int) -> np.ndarray:
        drawn = []
        for i in range(start, stop):
            draws = torch.Generator().manual_seed(step_seed(len(part), i))
            image = data.to_float(stored(run, a, "high", part, T)[[i]])
            drawn.append(a.given(image, draws))
        return torch.cat(drawn).half().numpy()

    @torch.no_grad()
    def answer(start: int, stop: int) -> np.ndarray:
        teacher = teacher_of(run.unit, run.root, a).to(run.device) if T is None else T
        given = stored(run, a, "cond", part, T)[start:stop].float()
        last = views.four_layers(a)[-1]
        with stylegan2.stored_noise(teacher), taps(teacher, [last]) as activations:
            image = teacher(given.to(run.device))
        flat = torch.cat([image.flatten(1), activations[last].flatten(1)], 1)
        return flat.half().cpu().numpy()

    fill, shape, dtype, chunk = {
        "high": (high, (a.channels, c["size"], c["size"]), "uint8", 64),
        "cond": (cond, a.example().shape[1:], "float16", 64),
        "answer": (answer, (sum(map(math.prod, answer_shapes(a))),), "float16", 4),
    }[what]
    return files.memmap(path, (n, *shape), dtype, fill, chunk=chunk)


@lru_cache(maxsize=family.ADAPTERS)
def answer_shapes(a: Adapter) -> tuple[torch.Size, torch.Size]:
    """Shapes of the teacher's image and of its last feature map."""
    with torch.device("meta"):
        G = a.full()
    last = views.four_layers(a)[-1]
    (shape,) = views.shapes(G, a.example(2).to("meta"), [last])
    return torch.Size([a.channels, a.size, a.size]), shape[1:]


def test_pairs(run: Run, a: Adapter) -> tuple[Tensor, Tensor, Tensor]:
    """Test inputs, the truth of them, and the teacher's answers."""
    cond, high, flat = (stored(run, a, what, "test", None) for what in ("cond", "high", "answer"))
    image, _ = answer_shapes(a)
    wanted = flat[:, : math.prod(image)].float().unflatten(1, image).clamp(-1, 1)
    return cond.float(), data.to_float(high), wanted


def sampler(run: Run, a: Adapter, G: nn.Module) -> Callable[[], Tensor]:
    """The function that draws what is kept over training."""
    seeded = torch.Generator().manual_seed(0)
    if a.latent:
        shown = torch.randn(16, a.latent, generator=seeded)
    else:
        shown = stored(run, a, "cond", "test", None)[:8].float()
    return lambda: images_of(G, shown)
