"""Where the time of a paper's notebook goes at preset cpu: training, teacher, features, the rest.

    python -m benchmarks.where PAPER [--finished FOLDER] [--most N]

One unit of each of the N methods with the most units, of seed 0 and the method's first width, is
done anew under a clock that knows what runs; it counts as often as its method has units. What units
need is taken from FOLDER, by default the usual ``runs``, or trained first.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib
import inspect
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.nn.modules import module as hooks

from benchmarks.__main__ import RESULTS, machine
from ganzip import data, degrade, features, files, metrics, prune, train
from ganzip.nets import dcgan, encoder, gcfsr, realesrgan, stylegan2
from ganzip.units import Run, Unit, in_order, perform, run

SOURCES = {"dcgan_kd": "digits", "sdakd": "photos", "nickel_dime": "digits"}
DRAWING = (dcgan.Generator, stylegan2.Synthesis, gcfsr.Generator, realesrgan.RRDBNet)
JUDGING = (dcgan.Discriminator, stylegan2.Discriminator, realesrgan.UNetDiscriminator)
EYES = (features.Classifier, encoder.Encoder)
MAIN = ("training", "teacher", "features")


class Clock:
    """CPU seconds by label; a label inside another is counted once, as itself."""

    def __init__(self):
        self.spent: dict[str, float] = defaultdict(float)
        self.stack = ["other"]
        self.since = time.process_time()

    def enter(self, label: str) -> None:
        """From now on, time is the label's."""
        self._count()
        self.stack.append(label)

    def leave(self) -> None:
        """From now on, time is that of the label before."""
        self._count()
        self.stack.pop()

    def wrap(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        """The function, its time counted as the label's."""

        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.enter(label)
            try:
                return function(*args, **kwargs)
            finally:
                self.leave()

        return counted

    def _count(self) -> None:
        now = time.process_time()
        self.spent[self.stack[-1]] += now - self.since
        self.since = now


@contextmanager
def watching() -> Iterator[Clock]:
    """Units done inside the ``with`` block are clocked. Backward through features is training."""
    clock = Clock()

    def label(net: nn.Module) -> str | None:
        if net.training:
            return None
        if isinstance(net, EYES):
            return "features"
        if isinstance(net, (*DRAWING, *JUDGING)):
            teaching = clock.stack[-1] in ("training", "batches", "teacher")
            return "teacher" if teaching else "drawing what is measured"
        return None

    def enter(net: nn.Module, _: object) -> None:
        name = label(net)
        if name is not None:
            clock.enter(name)

    def leave(net: nn.Module, *_: object) -> None:
        if not net.training and isinstance(net, (*EYES, *DRAWING, *JUDGING)):
            clock.leave()

    own_train = Run.train

    def phase(self: Run, players: Any, batches: Any, *args: Any, **named: Any) -> None:
        for key, what in (("samples", "snapshots"), ("validate", "validation")):
            if named.get(key) is not None:
                named[key] = clock.wrap(named[key], what)
        own_train(self, players, clock.wrap(batches, "batches"), *args, **named)

    def seeing(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any, **named: Any) -> Any:
            eye = make(*args, **named)
            return dataclasses.replace(eye, extract=clock.wrap(eye.extract, "features"))

        return made

    with ExitStack() as stack:

        def patch(owner: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(owner, name, value))

        patch(train, "act", clock.wrap(train.act, "training"))
        patch(Run, "train", phase)
        patch(Run, "_checkpoint", clock.wrap(Run._checkpoint, "checkpoints"))
        patch(Run, "finish", clock.wrap(Run.finish, "saving"))
        patch(run, "save_array", clock.wrap(files.save_array, "snapshots"))
        patch(features, "embed", clock.wrap(features.embed, "features"))
        patch(encoder.Encoder, "maps", clock.wrap(encoder.Encoder.maps, "features"))
        for name in ("lite_maps", "efficientnet_lite"):
            patch(features, name, seeing(getattr(features, name)))
        for module, what in (
            (metrics, "metrics"),
            (prune, "pruning"),
            (degrade, "degradation"),
            (data, "data"),
        ):
            for name, function in inspect.getmembers(module, inspect.isfunction):
                if function.__module__ == module.__name__ and not name.startswith("_"):
                    if not inspect.isgeneratorfunction(function):
                        patch(module, name, clock.wrap(function, what))
        handles = [
            hooks.register_module_forward_pre_hook(enter),
            hooks.register_module_forward_hook(leave),
        ]
        try:
            yield clock
        finally:
            for handle in handles:
                handle.remove()


def groups(units: Iterable[Unit]) -> dict[str, list[Unit]]:
    """Units by network and method, the largest group first."""
    found: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        network = unit.config.get("network", "")
        found[f"{network} {unit.config['method']}".strip()].append(unit)
    return dict(sorted(found.items(), key=lambda kv: -len(kv[1])))


def study(
    paper: str, finished: Path, most: int = 99, keep: Callable[[dict[str, Any]], object] = id
) -> dict[str, dict[str, Any]]:
    """Seconds by label of a unit of each method, and how many units the method has.

    ``keep`` is handed what is known after each.
    """
    module = importlib.import_module(f"ganzip.papers.{paper}")
    units: list[Unit] = module.prepare("cpu", SOURCES[paper])
    stages = dict(list(groups(units).items())[:most])
    found: dict[str, dict[str, Any]] = {}
    # The first optimiser of a process imports a second or two of torch: no unit's own.
    torch.optim.Adam([nn.Parameter(torch.zeros(1))], fused=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for i, (name, members) in enumerate(stages.items()):
            print(f"{i + 1} of {len(stages)}: {name}", file=sys.stderr)
            unit = members[0]
            for need in in_order(unit.needs.values()):
                linked(need, finished, root)
                perform(need, module.work, root)
            if unit.done(root):  # another stage needed it
                unit.folder(root).rename(root / unit.key)
            with watching() as clock:
                perform(unit, module.work, root)
                clock.enter("other")
            spent = {k: round(v, 3) for k, v in sorted(clock.spent.items(), key=lambda kv: -kv[1])}
            found[name] = {"units": len(members), "seconds": spent}
            keep(found)
    return found


def linked(unit: Unit, finished: Path, root: Path) -> None:
    """Let a unit that is finished elsewhere be finished here."""
    here = unit.folder(root)
    if unit.done(finished) and not here.exists():
        here.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(unit.folder(finished).resolve(), here)


def shares(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Percent of the time of all units, by label, largest first."""
    total: dict[str, float] = defaultdict(float)
    for stage in stages.values():
        for label, seconds in stage["seconds"].items():
            total[label] += stage["units"] * seconds
    whole = sum(total.values())
    return {k: round(100 * v / whole, 1) for k, v in sorted(total.items(), key=lambda kv: -kv[1])}


def markdown(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a stage: its share of the paper's time, and what that is made of, in percent."""
    rows = [
        "| stage | units | share | training | teacher | features | the rest |",
        "|---" * 7 + "|",
    ]
    whole = sum(s["units"] * sum(s["seconds"].values()) for s in stages.values())
    everything = {"units": sum(s["units"] for s in stages.values()), "seconds": shares(stages)}
    for name, stage in [*stages.items(), ("all", everything)]:
        own = sum(stage["seconds"].values())
        percent = {k: 100 * v / own for k, v in stage["seconds"].items()}
        rest = sorted(((v, k) for k, v in percent.items() if k not in MAIN), reverse=True)
        named = ", ".join(f"{k} {v:.0f}" for v, k in rest if v > 10)
        left = sum(v for v, _ in rest)
        cells = [name, f"{stage['units']}"]
        cells.append("100" if name == "all" else f"{100 * stage['units'] * own / whole:.0f}")
        cells += [f"{percent.get(k, 0):.0f}" for k in MAIN]
        cells.append(f"{left:.0f}" + (f" ({named})" if named else ""))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.where", description=__doc__)
    parser.add_argument("paper", choices=tuple(SOURCES))
    parser.add_argument("--finished", type=Path, default=files.runs_folder())
    parser.add_argument("--most", type=int, default=99, metavar="N")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / f"where-{asked.paper}.json"

    def keep(stages: dict[str, Any]) -> None:
        kept = {"machine": machine("cpu"), "shares": shares(stages), "stages": stages}
        files.write(path, (json.dumps(kept, indent=1) + "\n").encode())

    print(markdown(study(asked.paper, asked.finished, asked.most, keep)))


if __name__ == "__main__":
    main()
