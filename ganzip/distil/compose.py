"""Where a method meets networks, optimisers and regularisers: the only place.

``METHODS`` has an entry for each. Methods of paper C draw by styles; ``views.view`` lets generators
without styles be drawn so. Where an input is an image, the losses of NICKEL and DiME, which compare
distributions, stand beside an L1 to the teacher's image: nothing else would tie an answer to its
input.
"""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ganzip import features, losses
from ganzip.distil import views
from ganzip.distil.family import Adapter
from ganzip.distil.recipe import MASKS, PENALTY
from ganzip.distil.setup import Phase, Setup
from ganzip.losses import Supervision
from ganzip.methods import (
    cagc,
    dcd,
    gan,
    gcc,
    gs,
    itgc,
    mse_joint,
    nickel_dime,
    omgd,
    sdakd,
    stylekd,
)
from ganzip.nets import connectors, energy
from ganzip.taps import taps
from ganzip.train import Batch, Player, frozen, memory


@dataclass
class Cast:
    """The networks of one training, which a method's entry brings together.

    G: the student. g: its optimiser, which also moves ``parts``; these are dropped after training.
    nets: what others move, by name. share: of all steps, left to the last phase.
    """

    setup: Setup
    fit: Callable[[Phase], None]
    G: nn.Module = field(init=False)
    g: Optimizer = field(init=False)
    nets: dict[str, nn.Module] = field(default_factory=dict)
    parts: dict[str, nn.Module] = field(default_factory=dict)
    share: float = 1.0

    def learner(self, G: nn.Module, **parts: nn.Module) -> Optimizer:
        """Cast the student, and what learns beside it; returns the new optimiser of both."""
        self.G, self.parts = G, parts
        self.g = self.setup.recipe.optimiser(G, *parts.values())
        return self.g

    def opponents(self, *, afresh: bool = False) -> tuple[Any, ...]:
        """Student, D, which starts afresh or from the teacher's, and both optimisers."""
        s = self.setup
        D = self.nets["D"] = s.critic(1.0, "D") if afresh else s.judge()
        g = self.learner(s.student())
        return self.G, D, g, s.recipe.d_optimiser(D)


@dataclass(frozen=True)
class Trained:
    """A student's average over training, the D that judged it, if one did, and all networks."""

    G: nn.Module
    D: nn.Module | None
    nets: Mapping[str, nn.Module]


@dataclass(frozen=True)
class Method:
    """A method's entry.

    paper: "A", "B", "C" or "". players: those of its last phase; earlier ones it trains by
    ``Cast.fit``. modules: those whose code decides its result, beside ``gan``. by_truth: whether
    its batches are those of ``Setup.truth``. by_answer: whether batches of noise come with the
    teacher's answer, ``gan.target``. needs: says what an adapter lacks; "" where it can serve.
    """

    paper: str
    players: Callable[[Cast], list[Player]]
    modules: tuple[ModuleType, ...] = ()
    by_truth: bool = False
    by_answer: bool = False
    needs: Callable[[Adapter], str] = lambda _: ""


def distil(s: Setup, method: Method, fit: Callable[[Phase], None]) -> Trained:
    """Train a student by a method."""
    cast, r = Cast(s, fit), s.recipe
    players = method.players(cast)
    average = r.average(cast.G, cast.g, cast.share)
    nets = cast.nets
    generators = {"G": cast.G} | {k: nets[k] for k in ("G_teacher",) if k in nets}
    players = r.regularise(players, nets, critics(nets), generators)

    draw = s.truth if method.by_truth and s.truth else s.draw
    names = {"G": cast.G, **cast.parts, **nets, "average": average}
    fit(Phase("train", players, cast.share, names, draw))
    D = nets.get("D")
    return Trained(average, D.D if isinstance(D, views.WithMap | views.Blocks) else D, names)


def critics(nets: Mapping[str, nn.Module]) -> dict[str, gan.Network]:
    """The discriminators among networks as they judge, by the names of their players."""
    found: dict[str, gan.Network] = {n: nets[n] for n in ("D", "D_teacher", "deep D") if n in nets}
    if "deep D" in nets:
        found["wide D"] = nets["D"]
    gates = nets.get("gates")
    if isinstance(gates, gcc.Gates):
        found |= dict.fromkeys(("D", "gates"), gcc.gated(nets["D"], gates))
    return found


def refusals(adapter: Adapter) -> dict[str, str]:
    """Methods that cannot serve a generator, each with its reason in one line."""
    return {name: why for name, method in METHODS.items() if (why := method.needs(adapter))}


def unless(attribute: str, reason: str) -> Callable[[Adapter], str]:
    """The reason where an adapter has no such attribute."""
    return lambda adapter: "" if getattr(adapter, attribute) else reason


def no_maps(adapter: Adapter) -> str:
    """Why methods cannot look into an adapter's discriminator, if they cannot."""
    with features.without_draws():
        found = views.judge_layers(adapter)
    return "" if found else "needs maps of the discriminator, which has none: name d_layers="


def no_halves(adapter: Adapter) -> str:
    """Why NICKEL cannot take the high frequencies of an adapter's maps, if it cannot."""
    if why := no_maps(adapter):
        return why
    with features.without_draws():
        theirs, _, shape = views.pair(adapter)
    empty = torch.zeros(1, 1, *shape[2:])
    try:
        nickel_dime.high_frequency_gap(empty, empty)
    except RuntimeError:
        found = "x".join(map(str, shape[2:]))
        return f"needs maps that can be halved, of 8 or 16 pixels say; {theirs} gives {found}"
    return ""


def no_energy(adapter: Adapter) -> str:
    """Why ITGC has no energy of an adapter's images, if it has none."""
    try:
        with features.without_draws():
            energy.Energy(adapter.size, channels=1)
    except ValueError as error:
        return f"needs an energy of its images, whose {error}: give the generator such a size"
    return ""


# Without a teacher --------------------------------------------------------------------------------


def alone(s: Setup, G: nn.Module, D: nn.Module, g: Optimizer, d: Optimizer) -> list[Player]:
    """The family's own training: adversarial and, where inputs are images, supervised."""
    r = s.recipe
    if r.loss != "gan":
        return gan.wgan(G, D, g, d, penalty=PENALTY if r.loss == "wgan-gp" else 0.0)
    drawn = G if r.mixing is None else gan.mixer(G, r.mixing)
    if s.adapter.latent:
        player = gan.generator(drawn, D, g)
    else:
        player = gan.supervised(G, D, g, s.supervision(), weight=s.adapter.adversarial)
    return r.arrange([gan.discriminator(drawn, D, d), player])


def afresh(cast: Cast, *, small: bool = True) -> list[Player]:
    """G and D from noise, G alone at first if the recipe says so; ``small``: D of G's width."""
    s, share = cast.setup, cast.setup.recipe.l1_first
    g = cast.learner(s.fresh())
    if share:
        players = [gan.supervised(cast.G, None, g, losses.supervision(None, l1=s.adapter.l1))]
        cast.fit(Phase("l1", players, share, {"G": cast.G}, s.draw))
        cast.share, g = 1 - share, cast.learner(cast.G)
    D = cast.nets["D"] = s.critic(s.width if small else 1.0, "D")
    return alone(s, cast.G, D, g, s.recipe.d_optimiser(D))


def control(cast: Cast) -> list[Player]:
    """The student from its start, D from the teacher's."""
    return alone(cast.setup, *cast.opponents())


def critic(s: Setup, D: nn.Module) -> Phase:
    """D alone, against images that come in the place of inputs: those of a finished teacher."""
    players = [gan.discriminator(nn.Identity(), D, s.recipe.d_optimiser(D))]

    def draw(step: int) -> Batch:
        batch = s.draw(step)
        return dataclasses.replace(batch, cond=gan.target(batch))

    return Phase("train", s.recipe.regularise(players, {}, {"D": D}, {}), 1.0, {"D": D}, draw)


# Paper A ------------------------------------------------------------------------------------------


def mse_players(cast: Cast) -> list[Player]:
    """MSE students, whose teacher answers on the spot or from a cache."""
    g = cast.learner(cast.setup.student())
    return mse_joint.mse(cast.G, g)


def joint_players(cast: Cast) -> list[Player]:
    """The squared error and a new discriminator."""
    return mse_joint.joint(*cast.opponents(afresh=True), alpha=cast.setup.recipe.alpha)


# Paper B ------------------------------------------------------------------------------------------


def sdakd_players(cast: Cast) -> list[Player]:
    """SDAKD's stages 2, of the generator and of the discriminator, and 3; and its ablations."""
    s, r = cast.setup, cast.setup.recipe
    D, G = s.critic(s.width, "D") if r.own_critic else s.judge(), s.student()
    last = r.layers.get("last") or views.four_layers(s.adapter)[-1:]
    parts, term = {}, {"mlp": None, "tap": last[0], "lambda1": r.lambda1}
    if r.features:
        mine, its = widths(s, G, last), widths(s, s.T, last)
        parts["mlp"] = term["mlp"] = s.new("mlp", lambda: sdakd.mapper(mine[0], its[0]))
    if r.stages[0]:
        first = sdakd.stage2(G, cast.learner(G, **parts), s.supervision(), **term)
        cast.fit(Phase("stage2", first, r.stages[0], {"G": G, **parts}, s.draw))
    if r.stages[1]:
        apart = sdakd.stage2_discriminator(D, frozen(s.judge()), r.d_optimiser(D))
        cast.fit(Phase("stage2-D", apart, r.stages[1], {"D": D}, s.draw))
    cast.nets["D"], cast.share, g = D, 1 - sum(r.stages), cast.learner(G, **parts)
    d = r.d_optimiser(D)
    return r.arrange(sdakd.stage3(G, D, g, d, s.supervision(), **term, lambda2=r.lambda2))


def online(cast: Cast, G: nn.Module) -> tuple[nn.Module, nn.Module, Optimizer, list[Player]]:
    """A teacher that goes on training beside the student, its D with its optimiser, its players.

    From its weights or, where it is deeper than the family, from the family's own first ones.
    """
    s, a = cast.setup, cast.setup.adapter
    same = a.teacher is None or len(list(s.T.parameters())) == len(list(G.parameters()))
    same &= not s.recipe.from_scratch
    T = copy.deepcopy(s.T) if same else s.new("teacher", lambda: a.generator(1.0))
    cast.nets["teacher"] = T = T.train().requires_grad_(True)
    D = cast.nets["D"] = s.judge()
    d = s.recipe.d_optimiser(D)
    return T, D, d, alone(s, T, D, s.recipe.optimiser(T), d)


def four_layers(s: Setup) -> list[str]:
    """Layers of G whose maps are compared."""
    return list(s.recipe.layers.get("four") or views.four_layers(s.adapter))


def omgd_players(cast: Cast) -> list[Player]:
    """OMGD: a wide teacher and a deep one."""
    s, r, deeper = cast.setup, cast.setup.recipe, cast.setup.adapter.deeper
    assert deeper is not None
    G, names = s.student(), four_layers(s)
    T, _, _, wide = online(cast, G)
    mine, its = widths(s, G, names), widths(s, T, names)
    links = s.new("links", lambda: connectors.connectors(mine, its))
    g = cast.learner(G, links=links)
    deep = cast.nets["deep"] = s.new("deep", lambda: deeper(s.width))
    D = cast.nets["deep D"] = s.critic(1.0, "deep D")
    two = alone(s, deep, D, r.optimiser(deep), r.d_optimiser(D))
    teachers = [rename("wide", p) for p in wide] + [rename("deep", p) for p in two]
    return [*teachers, *omgd.omgd(G, T, deep, links, g, s.maps(), names, names)]


def dcd_players(cast: Cast, *, modified: bool) -> list[Player]:
    """Both DCD: the teacher's D compares maps."""
    s, a = cast.setup, cast.setup.adapter
    G, names = s.student(), four_layers(s)
    T, D, d, wide = online(cast, G)
    as_images = [a.channels] * len(names)
    mine, its = widths(s, G, names), widths(s, T, names)
    links = s.new("links", lambda: connectors.connectors(mine, as_images))
    its_links = s.new("its_links", lambda: connectors.connectors(its, as_images))
    g = cast.learner(G, links=links, its_links=its_links)
    phi = s.first_blocks(D) if s.first_blocks else first_blocks(s, D)
    judge, student = dcd.dcd(
        G, T, D, links, its_links, g, d, s.maps(), phi, names, names,
        adversarial=a.adversarial, modified=modified,
    )  # fmt: skip
    (teacher,) = (player for player in wide if player.name == "G")
    return [*s.recipe.arrange([judge, teacher]), student]


def first_blocks(s: Setup, D: nn.Module) -> Callable[[Tensor], Tensor]:
    """D's first two blocks, in which DCD compares maps, enlarged to an image's size."""
    layers, side = views.judge_layers(s.adapter), s.adapter.size
    name = layers[min(1, len(layers) - 1)]

    def phi(maps: Tensor) -> Tensor:
        with taps(D, [name]) as activations:
            D(F.interpolate(maps, (side, side)))
        return activations[name]

    return phi


def widths(s: Setup, G: nn.Module, names: Sequence[str]) -> list[int]:
    """Channels of a generator's maps."""
    example = s.adapter.example(2).to(s.device)
    return [shape[1] for shape in views.shapes(G, example, names)]


def rename(prefix: str, player: Player) -> Player:
    """The player under a name of its own, by which runs keep optimisers."""
    return dataclasses.replace(player, name=f"{prefix} {player.name}")


# Paper C ------------------------------------------------------------------------------------------


def gs_players(cast: Cast) -> list[Player]:
    """GS: a copy of the teacher is made sparse, pruned by its styles and fine-tuned."""
    s, r = cast.setup, cast.setup.recipe
    D = cast.nets["D"] = s.judge()
    dense = copy.deepcopy(s.T).train().requires_grad_(True)
    g, d, by = r.optimiser(dense), r.d_optimiser(D), s.distance()
    players = gs.sparsify(dense, s.T, D, g, d, by, mixing=r.mixed)
    nets = {"dense": dense, "D": D}
    players = r.regularise(players, nets, critics(nets), {"G": dense})
    cast.fit(Phase("sparse", players, r.sparse, nets, s.draw))
    cast.share = 1 - r.sparse
    if not r.same_critic:
        D = cast.nets["D"] = s.judge()
    g, d = cast.learner(s.cut(dense)), r.d_optimiser(D)
    return gs.finetune(cast.G, s.T, D, g, d, s.distance(), mixing=r.mixed)


def imitation(cast: Cast, players: Callable[..., list[Player]], *, new: bool) -> list[Player]:
    """Methods whose student imitates the teacher's images where a mask tells what matters."""
    s, r = cast.setup, cast.setup.recipe
    G, D, g, d = cast.opponents(afresh=new)
    T, by = s.stored_teacher or s.view(s.T), s.distance()
    return players(cast, s.view(G), T, D, g, d, mask=MASKS[r.mask], distance=by, mixing=r.mixed)


def cagc_players(cast: Cast, *networks: Any, **numbers: Any) -> list[Player]:
    """CAGC."""
    return cagc.cagc(*networks, **numbers)


def stylekd_players(cast: Cast, *networks: Any, **numbers: Any) -> list[Player]:
    """StyleKD: maps relate under shifts along directions of W."""
    s, layers = cast.setup, cast.setup.adapter.layers[1:]  # all but the smallest
    shifted = s.recipe.layers.get("shifted", layers)
    bank = stylekd.directions(s.T, [name.split(".")[1] for name in shifted])
    layers = s.recipe.layers.get("related", layers)
    return stylekd.stylekd(*networks, **numbers, bank=bank, layers=layers)


def itgc_players(
    cast: Cast, S: Any, T: Any, D: Any, g: Any, d: Any, **numbers: Any
) -> list[Player]:
    """ITGC: an energy judges pairs."""
    s, r = cast.setup, cast.setup.recipe
    E = s.new("energy", lambda: views.InColour(energy.Energy(s.adapter.size, channels=r.energy)))
    cast.nets["energy"] = E
    e = Adam(E.parameters(), 1e-4, betas=(0.0, 0.999), fused=True)
    return itgc.itgc(S, T, D, E, g, d, e, **numbers, steps=r.langevin)


def gcc_players(cast: Cast) -> list[Player]:
    """GCC. A teacher of images from images stays as it is: it is taught by no D alone."""
    s, r, a = cast.setup, cast.setup.recipe, cast.setup.adapter
    layers = list(r.layers.get("gated", views.judge_layers(a)))
    judged = r.layers.get("judged", ends(layers))
    names = r.layers.get("copied", ends(views.four_layers(a)))
    D = cast.nets["D"] = views.Blocks(s.critic(1.0, "D"), layers)
    G, T, D_T = s.student(), s.T, views.Blocks(s.judge(), layers)
    gates = cast.nets["gates"] = gcc.Gates(D, list(D.blocks.values()), s.black(4))
    pairs = list(zip(widths(s, G, names), widths(s, T, names), strict=True))

    def transfers() -> nn.ModuleList:
        return nn.ModuleList(nn.Conv2d(i, o, 1, bias=False) for i, o in pairs)

    adapters, teachers = s.new("adapters", transfers), None
    g = cast.learner(G, adapters=adapters)
    if a.latent:
        cast.nets["G_teacher"] = T = copy.deepcopy(T).train().requires_grad_(True)
        cast.nets["D_teacher"] = D_T
        teachers = r.optimiser(T), r.d_optimiser(D_T)
    else:
        frozen(D_T)
    return gcc.gcc(
        s.view(G), s.view(T), D, D_T, gates, adapters, g, r.d_optimiser(D), r.d_optimiser(gates),
        teachers, g_layers=views.names_in_view(a, names),
        d_layers=[D.blocks[name] for name in judged], decay=memory(r.step_decay, r.steps),
        mixing=r.mixed,
    )  # fmt: skip


def ends(names: Sequence[str]) -> list[str]:
    """The first and the last of some layers, once where there is one."""
    return list(dict.fromkeys([names[0], names[-1]]))


def nickel_dime_players(cast: Cast, *, nickel: bool, dime: bool) -> list[Player]:
    """NICKEL, DiME and both; where inputs are images, beside an L1 to the teacher's image."""
    s, r, a = cast.setup, cast.setup.recipe, cast.setup.adapter
    D, g = s.critic(1.0, "D") if nickel else s.judge(), cast.learner(s.student())
    pair, D_T, d_t = ("", ""), None, None
    if nickel and r.teacher_critic:
        D_T = cast.nets["D_teacher"] = s.judge()
        d_t = r.d_optimiser(D_T)
    if nickel:
        D, pair = with_map(s, D)
    cast.nets["D"] = D
    players = nickel_dime.nickel_dime(
        s.view(cast.G), s.view(s.T), D, D_T, g, r.d_optimiser(D), d_t,
        s.kernels(cast.G) if dime else [], nickel=r.nickel if nickel else 0.0, pair=pair,
        moment_batch=r.moment_batch, mixing=r.mixed,
    )  # fmt: skip
    if a.latent:
        return players
    return [tie(players[0], cast.G, losses.supervision(None, l1=a.l1)), *players[1:]]


def with_map(s: Setup, D: nn.Module) -> tuple[nn.Module, tuple[str, str]]:
    """D, with a map of the shape of the teacher generator's, and NICKEL's two maps."""
    if "pair" in s.recipe.layers:
        theirs, ours = s.recipe.layers["pair"]
        return D, (theirs, ours)
    theirs, ours, shape = views.pair(s.adapter)
    shown, theirs = s.black(2), views.names_in_view(s.adapter, [theirs])[0]
    if views.shapes(D, shown, [ours])[0][1:] == shape[1:]:
        return D, (theirs, ours)
    return s.new("map of D", lambda: views.WithMap(D, ours, shown, shape)), (theirs, "map")


def tie(player: Player, G: nn.Module, to: Supervision) -> Player:
    """A generator's player with a supervision by the batch's target beside."""

    def terms(batch: Batch) -> dict[str, Tensor]:
        return player.terms(batch) | to(G(batch.cond), gan.target(batch))

    return dataclasses.replace(player, terms=terms)


# All of them --------------------------------------------------------------------------------------

CONTROL = "control"  # the same student on the same schedule without a teacher
REGULAR = Method("", partial(afresh, small=False))  # teachers, GANs that students face
NOISE = unless("latent", "needs noise as input: a finite set of images is a cache already, see mse")
STYLES = unless("styles", "needs styles, by whose size it prunes")
DIRECTIONS = unless("styles", "needs directions in W, the space of styles")
DEEPER = unless("deeper", "needs a second, deeper teacher: deeper= of the adapter")
METHODS = {
    CONTROL: Method("", control, by_truth=True),
    "mse": Method("A", mse_players, (mse_joint,), by_answer=True),
    "cached": Method("A", mse_players, (mse_joint,), by_answer=True, needs=NOISE),
    "joint": Method("A", joint_players, (mse_joint,), by_answer=True),
    "naive (C,1)": Method("B", partial(afresh, small=False), by_truth=True),
    "naive (C,C)": Method("B", afresh, by_truth=True),
    "OMGD": Method("B", omgd_players, (omgd,), by_truth=True, needs=DEEPER),
    "DCD": Method("B", partial(dcd_players, modified=False), (dcd,), by_truth=True, needs=no_maps),
    "DCD modified": Method(
        "B", partial(dcd_players, modified=True), (dcd,), by_truth=True, needs=no_maps
    ),
    "SDAKD": Method("B", sdakd_players, (sdakd,), by_answer=True),
    "GS": Method("C", gs_players, (gs,), needs=STYLES),
    "CAGC": Method("C", partial(imitation, players=cagc_players, new=False), (cagc,)),
    "StyleKD": Method(
        "C", partial(imitation, players=stylekd_players, new=True), (stylekd,), needs=DIRECTIONS
    ),
    "ITGC": Method(
        "C", partial(imitation, players=itgc_players, new=False), (itgc,), needs=no_energy
    ),
    "GCC": Method("C", gcc_players, (gcc,), needs=no_maps),
    "NICKEL": Method(
        "C", partial(nickel_dime_players, nickel=True, dime=False), (nickel_dime,), needs=no_halves
    ),
    "DiME": Method("C", partial(nickel_dime_players, nickel=False, dime=True), (nickel_dime,)),
    "NICKEL & DiME": Method(
        "C", partial(nickel_dime_players, nickel=True, dime=True), (nickel_dime,), needs=no_halves
    ),
}
"""Every method by its name, in the order of the papers."""
