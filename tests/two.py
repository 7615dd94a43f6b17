"""Small units that several processes train together: the named ones by ``main``."""

import copy
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam

from ganzip import losses, parallel
from ganzip.methods import cagc, gan, nickel_dime, sdakd
from ganzip.nets import gcfsr, stylegan2
from ganzip.train import Batch, Player, averaged, frozen, step_seed
from ganzip.units import Run, Unit, perform

SIZES: dict[str, Any] = {"base": 64, "cap": 8}


def unit(case: str, steps: int = 5, **config) -> Unit:
    given = {"steps": steps, "seed": 0, "case": case, "batch": 8, "group": 4, **config}
    return Unit("two", case, given, shared=True)


@contextmanager
def double():
    """Double precision, where rounding is far below what is told apart."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def work(run: Run) -> None:
    """Train a case and keep what each process has in the end."""
    case, judged = run.config["case"], iter(range(100))

    def validate():
        assert parallel.first()
        return {"judged": next(judged)}

    with double():
        torch.manual_seed(step_seed(0, -1))
        nets, players, batches = CASES[case]()
        run.train(players, batches, run.config["steps"], nets, epoch=2, validate=validate)
    state = {f"{name}.{k}": v for name, net in nets.items() for k, v in net.state_dict().items()}
    torch.save((state, run.history), run.root / f"{case}-{parallel.rank()}.pt")
    run.finish(nets, [{"metric": "none", "value": 0.0}])


def adam(*nets: nn.Module) -> Adam:
    return Adam([p for net in nets for p in net.parameters()], 2e-3, betas=(0.0, 0.99), fused=True)


def generator() -> nn.Module:
    G = stylegan2.Generator(16, **SIZES, latent=8, layers=2)
    for layer in G.modules():
        if isinstance(layer, stylegan2.StyleConv):
            nn.init.constant_(layer.noise_strength, 0.5)
    return G


def drawn(step: int) -> Batch:
    return Batch(torch.randn(8, 8), real=torch.rand(8, 3, 16, 16) * 2 - 1)


def pooled(images):
    return F.avg_pool2d(images, 4).flatten(1)


def both():
    """NICKEL & DiME with all that StyleGAN2 is trained with."""
    S, D = generator(), stylegan2.Discriminator(16, **SIZES, group=4)
    T, D_T, mean = frozen(generator()), copy.deepcopy(D), gan.PathMean()
    g, d, d_T = adam(S), adam(D), adam(D_T)
    kernels = [
        nickel_dime.Kernel("batch", lambda x: parallel.gathered(pooled(x)), 5.0),
        nickel_dime.Kernel(
            "target", lambda x: parallel.gathered(pooled(x)), 5.0,
            nickel_dime.Moments(torch.zeros(48), torch.ones(48), 9),
        ),
    ]  # fmt: skip
    players = nickel_dime.nickel_dime(
        S, T, D, D_T, g, d, d_T, kernels,
        pair=("synthesis.b4.conv1", "b8"), moment_batch=4, mixing=0.5,
    )  # fmt: skip
    players += [gan.r1(D, d), gan.path_length(S, g, mean, mixing=0.5)]
    nets = {"G": S, "D": D, "D_T": D_T, "path": mean, "average": averaged(S, g, 0.9)}
    return nets, players, drawn


def imitation():
    """CAGC by a relative perceptual distance."""
    S, D = generator(), stylegan2.Discriminator(16, **SIZES, group=4)
    by = losses.perceptual(lambda x: [x, F.avg_pool2d(x, 2)], [0.5, 0.5], relative=True)
    mask = lambda images: (images[:, :1] > -0.5).to(images)  # noqa: E731
    players = cagc.cagc(S, frozen(generator()), D, adam(S), adam(D), mask, by, mixing=0.5)
    return {"G": S, "D": D}, players, drawn


def super_resolution():
    """Stage 3 of SDAKD on GCFSR, with R1."""
    shape = {"size": 32, **SIZES}
    G, D = gcfsr.Generator(**shape, latent=8), gcfsr.Discriminator(**shape)
    mlp, d = sdakd.mapper(2, 4), adam(D)
    g = adam(G, mlp)
    tap = "decoder.b32.conv1"
    players = sdakd.stage3(G, D, g, d, losses.supervision(None), mlp=mlp, tap=tap)
    players += [gan.r1(D, d)]

    def batches(step: int) -> Batch:
        real, share = torch.rand(8, 3, 32, 32) * 2 - 1, torch.rand(8)
        cond = gcfsr.condition(real, share)
        return Batch(cond, real, real, torch.randn(8, 4, 32, 32))

    return {"G": G, "D": D, "mlp": mlp}, players, batches


def rows(step: int) -> Batch:
    return Batch(torch.randn(8, 3))


def gaps():
    """Layers with a gradient in all processes, in the last alone, at the first step, and never."""
    layers = nn.ModuleDict({name: nn.Linear(3, 1) for name in ("all", "last", "once", "never")})
    norm, step = nn.BatchNorm1d(3), iter(range(100))

    def terms(batch: Batch):
        now, x = next(step), norm(batch.cond)
        seen = layers["all"](x).square().mean()
        if parallel.rank() == parallel.size() - 1:
            seen = seen + layers["last"](x).square().mean()
        if now == 0:
            seen = seen + layers["once"](x).square().mean()
        return {"square": seen}

    nets = {"layers": layers, "norm": norm}
    return nets, [Player("net", Adam(layers.parameters(), 2e-3), terms)], rows


def nan():
    """A term that is no number in the last process alone."""
    net = nn.Linear(3, 1)

    def terms(batch: Batch):
        bad = float("nan") if parallel.rank() == 1 else 1.0
        return {"square": bad * net(batch.cond).square().mean()}

    return {"net": net}, [Player("net", adam(net), terms)], rows


CASES = {f.__name__: f for f in (both, imitation, super_resolution, gaps, nan)}


def main(home: str | Path, *cases: str) -> None:
    """Do them, in one of two processes."""
    torch.set_num_threads(1)
    with parallel.processes("cpu"):
        for case in cases:
            given = unit("gaps", batch=9) if case == "odd" else unit(case)
            try:
                perform(given, work, Path(home), checkpoint_seconds=0.0)
            except (ValueError, RuntimeError) as error:
                if case not in ("nan", "odd"):
                    raise
                Path(home, f"{case}{parallel.rank()}").write_text(str(error))
