"""PyTorch's meta device in the place of a GPU: tensors there have a shape and no numbers.

Most operators refuse to mix them with CPU tensors, as they would refuse to mix CUDA with CPU; so a
forgotten ``.to(device)`` shows without a GPU. What comes back to the CPU gets any numbers. In a
training step nothing may come back: on a GPU the step would wait for it.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip import features, metrics, parallel
from ganzip import train as training
from ganzip.units import Run, Unit, run

DEVICE = torch.device("meta")


def blank(x: Tensor) -> Tensor:
    """What a copy to the CPU gives."""
    if x.is_floating_point():
        return torch.rand(x.shape, dtype=x.dtype)
    return torch.zeros(x.shape, dtype=x.dtype)


class Anything(torch.autograd.Function):
    """A function of one tensor, of any values: its shape and its gradients' are the input's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def leaky(x: Tensor, *settings: Any, whole: Any = F.leaky_relu, **more: Any) -> Tensor:
    """The meta device has a leaky ReLU in Python alone, a millisecond each: there, anything."""
    return Anything.apply(x) if x.is_meta else whole(x, *settings, **more)  # pyright: ignore


def shaped(x: Any, y: Any, **how: Any) -> Tensor:
    """What an operator of two, element by element, gives there."""
    tensors = [t for t in (x, y) if isinstance(t, Tensor)]
    assert all(t.is_meta or not t.ndim for t in tensors), "tensors on two devices"
    shape = torch.broadcast_shapes(*(t.shape for t in tensors))
    return torch.empty(shape, dtype=torch.result_type(x, y), device=DEVICE)


def product(bias: Tensor, x: Tensor, y: Tensor, **how: Any) -> Tensor:
    assert bias.is_meta and x.is_meta and y.is_meta and x.shape[1] == len(y)
    assert bias.shape[-1] in (1, y.shape[1])
    return x.new_empty(len(x), y.shape[1])


def resized(x: Tensor, size: Any, *how: Any) -> Tensor:
    assert x.is_meta
    return x.new_empty(*x.shape[:2], *size)


@contextmanager
def quick() -> Iterator[None]:
    """The commonest operators in a few lines: torch's own take half a millisecond and more."""
    library = torch.library.Library("aten", "IMPL", "Meta")
    for name in ("add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor", "pow.Tensor_Scalar"):
        library.impl(name, shaped)
    library.impl("addmm", product)
    library.impl("upsample_bicubic2d", resized)
    try:
        yield
    finally:
        library._destroy()


def passed(net: nn.Module, *inputs: Tensor) -> int:
    """A forward, not counted: torch's counter wants gradients of what has no numbers."""
    with features.evaluating(net):
        net(*inputs)
    return 1


class Meta:
    """The device, and the units that were done on it: their weights and rows."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.weights: dict[str, dict[str, Tensor]] = {}
        self.steps = 0
        self._stepping = False
        warnings.filterwarnings("ignore", "for .*copying from a non-meta parameter")
        patch.setattr(features, "_lite", lambda version, size, device: Lite().to(device))
        patch.setattr(F, "leaky_relu", leaky)
        patch.setattr(F, "leaky_relu_", partial(leaky, whole=F.leaky_relu_))
        patch.setattr(metrics, "macs", passed)
        self._patch_tensors(patch)
        self._patch_runs(patch)

    def work(self, unit: Unit, work: Any, root: Any) -> Run:
        """Do a unit whose needs were done: train it for one step a phase, measure and finish it."""
        run = Run(unit, root, DEVICE)
        run.folder.mkdir(parents=True, exist_ok=True)
        work(run)
        return run

    @contextmanager
    def step(self) -> Iterator[None]:
        """Inside the ``with`` block nothing may come back from the device."""
        before, self._stepping = self._stepping, True
        try:
            yield
        finally:
            self._stepping = before

    def _back(self, x: Tensor, what: str) -> None:
        assert not self._stepping, f"{what} of a tensor {tuple(x.shape)} inside a training step"

    def _patch_tensors(self, patch: pytest.MonkeyPatch) -> None:
        cpu, to, item = Tensor.cpu, Tensor.to, Tensor.item

        def to_cpu(x: Tensor) -> Tensor:
            if not x.is_meta:
                return cpu(x)
            self._back(x, ".cpu()")
            return blank(x)

        def moved(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            where = kwargs.get("device", args[0] if args else None)
            where = where.device if isinstance(where, Tensor) else where
            if x.is_meta and isinstance(where, str | torch.device):
                if torch.device(where).type == "cpu":
                    self._back(x, ".to('cpu')")
                    return blank(x)
            return to(x, *args, **kwargs)

        def number(x: Tensor) -> Any:
            if not x.is_meta:
                return item(x)
            self._back(x, ".item()")
            return 1.0 if x.is_floating_point() else 0

        patch.setattr(Tensor, "cpu", to_cpu)
        patch.setattr(Tensor, "to", moved)
        patch.setattr(Tensor, "item", number)
        for name in ("Adam", "RMSprop"):
            kind = getattr(torch.optim, name)
            patch.setattr(kind, "__init__", _plain(kind.__init__))
            patch.setattr(kind, "step", _no_step)

    def _patch_runs(self, patch: pytest.MonkeyPatch) -> None:
        whole, act, finish = Run.train, training.act, Run.finish

        def train(run: Run, players: Any, batches: Any, steps: int, *args: Any, **kwargs: Any):
            def on_device(step: int) -> training.Batch:
                batch = training.parted(batches(step))
                for name in ("cond", "real", "target", "features"):
                    x = getattr(batch, name)
                    assert x is None or x.is_meta, f"batch.{name} is on {x.device}"
                return batch

            return whole(run, players, on_device, 1, *args, **kwargs)

        def guarded(player: Any, everyone: Any, batch: Any, step: int) -> Any:
            with self.step():
                terms = act(player, everyone, batch, step)
            for name, term in terms.items():
                assert term.is_meta, f"{player.name}/{name} is on {term.device}"
            self.steps += 1
            return terms

        def done(run: Run, networks: Any, rows: Any) -> None:
            finish(run, networks, rows)
            self.weights[run.unit.key] = {
                f"{name}.{key}": torch.rand(x.shape) if x.is_floating_point() else x.new_zeros(
                    x.shape, device="cpu")
                for name, part in networks.items()
                for key, x in (part.state_dict() if hasattr(part, "state_dict") else part).items()
            }  # fmt: skip

        patch.setattr(Run, "train", train)
        patch.setattr(Run, "finish", done)
        patch.setattr(training, "act", guarded)
        patch.setattr(run, "save_sealed", lambda *_: None)
        patch.setattr(run, "_finite", lambda state: True)  # nothing here has numbers
        patch.setattr(Unit, "weights", lambda unit, root: self.weights[unit.key])
        assert parallel.size() == 1


def _plain(init: Any) -> Any:
    """Optimisers without their fused form, which the meta device does not have."""

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **{k: v for k, v in kwargs.items() if k != "fused"})

    return made


def _no_step(self: torch.optim.Optimizer, closure: None = None) -> None:
    """Torch's own steps, a dozen operators a parameter, take the most time and show nothing."""
    for group in self.param_groups:
        for p in group["params"]:
            assert p.is_meta and (p.grad is None or p.grad.is_meta)


class Lite(nn.Module):
    """EfficientNet-Lite's names and sizes in a few layers: the whole takes seconds here."""

    def __init__(self):
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 8, 3, 2, 1)
        self._bn0, self._swish = nn.Identity(), nn.Identity()
        halving = {1, 3, 5}
        self._blocks = nn.ModuleList(nn.Conv2d(8, 8, 1, 1 + (i in halving)) for i in range(11))
        self._conv_head = nn.Conv2d(8, 1280, 1)

    def extract_features(self, images: Tensor) -> Tensor:
        """Maps (N, 1280, h, w)."""
        x = self._conv_stem(images)
        for block in self._blocks:
            x = block(x)
        return self._conv_head(x)
