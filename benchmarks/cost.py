"""What a StyleGAN2 training step costs, against resolution, batch and width.

    python -m benchmarks.cost [--device cuda] [--draw]

One process a point, so that the peak of memory is its own. A step is D and G, a sixteenth of R1
and a quarter of the path lengths; its peak is that of a step with all four.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchmarks.__main__ import RESULTS, machine
from benchmarks.cases import shaken, stylegan2_players
from benchmarks.checkpointing import checkpointed
from benchmarks.measure import Call, Pair, compare, kept_per_image
from ganzip import files, processes
from ganzip.nets import stylegan2
from ganzip.train import Batch, Terms, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CENTRE = {"size": 32, "batch": 8, "width": 1.0}
AXES: dict[str, tuple[float, ...]] = {
    "size": (16, 32, 64, 128),
    "batch": (2, 4, 8, 16),
    "width": (1 / 4, 1 / 2, 1),
}
SHAPE: dict[str, Any] = {
    "base": 4096,
    "cap": 128,
}  # channels: 128 up to 32 pixels, 64 at 64, 32 at 128
LATENT = 128
LABELS = {
    "size": "resolution (pixels)",
    "batch": "batch (images)",
    "width": "width (share of the channels)",
}
SERIES = {False: "all activations kept", True: "synthesis blocks checkpointed"}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--draw", action="store_true", help="draw the kept results, no run")
    asked = parser.parse_args()
    path = RESULTS / f"cost-{asked.device}.json"
    if not asked.draw:
        kept = {"machine": machine(asked.device), **study(asked.device)}
        files.write(path, (json.dumps(kept, indent=1) + "\n").encode())
    kept = json.loads(path.read_text())
    figure = draw(kept["points"], kept["machine"])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    files.write(path.with_suffix(".png"), buffer.getvalue())
    print(json.dumps(kept["price"], indent=1))


def study(device: str) -> dict[str, Any]:
    """The price of checkpointing, and all points, one after the other."""
    asked = {
        tuple((CENTRE | {axis: value, "checkpointed": again}).items()): None
        for axis, values in AXES.items()
        for value in values
        for again in (False, True)
    }
    points, start = [], time.monotonic()
    fresh = multiprocessing.get_context("forkserver")
    fresh.set_forkserver_preload(["benchmarks.cases"])  # torch is imported once
    # A worker ends with this process.
    with ProcessPoolExecutor(
        1, fresh, processes.follow, (os.getpid(),), max_tasks_per_child=1
    ) as pool:
        for i, items in enumerate(asked):
            points.append(pool.submit(step, dict(items), device).result())
            spent = time.monotonic() - start
            left = spent / (i + 1) * (len(asked) - i - 1)
            print(f"{i + 1} of {len(asked)}, about {left:.0f} s left", file=sys.stderr)
        return {"points": points, "price": pool.submit(price, device).result()}


def networks(point: Mapping[str, Any], device: str) -> dict[str, nn.Module]:
    """Generator and discriminator of a point."""
    torch.manual_seed(0)
    size, width = int(point["size"]), point["width"]
    G = stylegan2.Generator(size, **SHAPE, latent=LATENT, layers=4, width=width)
    D = stylegan2.Discriminator(size, **SHAPE, group=2, width=width)
    return {"G": shaken(G).to(device), "D": shaken(D).to(device)}


def blocks(G: nn.Module) -> list[str]:
    """The synthesis blocks, which are what is checkpointed."""
    return [f"synthesis.{name}" for name, _ in G.get_submodule("synthesis").named_children()]


def step(point: dict[str, Any], device: str) -> dict[str, Any]:
    """Seconds and peak of memory of a training step, in a process of its own."""
    torch.set_num_threads(1)
    nets = networks(point, device)
    players = stylegan2_players(nets)
    n, size = int(point["batch"]), int(point["size"])

    def batch(_: int) -> Batch:
        z = torch.randn(n, LATENT, device=device)
        return Batch(z, real=torch.rand(n, 3, size, size, device=device))

    seconds: dict[int, float] = {}
    with ExitStack() as stack:
        if point["checkpointed"]:
            stack.enter_context(checkpointed(nets["G"], blocks(nets["G"])))
        before = peak(device)
        for first, last in ((0, 1), (16, 17), (20, 21), (21, 24)):
            marks = [clock(device)]

            def after(step: int, terms: Terms, marks: list[float] = marks) -> None:
                marks.append(clock(device))

            train(players, batch, last, start=first, after=after)
            seconds[first] = (marks[-1] - marks[0]) / (last - first)
        after_all = peak(device)
    both, with_path, with_all = seconds[21], seconds[20], seconds[16]
    average = both + (with_path - both) / 4 + (with_all - with_path) / 16
    return point | {
        "seconds": round(average, 5),
        "mebibytes": round((after_all - before) / 2**20, 1),
    }


def clock(device: str) -> float:
    """CPU seconds of this process; on a GPU the time when it is done."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def peak(device: str) -> int:
    """The most bytes that were ever in use: of the process, or by tensors on the GPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def price(device: str) -> list[dict[str, Any]]:
    """Checkpointing's: time of a forward and backward of G, bytes kept for it, as factors."""
    torch.set_num_threads(1)
    found = []
    for size in (64, 128):
        G = networks(CENTRE | {"size": size}, device)["G"]

        def forward(n: int, G: nn.Module = G) -> torch.Tensor:
            return G(torch.randn(n, LATENT, device=device))

        def run(G: nn.Module = G) -> list[torch.Tensor]:
            torch.manual_seed(0)
            G.zero_grad()
            forward(4, G).square().mean().backward()
            return [p.grad for p in G.parameters() if p.grad is not None]

        def again(G: nn.Module = G, run: Callable[..., Any] = run) -> list[torch.Tensor]:
            with checkpointed(G, blocks(G)):
                return run(G)

        plain = kept_per_image(forward)
        with checkpointed(G, blocks(G)):
            less = kept_per_image(forward)
        calls: tuple[Call, Call] = run, again
        found.append(
            {
                "pixels": size,
                "time_factor": round(compare(Pair(*calls), 5, device=device).cpu, 2),
                "kept_bytes_factor": round(less / plain, 3),
            }
        )
    return found


def draw(points: list[dict[str, Any]], where: Mapping[str, Any]) -> Figure:
    """Time and memory, a column an axis."""
    import matplotlib.pyplot as plt

    from ganzip.report import figures

    quantities = {"seconds": "time of a step (CPU s)", "mebibytes": "peak memory (MiB)"}
    if where["gpu"]:
        quantities["seconds"] = "time of a step (s)"
    with figures.style():
        figure, grid = plt.subplots(2, 3, figsize=(9.6, 5.8), sharey="row")
        plt.close(figure)
        for row, (quantity, label) in zip(grid, quantities.items(), strict=True):
            for panel, axis in zip(row, AXES, strict=True):
                for again, colour, marker in ((False, "#0072B2", "o"), (True, "#D55E00", "s")):
                    line = on_axis(points, axis, again)
                    x, y = [p[axis] for p in line], [p[quantity] for p in line]
                    panel.plot(x, y, color=colour, marker=marker, label=SERIES[again])
                panel.set_xscale("log", base=2)
                panel.set_yscale("log")
                ticks = [f"1/{round(1 / v)}" if v < 1 else f"{v:g}" for v in AXES[axis]]
                panel.set_xticks(AXES[axis], ticks)
                panel.minorticks_off()
                panel.grid(True, which="major", axis="both")
            row[0].set_ylabel(label)
            least, most = (of(p[quantity] for p in points) for of in (min, max))
            rungs = [r * 10.0**k for k in range(-4, 6) for r in (1, 2, 5)]
            rungs = [r for r in rungs if 0.9 * least <= r <= most]
            row[0].set_yticks(rungs, [f"{r:g}" for r in rungs])
        for panel, axis in zip(grid[1], AXES, strict=True):
            panel.set_xlabel(LABELS[axis])
        titles = ("batch 8, width 1", "32 pixels, width 1", "32 pixels, batch 8")
        for panel, title in zip(grid[0], titles, strict=True):
            panel.set_title(title)
        handles = grid[0][0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper center", ncols=2)
        what = where["gpu"] or f"one thread of an {where['cpu']}"
        figure.supxlabel(f"StyleGAN2, at most 64 channels; {what}, torch {where['torch']}", size=9)
    return figure


def on_axis(points: list[dict[str, Any]], axis: str, again: bool) -> list[dict[str, Any]]:
    """Points that differ from the centre along one axis alone."""
    fixed = {k: v for k, v in CENTRE.items() if k != axis} | {"checkpointed": again}
    line = [p for p in points if all(p[k] == v for k, v in fixed.items())]
    return sorted(line, key=lambda p: p[axis])


if __name__ == "__main__":
    main()
