"""What measures where an image has no ground truth: a unit of its own, shared by papers A and C.

A classifier trained on the data set or, where it has no labels, an ImageNet network. Inception
joins it at presets gpu and paper, where its weights are there.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from ganzip import assets, data, features, metrics, presets, sets
from ganzip.data import Images
from ganzip.features import Features
from ganzip.measure.images import distances, score_numbers
from ganzip.measure.rows import Number, rows
from ganzip.train import Batch, Player, Terms, cosine, frozen, step_seed
from ganzip.units import ABSENT, Run, Unit, code_hash, load_network

REFERENCE = 10_000  # real images, at most, that generated ones are compared with; all at paper
UNLABELLED = 500  # images measured where an ImageNet network judges, which is slow on a CPU
FULL = ("gpu", "paper")  # presets that measure as many images of any data, by Inception if here


def stand_in(facts: sets.Facts) -> Callable[..., Images]:
    """In the place of ``data.load_or_recall`` where the images are not here, to count a plan.

    Its units bear the fingerprint ``ABSENT`` and are never trained.
    """

    def find(name: str, *, size: int, channels: int | None = None, cache: Path) -> Images:
        del name, cache
        shape = (1, channels or facts.channels, size, size)
        description = {"name": facts.name, "count": 0, "size": size, "channels": shape[1]}
        description |= {"classes": facts.classes, "fingerprint": ABSENT}
        pixels = torch.full(shape, 0 if facts.dark else 128).byte()
        return Images(facts.name, pixels, None, ABSENT, description)

    return find


@dataclass(frozen=True)
class Judge:
    """What measures, and the features of real images.

    networks: features by the name that their metrics bear. real: those of training images, by that
    name, on a GPU where there is one: of 10,000 images it compares them in a second, a core of a
    CPU in twenty. classifier: where the data set has labels.
    """

    networks: Mapping[str, Features]
    real: Mapping[str, Tensor]
    classifier: features.Classifier | None


def settings(images: Images, preset: str, n_images: int) -> dict[str, Any]:
    """What units that measure have in common: the data, and how many images a metric sees."""
    full = preset in FULL
    return {
        "data": images.name,
        "fingerprint": images.fingerprint,
        "channels": images.pixels.shape[1],
        "preset": preset,
        "precision": presets.precision(preset),
        "n_images": n_images if images.classes or full else min(n_images, UNLABELLED),
        "inception": full and assets.available("inception"),
    }


def unit(
    paper: str, common: Mapping[str, Any], images: Images, steps: int, source: str, *, batch: int
) -> Unit:
    """The judge's unit: ``steps`` batches of training, where there are labels."""
    own = {"method": "judge", "classes": images.classes, "steps": steps, "seed": 0, "batch": batch}
    if common["preset"] in FULL:
        own["reference"] = len(images) if common["preset"] == "paper" else REFERENCE
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


def train_judge(run: Run, images: Images) -> Judge:
    """Train the judge on images, in its own unit."""
    c, classifier = run.config, None
    if images.classes:
        torch.manual_seed(step_seed(c["seed"], -1))
        classifier = net = _classifier(run, images.classes)
        adam = Adam(net.parameters(), 1e-3, fused=True)

        def terms(batch: Batch) -> Terms:
            assert batch.target is not None
            return {"cross entropy": F.cross_entropy(net(batch.cond), batch.target)}

        assert images.labels is not None
        indices = data.batch_indices(len(images), c["batch"], c["seed"])
        both = images.pixels, images.labels
        pixels, labels = (data.batches_of(rows, indices, run.device) for rows in both)

        def batch(step: int) -> Batch:
            return Batch(data.to_float(pixels(step)), target=labels(step))

        learner = Player("judge", adam, terms, lr=cosine(2e-3, c["steps"]))
        run.train([learner], batch, c["steps"], {"judge": net})
        frozen(net)
    networks = feature_networks(run, classifier)
    most = c.get("reference", REFERENCE if images.classes else 4 * UNLABELLED)
    some = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:most]

    def embed(network: Features) -> Tensor:
        """In parts, for 70,000 images of 256 pixels are 55 GB of floats."""
        parts = (data.to_float(images.pixels[part]) for part in some.split(REFERENCE))
        return torch.cat([features.embed(network, part) for part in parts])

    real = {name: near(embed(net), run.device) for name, net in networks.items()}
    return Judge(networks, real, classifier)


def judge_of(run: Run) -> Judge:
    """The finished judge that a unit needs."""
    weights, classifier = run.weights_of("judge"), None
    classes = run.unit.needs["judge"].config["classes"]
    if classes:
        classifier = _classifier(run, classes)
        frozen(load_network(classifier, weights, "judge"))
    networks = feature_networks(run, classifier)
    real = {name: near(weights[f"real.{name}"], run.device) for name in networks}
    return Judge(networks, real, classifier)


def _classifier(run: Run, classes: int) -> features.Classifier:
    shape = {"channels": run.config["channels"], "size": run.config["size"]}
    return features.Classifier(classes, **shape).to(run.device)


def near(features: Tensor, device: torch.device) -> Tensor:
    """Features where they are compared: on a GPU, else on the CPU."""
    return features.to(device) if device.type == "cuda" else features


def work(
    run: Run,
    numbers: Callable[[Judge, Tensor], Iterable[Number]],
    labels: Mapping[str, Any],
    *,
    accurate: bool = True,
) -> None:
    """Do the judge's unit. Its rows are those of real held-out images: a perfect generator's.

    numbers: those of a judge and images. accurate: whether the classifier's accuracy has a row.
    """
    images, test = load_images(run), load_images(run, "test")
    judge, found = train_judge(run, images), list[Number]()
    if accurate and judge.classifier is not None and test.labels is not None:
        answer = features.probabilities(judge.classifier, data.to_float(test.pixels)).argmax(1)
        right = 100 * (answer == test.labels).double().mean().item()
        found.append(Number("accuracy", right, "%", len(test)))
    real = data.to_float(test.pixels[: run.config["n_images"]])
    net = {} if judge.classifier is None else {"judge": judge.classifier}
    run.finish({**net, "real": judge.real}, rows(run, [*found, *numbers(judge, real)], labels))


def scores(judge: Judge, images: Tensor) -> dict[str, float]:
    """Distances of images from the real ones, precision and recall, by metric.

    A metric's name ends in that of the features.
    """
    found: dict[str, float] = {}
    for name, network in judge.networks.items():
        real = judge.real[name]
        ours = features.embed(network, images).to(real.device)
        precision, recall = metrics.precision_recall(real, ours)
        found |= distances(name, ours, real)
        found |= {f"precision-{name}": precision, f"recall-{name}": recall}
    return found


def image_numbers(judge: Judge, images: Tensor) -> list[Number]:
    """``scores`` of images."""
    return score_numbers(scores(judge, images), len(images))


def feature_networks(run: Run, classifier: features.Classifier | None) -> dict[str, Features]:
    """The features that measure, by the name that their metrics bear."""
    device = str(run.device)
    if classifier is not None:
        network = features.classifier(classifier, Path(run.config["data"]).stem)
    else:
        network = imagenet(device)
    found = {network.name: network}
    if run.config["inception"]:
        mode = "legacy_tensorflow" if run.unit.paper == "nickel_dime" else "clean"
        found["inception"] = imagenet(device, inception=mode)
    return found


@lru_cache(maxsize=2)
def imagenet(device: str, *, inception: str = "") -> Features:
    """A network that knows ImageNet and never trains: EfficientNet-Lite2, or Inception.

    inception: clean-fid's mode. StyleGAN2's papers resize inside of the network.
    """
    if inception:
        return features.inception(assets.require("inception"), inception, device=device)
    return features.efficientnet_lite(2, device=device)
