"""What measures where an image has no ground truth: a unit of its own, shared by papers A and C.

A classifier trained on the data set or, where it has no labels, an ImageNet network. Inception
joins it at presets gpu and paper, where its weights are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzip import assets, data, features, metrics, presets
from ganzip.data import Images
from ganzip.features import Features
from ganzip.train import Batch, Player, Terms, cosine, frozen, step_seed
from ganzip.units import ABSENT, Run, Unit, code_hash, compute_once, load_network

REFERENCE = 10_000  # real images, at most, that generated ones are compared with
UNLABELLED = 500  # images measured where an ImageNet network judges, which is slow on a CPU
HELD_OUT = 190200159  # seed of the noise on which every generator is measured


def stand_in(facts: presets.Facts) -> Callable[..., Images]:
    """In the place of ``data.known`` where the images are not here: a plan that is only counted.

    Its units bear the fingerprint ``ABSENT`` and are never trained.
    """

    def find(name: str, *, size: int, channels: int | None = None, cache: Path) -> Images:
        del name, cache
        shape = (1, channels or facts.channels, size, size)
        said = {"name": facts.name, "count": 0, "size": size, "channels": shape[1]}
        said |= {"classes": facts.classes, "fingerprint": ABSENT}
        level = 0 if facts.dark else 128
        return Images(facts.name, torch.full(shape, level).byte(), None, ABSENT, said)

    return find


@dataclass(frozen=True)
class Judge:
    """What measures, and what it sees in real images.

    eyes: features by the name that their metrics bear. real: those of training images, by eye.
    classifier: where the data set has labels.
    """

    eyes: Mapping[str, Features]
    real: Mapping[str, Tensor]
    classifier: features.Classifier | None

    @property
    def tensors(self) -> dict[str, nn.Module | Mapping[str, Tensor]]:
        """What a unit has to keep of it."""
        net = self.classifier
        return {"real": self.real} if net is None else {"judge": net, "real": self.real}


def settings(images: Images, preset: str, n_images: int) -> dict[str, Any]:
    """What units that measure have in common: the data, and how many images a metric sees."""
    return {
        "data": images.name,
        "fingerprint": images.fingerprint,
        "channels": images.pixels.shape[1],
        "preset": preset,
        "precision": presets.precision(preset),
        "n_images": n_images if images.classes else min(n_images, UNLABELLED),
        "inception": preset in ("gpu", "paper") and assets.available("inception"),
    }


def unit(
    paper: str, common: Mapping[str, Any], images: Images, steps: int, source: str, *, batch: int
) -> Unit:
    """The judge's unit: ``steps`` batches of training, where there are labels."""
    own = {"method": "judge", "classes": images.classes, "steps": steps, "seed": 0, "batch": batch}
    config = {**common, **own, "code": code_hash(features)}
    return Unit(paper, "judge", config, cost=steps / 2, source=source)


def load_images(run: Run, split: str = "train") -> Images:
    """The images that a unit was planned for; raises DataError where they have changed."""
    c, cache = run.config, run.root / "cache"
    images = data.load(
        run.unit.source, size=c["size"], channels=c["channels"], split=split, cache=cache
    )
    if split == "train" and images.fingerprint != c["fingerprint"]:
        raise data.DataError(
            f"{c['data']}: the images have fingerprint {images.fingerprint}, this unit was planned "
            f"for {c['fingerprint']}; plan again, or bring the old images back"
        )
    return images


def pictures(
    draw: Callable[[Unit, Path, Tensor], Tensor],
    units: Mapping[str, Unit],
    root: Path,
    z: Tensor,
    name: str,
) -> dict[str, Tensor]:
    """What several finished units make of the same z, in 8 bits: for a figure, kept by its name.

    draw: ``images_of`` of the paper. units: by the label that their images have.
    """

    def drawn(unit: Unit) -> Tensor:
        return data.to_uint8(draw(unit, root, z))

    asked = z[:, :2].clone()  # enough to tell other noise
    return {
        label: data.to_float(compute_once(unit, root, name, lambda unit=unit: drawn(unit), asked))
        for label, unit in units.items()
    }


def trained(run: Run, images: Images) -> Judge:
    """Train the judge on images, in its own unit."""
    c, net = run.config, None
    if images.classes:
        torch.manual_seed(step_seed(c["seed"], -1))
        shape = {"channels": c["channels"], "size": c["size"]}
        net = features.Classifier(images.classes, **shape).to(run.device)
        adam = Adam(net.parameters(), 1e-3, fused=True)

        def terms(batch: Batch) -> Terms:
            assert batch.target is not None
            return {"cross entropy": F.cross_entropy(net(batch.cond), batch.target)}

        learner = Player("judge", adam, terms, lr=cosine(2e-3, c["steps"]))
        run.train([learner], labelled_batches(images, run), c["steps"], {"judge": net})
        frozen(net)
    seeing = eyes(run, net)
    most = REFERENCE if images.classes else 4 * UNLABELLED
    some = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:most]
    shown = data.to_float(images.pixels[some])
    return Judge(seeing, {name: features.embed(eye, shown) for name, eye in seeing.items()}, net)


def of(run: Run) -> Judge:
    """The finished judge that a unit needs."""
    weights, net = run.needed("judge"), None
    classes = run.unit.needs["judge"].config["classes"]
    if classes:
        shape = {"channels": run.config["channels"], "size": run.config["size"]}
        net = features.Classifier(classes, **shape)
        frozen(load_network(net.to(run.device), weights, "judge"))
    seeing = eyes(run, net)
    return Judge(seeing, {name: weights[f"real.{name}"] for name in seeing}, net)


def work(
    run: Run,
    rows: Callable[[Judge, Tensor], list[dict[str, Any]]],
    row: Callable[..., dict[str, Any]] | None = None,
) -> None:
    """Do the judge's unit. Its rows are those of real held-out images: a perfect generator's.

    rows: those of a judge and images. row: of a number, for the classifier's accuracy.
    """
    images, test = load_images(run), load_images(run, "test")
    judge, found = trained(run, images), []
    if row and images.classes:
        found.append(row(run, "accuracy", accuracy(judge, test), "%", len(test)))
    shown = data.to_float(test.pixels[: run.config["n_images"]])
    run.finish(judge.tensors, [*found, *rows(judge, shown)])


def distances(name: str, seen: Tensor, real: Tensor) -> dict[str, float]:
    """Frechet and kernel (1e-3) distance of images' features from real ones', by metric."""
    return {
        "FID" if name == "inception" else f"FD-{name}": metrics.frechet_distance(seen, real),
        f"KID-{name}": 1000 * metrics.kernel_distance(seen, real)[0],
    }


def unit_of(metric: str) -> str:
    """The unit of a distance."""
    return "1e-3" if metric.startswith("KID") else ""


def eyes(run: Run, classifier: features.Classifier | None) -> dict[str, Features]:
    """The features that measure, by the name that their metrics bear."""
    device = str(run.device)
    if classifier is not None:
        eye = features.classifier(classifier, Path(run.config["data"]).stem)
    else:
        eye = features.efficientnet_lite(2, device=device)
    found = {eye.name: eye}
    if run.config["inception"]:
        found["inception"] = features.inception(assets.require("inception"), device=device)
    return found


def accuracy(judge: Judge, test: Images) -> float:
    """Percent of held-out images that the judge's classifier names rightly."""
    assert judge.classifier is not None and test.labels is not None
    named = features.probabilities(judge.classifier, data.to_float(test.pixels)).argmax(1)
    return 100 * (named == test.labels).double().mean().item()


def labelled_batches(images: Images, run: Run) -> Callable[[int], Batch]:
    """Images as what the network is given, labels as what it should answer."""
    indices = data.batch_indices(len(images), run.config["batch"], run.config["seed"])
    assert images.labels is not None
    shown, labels = (
        data.batches_of(rows, indices, run.device) for rows in (images.pixels, images.labels)
    )
    return lambda step: Batch(data.to_float(shown(step)), target=labels(step))


def noise(n: int, latent: int) -> Tensor:
    """The first n of one fixed list of z from N(0, I), never seen in training."""
    return torch.randn(n, latent, generator=torch.Generator().manual_seed(HELD_OUT))
