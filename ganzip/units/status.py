"""How far the units of a plan are, what they still take, and why some failed."""

import math
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ganzip.units.plan import demand
from ganzip.units.unit import State, Unit, read_state

# Multiply-adds a second that an H100 may sustain: an assumption, printed as one.
SUSTAINED = 2e13
STATES = ("done", "running", "failed", "interrupted", "missing")


def progress(units: Iterable[Unit], root: Path) -> pd.DataFrame:
    """How far each unit is: paper, unit, state, left (a share), what it asks, seconds it took."""
    lines = []
    for unit in units:
        state, needs = read_state(unit, root), demand(unit)
        done = state.name == "done"
        lines.append(
            {
                "paper": unit.paper,
                "unit": unit.name,
                "state": state.name,
                "left": 0.0 if done else 1 - state.step / max(1, unit.config["steps"]),
                "multiply_adds": needs.multiply_adds,
                "seconds": unit.manifest(root)["wall_seconds"] if done else 0.0,
                "gigabytes": needs.weight_bytes / 1e9,
            }
        )
    return pd.DataFrame(lines)


def status(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a paper: units in each state, hours, gigabytes of weights; of ``progress``.

    ``hours_left`` are hours of one process at the rate of the finished units, NaN before there are
    any; ``gpu_hours`` are those of all units of the plan if a GPU sustained ``SUSTAINED``.
    """
    done = frame["state"] == "done"
    work = frame["multiply_adds"]
    sums = {
        "units": 1,
        **{name: frame["state"] == name for name in STATES},
        "spent": frame["seconds"].where(done, 0.0),
        "work_done": work.where(done, 0.0),
        "work_left": work * frame["left"],
        "gpu_hours": work / SUSTAINED / 3600,
    }
    columns = ["paper", *sums, "gigabytes"]
    lines = frame.assign(**sums).loc[:, columns].groupby("paper", sort=False).sum().reset_index()
    rate = lines.pop("spent").replace(0, math.nan) / lines.pop("work_done").replace(0, math.nan)
    lines.insert(len(STATES) + 2, "hours_left", lines.pop("work_left") * rate / 3600)
    return lines


def forecast(frame: pd.DataFrame, root: Path, jobs: int = 1) -> str:
    """What is to be done, before it begins, in words: units, time, disk; of ``progress``."""
    columns = ["done", "units", "hours_left", "gpu_hours", "gigabytes"]
    done, units, hours, gpu, weights = status(frame)[columns].sum(skipna=False).tolist()
    lines = [f"{done:.0f} of {units:.0f} units are done"]
    if done < units and not math.isnan(hours):
        hours /= jobs
        time = f"{60 * hours:.0f} minutes" if hours < 2 else f"{hours:,.0f} hours"
        lines.append(f"about {time} of training left, {jobs} side by side, at the rate so far")
    if gpu > 0.1:
        lines.append(
            f"the whole plan takes {gpu:,.0f} GPU hours, by its multiply-adds to a factor of two, "
            f"if an H100 sustains {SUSTAINED:.0e} of them a second, which is an assumption"
        )
    # A unit at work has two checkpoints and a third being written, of weights and Adam's moments.
    disk = weights + 9 * jobs * max(frame["gigabytes"])
    lines.append(f"disk: {disk:.2g} GB of weights and checkpoints under {root}")
    return "\n".join(lines)


def failures(units: Iterable[Unit], root: Path) -> list[str]:
    """One line for each unit that failed or was killed: its last step, why, and the remedy."""
    return [
        f"{unit.paper} {unit.name}: step {state.step} of {unit.config['steps']}: {remedy(state)} "
        f"(all of it: {unit.folder(root)})"
        for unit in units
        if (state := read_state(unit, root)).name in ("failed", "interrupted")
    ]


def remedy(state: State) -> str:
    """What happened to a unit that is not done, and what helps."""
    if state.name == "interrupted":
        return "stopped, or killed: if for its memory, take fewer JOBS. It goes on from there"
    if re.match(r"MemoryError|\S*OutOfMemoryError", state.error):
        return f"{state.error}; take fewer JOBS, or a machine with more memory"
    if "No space left" in state.error or "Disk quota" in state.error:
        return f"{state.error}; free some disk, or choose another folder with GANZIP_RUNS"
    return state.error  # ours say what helps
