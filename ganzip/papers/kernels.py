"""Paper C: the features through which methods compare images, and the units that train them.

DiME's kernels are foundation models where their files are, and otherwise two stand-ins: an encoder
that learns the data without labels, and EfficientNet-Lite0. Neither measures.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam

from ganzip import assets, data, features, metrics, parallel
from ganzip.data import Images
from ganzip.losses import Distance
from ganzip.measure import judging
from ganzip.measure.images import fix_noise, noise
from ganzip.measure.rows import Number
from ganzip.methods import contrastive, nickel_dime
from ganzip.nets import encoder
from ganzip.papers import perceptual
from ganzip.presets import NickelDime
from ganzip.train import Batch, cosine, frozen, step_seed
from ganzip.units import Run, Unit, load_network

FOUNDATION = ("dino-rn50", "clip-rn50")


def both(preset: NickelDime) -> tuple[str, str]:
    """DiME's two kernels: DINO and CLIP where their files are; else stand-ins, the main one first.

    Foundation models are used at presets gpu and paper alone.
    """
    if preset.name not in ("gpu", "paper"):
        return "contrastive", "efflite0"
    here = [name for name in FOUNDATION if assets.available(name)]
    first, second, *_ = [*here, "efflite0", "contrastive"]
    return first, second


def main(preset: NickelDime) -> tuple[str, ...]:
    """What DiME's rows compare images through: both foundation models, or one stand-in."""
    return both(preset) if both(preset) == FOUNDATION else both(preset)[:1]


def ablations(preset: NickelDime) -> list[tuple[str, ...]]:
    """The kernels of the ablation: either, and both, but for what DiME's own rows have."""
    first, second = both(preset)
    return [s for s in ((first,), (second,), (first, second)) if s != main(preset)]


def distance_net(preset: NickelDime) -> str:
    """What compares images for the methods that imitate the teacher's, in the place of LPIPS."""
    if preset.name not in ("gpu", "paper"):
        return "contrastive"
    return "vgg16" if assets.available("vgg16") else "efflite0"


def distance(run: Run) -> Distance:
    """The perceptual distance of the methods that imitate."""
    c, device = run.config, str(run.device)
    if c["distance"] == "contrastive":
        net = encoder_of(run.unit.needs["encoder"], run.root).to(run.device)
        return perceptual.even(net.maps, 3)
    if c["distance"] == "vgg16":
        net = features.vgg(assets.require("vgg16"), 16, perceptual.VGG16, device=device)
        return perceptual.even(net.extract, 4)
    return perceptual.lite_distance(c["size"], device)


# The encoder --------------------------------------------------------------------------------------


def train_encoder(run: Run) -> tuple[nn.Module, list[Number]]:
    """An encoder of the data, without labels, and what it learnt."""
    c = run.config
    images, test = judging.load_images(run), judging.load_images(run, "test")
    net = encoder.Encoder(c["channels"]).to(run.device)
    head = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64)).to(run.device)
    adam = Adam([*net.parameters(), *head.parameters()], fused=True)
    real = data.real_batches(images, c["batch"], c["seed"], run.device)

    def batch(step: int) -> Batch:
        shown = real(step)
        return Batch(shown, real=shown)

    players = [
        dataclasses.replace(player, lr=cosine(3e-3, c["steps"]))
        for player in contrastive.contrastive(net, head, adam)
    ]
    run.train(players, batch, c["steps"], {"encoder": net, "head": head})
    return frozen(net), encoder_numbers(net, images, test, run.device)


def encoder_numbers(
    net: nn.Module, images: Images, test: Images, device: torch.device
) -> list[Number]:
    """What an encoder learnt without labels: how often the nearest training image has one's own."""
    found = [Number("parameters", metrics.params(net))]
    if images.labels is not None and test.labels is not None:
        some = slice(0, judging.REFERENCE)
        network = features.Features("contrastive", 128, lambda x: net(x.to(device)))
        theirs, ours = (
            features.embed(network, data.to_float(x.pixels[some])) for x in (images, test)
        )
        nearest = images.labels[some][torch.cdist(ours, theirs).argmin(1)]
        right = 100 * (nearest == test.labels[some]).double().mean().item()
        found.append(Number("accuracy of the nearest neighbour", right, "%", len(ours)))
    return found


def encoder_of(unit: Unit, root: Path) -> encoder.Encoder:
    """The finished encoder, frozen."""
    net = encoder.Encoder(unit.config["channels"])
    frozen(load_network(net, unit.weights(root), "encoder"))
    return net


# DiME's kernels -----------------------------------------------------------------------------------


@torch.no_grad()
def take_moments(run: Run, T: nn.Module) -> tuple[nickel_dime.Moments, list[Number]]:
    """DiME's global features, moments of a kernel over many images of the teacher, in float64.

    And floors: DiME's unweighted term for so many of the teacher's own images, below which no
    student can go.
    """
    c, embed = run.config, embedding(run.unit, run.root, run.device)
    torch.manual_seed(step_seed(c["seed"], -2))
    parts = torch.randn(c["moments"], c["latent"]).split(c["batch"])
    found = [embed(T(z.to(run.device))).cpu() for z in parts]
    whole, some = nickel_dime.global_moments(found), torch.cat(found[:64])

    def floor(n: int) -> float:
        gaps = [nickel_dime.discrepancy(part, whole, "l1_moments") for part in some.split(n)]
        return torch.stack(gaps).mean().item()

    counts = dict.fromkeys((c["batch"], 4 * c["batch"]))
    return whole, [Number(f"DiME's floor, {n} images", floor(n), "", n) for n in counts]


def embedding(unit: Unit, root: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The features of the kernel whose moments a unit takes; foundation models see raw images."""
    name = unit.config["kernel"]
    if name == "contrastive":
        return encoder_of(unit.needs["encoder"], root).to(device)
    if name == "efflite0":
        return perceptual.lite_embedding(unit.config["lite"], str(device))
    network = {"clip-rn50": features.clip, "dino-rn50": features.dino}[name]
    return network(assets.require(name), raw=True, device=str(device)).extract


def kernels_of(run: Run, S: nn.Module, T: nn.Module) -> list[nickel_dime.Kernel]:
    """DiME's kernels with their targets and weights.

    Those that the paper has no weight for share ``dime`` equally, by their terms for the first
    images of the pruned student.
    """
    c, found = run.config, []
    for name in c["kernels"]:
        unit = run.unit.needs[name]
        weights = unit.weights(run.root)
        first, second = (weights[f"moments.{k}"].to(run.device) for k in ("first", "second"))
        target = nickel_dime.Moments(first, second, unit.config["moments"])
        embed = embedding(unit, run.root, run.device)
        kernel = nickel_dime.Kernel(name, embed, 1.0, None if c["by_batch"] else target)
        weight = nickel_dime.WEIGHTS.get(name)
        if weight is None:
            weight = c["dime"] / len(c["kernels"]) / first_gap(run, kernel, S, T)

        def whole(images: Tensor, embed: Callable[[Tensor], Tensor] = embed) -> Tensor:
            """Moments are of all images of the batch, whatever the number of processes."""
            return parallel.gathered(embed(images))

        found.append(dataclasses.replace(kernel, weight=weight, embed=whole))
    return found


def first_gap(run: Run, kernel: nickel_dime.Kernel, S: nn.Module, T: nn.Module) -> float:
    """DiME's unweighted term for the first batch of the student's images."""
    c = run.config
    z = noise(c["batch"], c["latent"]).to(run.device)
    with fix_noise(run.device), features.evaluating(S):
        return nickel_dime.dime(kernel, S(z), T(z), moment_batch=c["moment_batch"]).item()
