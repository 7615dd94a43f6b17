"""Every method of the three papers on any generator that an adapter describes.

Methods of paper C draw by styles; ``adapters.view`` lets generators without styles be drawn so.
Where an input is an image, the losses of NICKEL and DiME, which compare distributions, stand beside
an L1 to the teacher's image: nothing else would tie an answer to its input.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzip import features, losses, prune
from ganzip.losses import Distance, Supervision
from ganzip.methods import cagc, dcd, gan, gcc, gs, itgc, mse_joint, nickel_dime, omgd, sdakd
from ganzip.methods import stylekd as skd
from ganzip.nets import connectors, energy
from ganzip.papers import adapters
from ganzip.papers import nickel_dime as paper_c
from ganzip.papers.adapters import Adapter
from ganzip.taps import taps
from ganzip.train import Batch, Player, averaged, cosine, memory, step_seed

CONTROL = "control"
NAIVE = ("naive (C,1)", "naive (C,C)")
METHODS: dict[str, tuple[str, ...]] = {
    "": (CONTROL,),
    "A": ("mse", "cached", "joint"),
    "B": (*NAIVE, "OMGD", "DCD", "DCD modified", "SDAKD"),
    "C": ("GS", "CAGC", "StyleKD", "ITGC", "GCC", "NICKEL", "DiME", "NICKEL & DiME"),
}
"""Methods by paper. The control is the same student on the same schedule without a teacher."""
EVERY = tuple(name for names in METHODS.values() for name in names)
LITE = (0, 2, 4, 10)  # blocks of EfficientNet-Lite0 in the place of VGG16's four maps
ENERGY = 8  # channels of ITGC's energy
MASKS = paper_c.MASKS


def refusals(adapter: Adapter) -> dict[str, str]:
    """Methods that cannot serve a generator, each with its reason in one line."""
    found: dict[str, str] = {}
    if not adapter.latent:
        found["cached"] = "needs noise as input: a finite set of images is a cache already, see mse"
    if not adapter.styles:
        found["GS"] = "needs styles, by whose size it prunes"
        found["StyleKD"] = "needs directions in W, the space of styles"
    if adapter.deeper is None:
        found["OMGD"] = "needs a second, deeper teacher: deeper= of the adapter"
    return found


@dataclass(frozen=True)
class Setup:
    """What a method is handed.

    student, fresh: make a new student, from its start or from noise. new: makes a network by its
    name, which decides its first weights, see ``runs.Run.new``. T: the frozen teacher. D: the
    teacher's discriminator. draw: the batch of a step, the teacher's image as its target.
    kernel: DiME's, its weight 1, with the moments of the teacher's images as target.
    recalled: where answers are stored, a stand-in for T that gives the batch's.
    """

    adapter: Adapter
    c: Mapping[str, Any]
    width: float
    student: Callable[[], nn.Module]
    fresh: Callable[[], nn.Module]
    new: Callable[[str, Callable[[], Any]], Any]
    T: nn.Module
    D: nn.Module
    draw: Callable[[int], Batch]
    kernel: Callable[[], nickel_dime.Kernel]
    device: torch.device
    recalled: nn.Module | None = None

    def critic(self, width: float = 1.0, name: str = "D") -> nn.Module:
        """A new discriminator on the device."""
        return self.new(name, lambda: self.adapter.critic(width))

    def judge(self) -> nn.Module:
        """The teacher's discriminator, to go on training."""
        return copy.deepcopy(self.D).train().requires_grad_(True)

    def view(self, G: nn.Module) -> nn.Module:
        """The generator as methods of paper C draw it."""
        return adapters.view(self.adapter, G)


Fit = Callable[
    [str, Sequence[Player], float, Mapping[str, nn.Module], Callable[[int], Batch]], None
]
"""Trains one phase: its name, players, share of all steps, networks that move, batches."""


@dataclass(frozen=True)
class Trained:
    """A student's average over training, and the discriminator that judged it, if one did."""

    G: nn.Module
    D: nn.Module | None


def distil(s: Setup, method: str, fit: Fit) -> Trained:
    """Train a student by a method."""
    G, first, c = (s.fresh if method in NAIVE else s.student)(), 1.0, s.c
    nets: dict[str, nn.Module] = {}
    if method == "GS":
        G, nets["D"], first = slimmed(s, fit), s.judge(), 0.75
    parts = beside(s, method, G)
    if method == "SDAKD":
        first, nets["D"] = 0.4, s.critic(s.width)
        own = adam(c, G, *parts.values())
        players = sdakd.stage2(G, own, supervision(s), **feature_term(s, parts))
        fit("stage2", players, 0.4, {"G": G, **parts}, s.draw)
        apart = sdakd.stage2_discriminator(nets["D"], s.D, adam(c, nets["D"]))
        fit("stage2-D", apart, 0.2, {"D": nets["D"]}, s.draw)
    own = adam(c, G, *parts.values())
    players = compose(s, method, G, own, nets, parts)
    average = averaged(G, own, c["ema"], steps=max(1, round(first * c["steps"])))
    names = {"G": G, "average": average, **parts, **nets}
    fit("train", regularised(s, players, nets), first, names, batches(s, method))
    D = nets.get("D")
    return Trained(average, D.D if isinstance(D, adapters.Talking | adapters.Blocks) else D)


def compose(
    s: Setup,
    method: str,
    G: nn.Module,
    g: Adam,
    nets: dict[str, nn.Module],
    parts: Mapping[str, nn.Module],
) -> list[Player]:
    """The players of a method's last phase; networks that they move beside G join ``nets``."""
    c, a = s.c, s.adapter
    if method in (CONTROL, *NAIVE):
        D = nets["D"] = (
            s.judge() if method == CONTROL else s.critic(1.0 if "1)" in method else s.width)
        )
        return own_training(s, G, D, g, adam(c, D))
    if method in ("mse", "cached"):
        return mse_joint.mse(G, g)
    if method == "joint":
        D = nets["D"] = s.critic()
        return mse_joint.joint(G, D, g, adam(c, D))
    if method == "SDAKD":
        D = nets["D"]
        term = feature_term(s, parts)
        return sdakd.stage3(G, D, g, adam(c, D), supervision(s), **term)
    if method in ("OMGD", "DCD", "DCD modified"):
        return online(s, method, G, g, nets, parts)
    if method == "GCC":
        return cooperative(s, G, g, nets, parts)
    S, mixing = s.view(G), {"mixing": 0.0}
    T = s.view(s.T)
    if "NICKEL" in method or method == "DiME":
        return communicating(s, method, S, T, G, g, nets)
    D = nets["D"] = nets.get("D") or (s.critic() if method == "StyleKD" else s.judge())
    d, by = adam(c, D), distance(a.size, str(s.device))
    if method == "GS":
        return gs.finetune(S, T, D, g, d, by, **mixing)
    T = s.recalled or T
    masked = (MASKS[c["mask"]], by)
    if method == "CAGC":
        return cagc.cagc(S, T, D, g, d, *masked, **mixing)
    if method == "ITGC":
        E = s.new("energy", lambda: Coloured(energy.Energy(a.size, channels=ENERGY)))
        nets["energy"] = E
        e = Adam(E.parameters(), 1e-4, betas=(0.0, 0.999), fused=True)
        return itgc.itgc(S, T, D, E, g, d, e, *masked, steps=c["langevin"], **mixing)
    if method == "StyleKD":
        blocks = [name.split(".")[1] for name in a.layers][1:]
        bank = skd.directions(s.T, blocks)
        return skd.stylekd(S, T, D, g, d, *masked, bank, layers=a.layers[1:], **mixing)
    raise ValueError(f"method is {method!r}; expected one of {', '.join(EVERY)}")


def own_training(s: Setup, G: nn.Module, D: nn.Module, g: Adam, d: Adam) -> list[Player]:
    """Training without a teacher: adversarial and, where inputs are images, supervised."""
    judge = gan.discriminator(G, D, d)
    if s.adapter.latent:
        return [judge, gan.generator(G, D, g)]
    return [judge, gan.supervised(G, D, g, supervision(s), weight=s.adapter.adversarial)]


def online(
    s: Setup,
    method: str,
    G: nn.Module,
    g: Adam,
    nets: dict[str, nn.Module],
    parts: Mapping[str, nn.Module],
) -> list[Player]:
    """OMGD and both DCD: the teacher goes on training beside the student.

    From its weights or, where it is deeper than the family, from the family's own first ones.
    """
    c, a, names = s.c, s.adapter, adapters.four_layers(s.adapter)
    same = a.teacher is None or len(list(s.T.parameters())) == len(list(G.parameters()))
    own = copy.deepcopy(s.T) if same else s.new("teacher", lambda: a.generator(1.0))
    T = own.train().requires_grad_(True)
    nets["teacher"] = T
    D = nets["D"] = s.judge()
    eye = perceptual_maps(a.size, str(s.device))
    t, d = adam(c, T), adam(c, D)
    links = cast(nn.ModuleList, parts["links"])
    wide = own_training(s, T, D, t, d)
    if method == "OMGD":
        deeper = a.deeper
        assert deeper is not None
        nets["deep"] = deep = s.new("deep", lambda: deeper(s.width))
        nets["deep D"] = D_deep = s.critic(name="deep D")
        two = own_training(s, deep, D_deep, adam(c, deep), adam(c, D_deep))
        teachers = [named("wide", p) for p in wide] + [named("deep", p) for p in two]
        return [*teachers, *omgd.omgd(G, T, deep, links, g, eye, names, names)]
    judge, student = dcd.dcd(
        G, T, D, links, cast(nn.ModuleList, parts["its_links"]), g, d, eye, first_blocks(s, D),
        names, names, adversarial=a.adversarial, modified=method == "DCD modified",
    )  # fmt: skip
    return [judge, named("teacher", wide[1]), student]


def cooperative(
    s: Setup, G: nn.Module, g: Adam, nets: dict[str, nn.Module], parts: Mapping[str, nn.Module]
) -> list[Player]:
    """GCC's players. A teacher of images from images stays as it is: it is taught by no D alone."""
    c, a = s.c, s.adapter
    layers, names = adapters.judge_layers(a), adapters.four_layers(a)
    blocks = [f"b{i}" for i in range(len(layers))]
    D = nets["D"] = adapters.Blocks(s.critic(), layers)
    shown = torch.zeros(4, a.channels, a.size, a.size, device=s.device)
    nets["gates"] = gates = gcc.Gates(D, blocks, shown)
    teachers, T, D_T = None, s.T, adapters.Blocks(s.D, layers)
    if a.latent:
        nets["G_teacher"] = T = copy.deepcopy(s.T).train().requires_grad_(True)
        nets["D_teacher"] = D_T = adapters.Blocks(s.judge(), layers)
        teachers = adam(c, T), adam(c, D_T)
    return gcc.gcc(
        s.view(G), s.view(T), D, D_T, gates, cast(nn.ModuleList, parts["adapters"]),
        g, adam(c, D), adam(c, gates), teachers,
        g_layers=adapters.inside(a, compared(names)), d_layers=compared(blocks),
        decay=memory(c["ema"], c["steps"]), mixing=0.0,
    )  # fmt: skip


def communicating(
    s: Setup,
    method: str,
    S: nn.Module,
    T: nn.Module,
    G: nn.Module,
    g: Adam,
    nets: dict[str, nn.Module],
) -> list[Player]:
    """NICKEL, DiME and both; where inputs are images, beside an L1 to the teacher's image."""
    c, a = s.c, s.adapter
    own, nickel = [], "NICKEL" in method
    if "DiME" in method:
        kernel = s.kernel()
        torch.manual_seed(step_seed(c["seed"], "gap"))
        with torch.no_grad():
            gap = nickel_dime.dime(kernel, G(s.draw(0).cond)).item()
        own = [dataclasses.replace(kernel, weight=c["dime"] / gap)]
    names, D_T, d_t = ("", ""), None, None
    if nickel:
        theirs, ours, shape = adapters.pair(a)
        D = s.critic()
        shown = torch.zeros(2, a.channels, a.size, a.size, device=s.device)
        if adapters.shapes(D, shown, [ours])[0][1:] != shape[1:]:
            own_D, layer = D, ours
            D = s.new("map of D", lambda: adapters.Talking(own_D, layer, shown, shape))
            ours = "map"
        names = (adapters.inside(a, [theirs])[0], ours)
        nets["D_teacher"] = D_T = s.judge()
        d_t = adam(c, D_T)
    else:
        D = s.judge()
    nets["D"] = D
    players = nickel_dime.nickel_dime(
        S, T, D, D_T, g, adam(c, D), d_t, own,
        nickel=10.0 if nickel else 0.0, pair=names, moment_batch=c["batch"], mixing=0.0,
    )  # fmt: skip
    if a.latent:
        return players
    return [tied(players[0], G, losses.supervision(None, l1=a.l1)), *players[1:]]


def tied(player: Player, G: nn.Module, to: Supervision) -> Player:
    """A generator's player with a supervision by the batch's target beside."""

    def terms(batch: Batch) -> dict[str, Tensor]:
        return player.terms(batch) | to(G(batch.cond), gan.target(batch))

    return dataclasses.replace(player, terms=terms)


def slimmed(s: Setup, fit: Fit) -> nn.Module:
    """GS's first stage: a copy of the teacher made sparse, then pruned by its styles."""
    c, D = s.c, s.judge()
    dense = copy.deepcopy(s.T).train().requires_grad_(True)
    by = distance(s.adapter.size, str(s.device))
    players = gs.sparsify(dense, s.T, D, adam(c, dense), adam(c, D), by, mixing=0.0)
    nets = {"dense": dense, "D": D}
    fit("sparse", regularised(s, players, nets), 0.25, nets, s.draw)
    z = torch.randn(256, s.adapter.latent, generator=torch.Generator().manual_seed(0))
    scores = prune.style_scale(dense, z.to(s.device))
    S = s.fresh()
    return prune.cut(dense, S, prune.keep(scores, round(1 - s.width, 6)))


# What learns beside the student -------------------------------------------------------------------


def beside(s: Setup, method: str, G: nn.Module) -> dict[str, nn.Module]:
    """Networks that learn in the student's optimiser and are dropped after training."""
    a, names = s.adapter, adapters.four_layers(s.adapter)
    if method == "GCC":
        names = compared(names)
    elif method == "SDAKD":
        names = names[-1:]
    elif method not in ("OMGD", "DCD", "DCD modified"):
        return {}
    example = a.example(2).to(s.device)
    mine, its = ([shape[1] for shape in adapters.shapes(net, example, names)] for net in (G, s.T))
    if method == "SDAKD":
        return {"mlp": s.new("mlp", lambda: sdakd.mapper(mine[0], its[0]))}
    if method == "GCC":
        pairs = list(zip(mine, its, strict=True))

        def transfers() -> nn.Module:
            return nn.ModuleList(nn.Conv2d(i, o, 1, bias=False) for i, o in pairs)

        return {"adapters": s.new("adapters", transfers)}
    if method == "OMGD":
        return {"links": s.new("links", lambda: connectors.connectors(mine, its))}
    return {
        name: s.new(name, lambda n=n: connectors.connectors(n, [a.channels] * len(n)))
        for name, n in (("links", mine), ("its_links", its))
    }


def feature_term(s: Setup, parts: Mapping[str, nn.Module]) -> dict[str, Any]:
    """SDAKD's: the mapper, and the layer that it listens to."""
    return {"mlp": parts["mlp"], "tap": adapters.four_layers(s.adapter)[-1]}


def compared(names: Sequence[str]) -> list[str]:
    """Two of some layers, the first and the last, once where there is one."""
    return list(dict.fromkeys([names[0], names[-1]]))


def first_blocks(s: Setup, D: nn.Module) -> Callable[[Tensor], Tensor]:
    """D's first two blocks, in which DCD compares maps, enlarged to an image's size."""
    layers, side = adapters.judge_layers(s.adapter), s.adapter.size
    name = layers[min(1, len(layers) - 1)]

    def phi(maps: Tensor) -> Tensor:
        with taps(D, [name]) as seen:
            D(F.interpolate(maps, (side, side)))
        return seen[name]

    return phi


class Coloured(nn.Module):
    """A network of colour images, given grey ones three times."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, *images: Tensor) -> Tensor:
        """What the network says."""
        return self.net(*(x.expand(-1, 3, -1, -1) for x in images))


# Optimisers, losses, batches ----------------------------------------------------------------------


def adam(c: Mapping[str, Any], *networks: nn.Module) -> Adam:
    """A new optimiser over networks."""
    parameters = [p for net in networks for p in net.parameters()]
    return Adam(parameters, c["lr"], betas=tuple(c["betas"]), fused=True)


def paced(c: Mapping[str, Any], players: Sequence[Player], steps: int) -> list[Player]:
    """Players with learning rates that fall to 0 along a cosine.

    Discriminators have their own, GCC's gates an eighth of it; ITGC's energy keeps its 1e-4.
    """
    rates = {"D": c["d_lr"], "D_teacher": c["d_lr"], "gates": c["d_lr"] / 8}

    def at(player: Player) -> Player:
        name = player.name.split()[-1]
        if name == "energy":
            return player
        return dataclasses.replace(player, lr=cosine(rates.get(name, c["lr"]), steps))

    return [at(player) for player in players]


def regularised(s: Setup, players: Sequence[Player], nets: Mapping[str, nn.Module]) -> list[Player]:
    """Each discriminator followed by its R1, where the family has it."""
    if not s.adapter.gamma:
        return list(players)
    c = {"gamma": s.adapter.gamma, "path": 0.0}
    judges: dict[str, gan.Network] = {n: nets[n] for n in ("D", "D_teacher") if n in nets}
    if "gates" in nets:
        judges["D"] = gcc.gated(nets["D"], cast(gcc.Gates, nets["gates"]))
    return paper_c.regularised(c, players, {}, judges, {})


def named(prefix: str, player: Player) -> Player:
    """The player under a name of its own, by which runs keep optimisers."""
    return dataclasses.replace(player, name=f"{prefix} {player.name}")


def supervision(s: Setup) -> Supervision:
    """The family's own: L1 and perceptual."""
    a = s.adapter
    return losses.supervision(distance(a.size, str(s.device)), l1=a.l1, weight=a.perceptual)


@lru_cache(maxsize=2)
def distance(size: int, device: str) -> Distance:
    """The perceptual distance: relative L1 of three maps of EfficientNet-Lite0."""
    maps = features.lite_maps(0, LITE[:3], size=size, device=device).extract
    return losses.perceptual(maps, [1 / 3] * 3, relative=True)


@lru_cache(maxsize=2)
def perceptual_maps(size: int, device: str) -> Callable[[Tensor], list[Tensor]]:
    """The four maps that OMGD and DCD compare."""
    return features.lite_maps(0, LITE, size=size, device=device).extract


def batches(s: Setup, method: str) -> Callable[[int], Batch]:
    """The batches of a method's last phase: of those without a teacher the target is the truth."""
    online = method in ("OMGD", "DCD", "DCD modified")
    if s.adapter.latent or not (online or method in (CONTROL, *NAIVE)):
        return s.draw

    def true(step: int) -> Batch:
        batch = s.draw(step)
        return dataclasses.replace(batch, target=batch.real)

    return true
