"""What is measured, with its goal: one function a case, which builds both forms of it."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from benchmarks import slow
from benchmarks.measure import Call, Pair, kept_per_image
from ganzip import losses, metrics
from ganzip.methods import gan, mse_joint, nickel_dime
from ganzip.nets import dcgan, gcfsr, realesrgan, stylegan2
from ganzip.papers import dcgan_kd
from ganzip.train import Batch, Player, Terms, frozen, train
from ganzip.units import Run, Unit

CYCLE = 16  # steps after which lazy regularisers have all had their turn


@dataclass(frozen=True)
class How:
    """Where a case runs, and by which of the switches that torch has. The slow form has none."""

    device: str = "cpu"
    switch: str = ""  # or "bf16", "channels_last", "compile"

    def net(self, net: nn.Module) -> nn.Module:
        """The fast form's network."""
        if self.switch == "channels_last":
            net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if self.switch == "compile":
            net.compile()
        return net

    def call(self, call: Call) -> Call:
        """The fast form's run."""

        def cast() -> Sequence[Tensor]:
            with torch.autocast(self.device, torch.bfloat16):
                return call()

        return cast if self.switch == "bf16" else call


@dataclass(frozen=True)
class Case:
    """A pair of forms and how many times the fast one is to be faster."""

    name: str
    goal: float
    build: Callable[[How, ExitStack], Pair]
    repeats: int = 5
    warm: bool = True
    tolerance: float = 1e-4  # of the difference of outputs; 0.004 is a step of 8 bits
    switches: tuple[str, ...] = ()  # that a GPU is measured with


@dataclass(frozen=True)
class Count:
    """A number that does not depend on the machine, and what it is to be."""

    name: str
    goal: str
    count: Callable[[], float]
    good: Callable[[float], bool] | None  # None where there is no goal


# Networks -----------------------------------------------------------------------------------------


def shaken(net: nn.Module) -> nn.Module:
    """No parameter at 0, where it would hide a mistake: noise strengths and biases."""
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim < 2:
                p.add_(0.1 * torch.randn_like(p))
    return net


@torch.no_grad()
def drawn(net: nn.Module, *inputs: Tensor) -> list[Tensor]:
    """One forward, with the same noise at every call."""
    torch.manual_seed(1)
    return [net(*inputs)]


def forward(make: Callable[[], nn.Module], *shape: int) -> Callable[[How, ExitStack], Pair]:
    """A forward in eval mode, of one random input of the given shape."""

    def build(how: How, _: ExitStack) -> Pair:
        torch.manual_seed(0)
        net = shaken(make()).eval().to(how.device)
        x, plain = torch.randn(shape, device=how.device), slow.by_definition(net)
        return Pair(how.call(partial(drawn, how.net(net), x)), partial(drawn, plain, x))

    return build


def training(
    networks: Callable[[], dict[str, nn.Module]],
    players: Callable[[dict[str, nn.Module]], list[Player]],
    batches: Callable[[int], Batch],
    steps: int,
) -> Callable[[How, ExitStack], Pair]:
    """``steps`` iterations of players; outputs are the terms of the first, and its gradients."""

    def build(how: How, _: ExitStack) -> Pair:
        torch.manual_seed(0)
        fast = {name: shaken(net).to(how.device) for name, net in networks().items()}
        plain = {name: slow.by_definition(net) for name, net in fast.items()}

        def call(nets: dict[str, nn.Module]) -> Call:
            acting = players(nets)

            def run() -> Sequence[Tensor]:
                first: list[Tensor] = []

                def after(step: int, terms: Terms) -> None:
                    if step == 1:
                        first.extend(terms.values())
                        first.extend(
                            torch.cat(
                                [p.grad.flatten() for p in net.parameters() if p.grad is not None]
                            )
                            for net in nets.values()
                        )

                with torch.device(how.device):
                    train(acting, batches, steps, after=after)
                return first

            return run

        for net in fast.values():
            how.net(net)
        return Pair(how.call(call(fast)), call(plain))

    return build


def stylegan2_nets() -> dict[str, nn.Module]:
    """64 pixels, 32 channels throughout."""
    shape: dict[str, Any] = {"base": 2048, "cap": 32}
    return {
        "G": stylegan2.Generator(64, **shape, latent=128, layers=4),
        "D": stylegan2.Discriminator(64, **shape, group=4),
    }


def stylegan2_players(nets: dict[str, nn.Module]) -> list[Player]:
    """D, its R1 at every 16th step, G, its path lengths at every 4th."""
    G, D = nets["G"], nets["D"]
    # Steps so small that both forms still agree in G's terms, for which D has moved.
    g, d = (Adam(net.parameters(), 1e-6, betas=(0.0, 0.99), fused=True) for net in (G, D))
    imitate = gan.mixer(G)
    return [
        gan.discriminator(imitate, D, d),
        gan.r1(D, d),
        gan.generator(imitate, D, g),
        gan.path_length(G, g, gan.PathMean().to(next(G.parameters()).device)),
    ]


def stylegan2_batch(step: int) -> Batch:
    """8 images and as many vectors of noise."""
    return Batch(torch.randn(8, 128), real=torch.rand(8, 3, 64, 64) * 2 - 1)


GCFSR = {"size": 256, "base": 8192, "cap": 512}


def gcfsr_nets(width: float) -> dict[str, nn.Module]:
    """GCFSR at 256 pixels, both networks at C."""
    G, D = gcfsr.Generator(**GCFSR, width=width), gcfsr.Discriminator(**GCFSR, width=width)
    return {"G": G, "D": D}


def gcfsr_players(nets: dict[str, nn.Module]) -> list[Player]:
    """The family's recipe but for its lazy R1: L1 and the adversarial term, and D."""
    G, D = nets["G"], nets["D"]
    g, d = (Adam(net.parameters(), 1e-6, betas=(0.0, 0.99), fused=True) for net in (G, D))
    pixels = losses.supervision(None)
    return [gan.supervised(G, D, g, pixels, weight=0.01), gan.discriminator(G, D, d)]


def gcfsr_batch(step: int) -> Batch:
    """One pair at 16x."""
    real = torch.rand(1, 3, 256, 256) * 2 - 1
    shown = F.interpolate(F.avg_pool2d(real, 16), scale_factor=16.0)
    return Batch(gcfsr.condition(shown, torch.full((1,), 1 / 4)), real=real, target=real)


# Memory -------------------------------------------------------------------------------------------


def memory_share(G: nn.Module, latent: int) -> float:
    """Bytes that backward keeps of one more image, over those of the definition."""

    def kept(net: nn.Module) -> int:
        return kept_per_image(lambda n: net(torch.randn(n, latent)))

    return kept(G) / kept(slow.by_definition(G))


# Paper A ------------------------------------------------------------------------------------------


@torch.no_grad()
def spanning(G: dcgan.Generator) -> dcgan.Generator:
    """G with images that span the greys, as a trained one's do."""
    images = G.to_image(G.eval().stages(torch.randn(8, G.latent, 1, 1)))
    G.to_image.weight /= images.std()
    return G


def student_step(teacher_d: int, d: int = 2, pairs: int = 256) -> Callable[[How, ExitStack], Pair]:
    """A step of an MSE student of 64 pixels: pairs from the cache, or the teacher called."""

    def build(how: How, stack: ExitStack) -> Pair:
        torch.manual_seed(0)
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shape = {"channels": 1, "size": 64, "latent": 100}
        own = shape | {"batch": 64, "pairs": pairs, "seed": 0, "steps": 0}
        needed = Unit(dcgan_kd.PAPER, "teacher", shape | {"d": teacher_d, "seed": 0})
        teacher = spanning(dcgan.Generator(teacher_d, **shape))
        Run(needed, root).finish({"G": teacher}, [{"value": 0}])
        frozen(teacher).to(how.device)
        unit = Unit(dcgan_kd.PAPER, "student", own, {"teacher": needed})
        cached = dcgan_kd.cached_batches(Run(unit, root, torch.device(how.device)))

        @torch.no_grad()
        def called(step: int) -> Batch:
            z = cached(step).cond
            return Batch(z, target=teacher(z))

        def call(batches: Callable[[int], Batch]) -> Call:
            torch.manual_seed(0)
            student = dcgan.Generator(d, **shape).to(how.device)
            players = mse_joint.mse(student, Adam(student.parameters(), 1e-3, fused=True))

            def run() -> Sequence[Tensor]:
                shown: list[Tensor] = []

                def seen(step: int) -> Batch:
                    batch = batches(step)
                    shown.append(gan.target(batch))
                    return batch

                train(players, seen, 2)
                return shown

            return run

        return Pair(call(cached), call(called))

    return build


# Metrics ------------------------------------------------------------------------------------------


def two_sets(n: int, dims: int = 2048) -> tuple[Tensor, Tensor]:
    """Features of full rank with a decaying spectrum, as those of images have."""
    rng = torch.Generator().manual_seed(0)
    scale = torch.arange(1, dims + 1).double().rsqrt()
    a, b = (torch.randn(n, dims, generator=rng).double() * scale for _ in range(2))
    return a, 1.1 * b + 0.1


def frechet(n: int) -> Callable[[How, ExitStack], Pair]:
    """The Frechet distance of n images a side, 2,048 dimensions."""

    def build(how: How, _: ExitStack) -> Pair:
        a, b = two_sets(n)
        numpy = a.numpy(), b.numpy()
        a, b = a.to(how.device), b.to(how.device)
        return Pair(
            lambda: [torch.tensor(metrics.frechet_distance(a, b))],
            lambda: [torch.tensor(slow.frechet_distance(*numpy))],
        )

    return build


def kernel(n: int) -> Callable[[How, ExitStack], Pair]:
    """The kernel distance over 100 subsets of 1,000 of n images a side, 2,048 dimensions."""

    def build(how: How, _: ExitStack) -> Pair:
        a, b = two_sets(n)
        numpy: tuple[np.ndarray, np.ndarray] = a.numpy(), b.numpy()
        a, b = a.to(how.device), b.to(how.device)
        return Pair(
            lambda: [torch.tensor(metrics.kernel_distance(a, b)[0])],
            lambda: [torch.tensor(slow.kernel_distance(*numpy))],
        )

    return build


# Paper C ------------------------------------------------------------------------------------------


def teacher_forwards() -> float:
    """How often the teacher draws in one iteration of NICKEL & DiME with global targets."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {"base": 128, "cap": 8}
    S, T = (stylegan2.Generator(16, **shape, latent=8, layers=1) for _ in range(2))
    D, D_T = (stylegan2.Discriminator(16, **shape, group=2) for _ in range(2))
    frozen(T)
    wanted = nickel_dime.moments(torch.zeros(2, 3))
    kernels = [nickel_dime.Kernel("mean colour", lambda x: x.mean((2, 3)), 1.0, wanted)]
    g, d, d_t = (Adam(net.parameters(), 1e-3) for net in (S, D, D_T))
    pair = ("synthesis.b4.conv1", "b8")
    players = nickel_dime.nickel_dime(S, T, D, D_T, g, d, d_t, kernels, pair=pair)
    forwards = []
    T.get_submodule("synthesis").register_forward_hook(lambda *_: forwards.append(1))
    train(players, lambda _: Batch(torch.randn(2, 8), real=torch.zeros(2, 3, 16, 16)), 4)
    return len(forwards) / 4


# All ----------------------------------------------------------------------------------------------

PASS = ("bf16", "channels_last", "compile")
STEP = ("bf16", "channels_last")  # a compiled network has no second derivative

CASES = [
    Case(
        "StyleGAN2 forward, 256 px, batch 4", 1.9, forward(stylegan2.Generator, 4, 512),
        repeats=3, switches=PASS,
    ),
    Case(
        "StyleGAN2 forward, 32 px, batch 8", 3.3,
        forward(partial(stylegan2.Generator, 32), 8, 512),
        repeats=5, switches=PASS,
    ),
    Case(
        "StyleGAN2 training, 64 px, 32 channels, batch 8", 4.0,
        training(stylegan2_nets, stylegan2_players, stylegan2_batch, CYCLE),
        repeats=1, warm=False, tolerance=1e-3, switches=STEP,
    ),
    *(
        Case(
            f"GCFSR forward, 256 px, C = 1/{c}, batch 4", 1.5,
            forward(partial(gcfsr.Generator, **GCFSR, width=1 / c), 4, 4, 256, 256),
            repeats=3, switches=PASS,
        )
        for c in (2, 4, 8)
    ),
    *(
        Case(
            f"GCFSR training, 256 px, C = 1/{c}, batch 1", 1.8,
            training(partial(gcfsr_nets, 1 / c), gcfsr_players, gcfsr_batch, 1),
            repeats=3, tolerance=1e-3, switches=STEP,
        )
        for c in (2, 4, 8)
    ),
    *(
        Case(
            f"RRDBNet forward, 64 px to 256 px, C = {name}", goal,
            forward(partial(realesrgan.RRDBNet, width=width), 1, 3, 64, 64),
            repeats=repeats, switches=PASS,
        )
        for name, width, goal, repeats in (
            ("1", 1.0, 1.05, 3), ("1/4", 1 / 4, 1.2, 7), ("1/8", 1 / 8, 1.2, 7)
        )
    ),
    Case("DCGAN student step, cached teacher d=128", 12.0, student_step(128), 3, tolerance=0.004),
    Case("DCGAN student step, cached teacher d=64", 5.0, student_step(64), 5, tolerance=0.004),
    Case("Frechet distance, 2 x 5,000 images, 2,048-d", 6.0, frechet(5000), 1),
    Case("Frechet distance, 2 x 100 images, 2,048-d", 500.0, frechet(100), 1, warm=False),
    Case("kernel distance, 2 x 2,000 images, 100 subsets", 8.0, kernel(2000), 1, warm=False),
]  # fmt: skip

COUNTS = [
    Count(
        "StyleGAN2 bytes kept an image, 256 px", "<= 0.5",
        lambda: memory_share(stylegan2.Generator(), 512), lambda x: x <= 0.5,
    ),
    Count(
        "StyleGAN2 bytes kept an image, 64 px", "<= 0.5",
        lambda: memory_share(stylegan2.Generator(64), 512), lambda x: x <= 0.5,
    ),
    Count(
        "StyleGAN2 bytes kept an image, 64 px, 32 channels", "none",
        lambda: memory_share(stylegan2_nets()["G"], 128), None,
    ),
    Count(
        "NICKEL & DiME: teacher forwards an iteration", "= 1",
        teacher_forwards, lambda x: x == 1,
    ),
]  # fmt: skip
