"""A storm of kills: a paper is run in three ways, killed at random times, and run again.

    python -m tests.storm --kills 60

Every run is of preset smoke: its notebook by papermill, one of its units by ``python -m
ganzip.papers``, or ``python -m ganzip.batch run``, whichever comes, all in one folder. Looked at
are the processes of a run that live ten seconds after its kill, and in the end rows and weights of
every unit, beside those of a run that nobody disturbed.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pandas as pd
import psutil

from ganzip import files, processes
from ganzip.measure import results_and_costs
from ganzip.units import Unit, read_rows
from ganzip.units.plan import PAPER_NOTEBOOKS, Request
from tests.started import start, wait_until

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
SECONDS = 10.0  # after which no process of a run may live


# The storm ----------------------------------------------------------------------------------------


def given(paper: str) -> Request:
    """What is run of a paper."""
    return Request("smoke", papers=(paper,))


def command(way: str, paper: str, root: Path, chance: random.Random) -> list[str]:
    """The command line that does a paper, or one unit of it that is not done yet."""
    if way == "notebook":
        notebook = f"{PAPER_NOTEBOOKS[paper]}.ipynb"
        names = [str(files.repository() / "notebooks" / notebook), str(root / notebook)]
        how = ["-k", "python3", "--no-progress-bar", "-p", "preset", "smoke", "-p", "jobs", "2"]
        return processes.command("papermill", *names, *how)
    if way == "batch":
        return processes.command("ganzip.batch", "run", *WHAT, "--papers", paper, "--jobs", "2")
    todo = [unit.name for unit in given(paper).units() if not unit.done(root)]
    return processes.command("ganzip.papers", paper, chance.choice(todo), *WHAT)


WHAT = ("--preset", "smoke")
WAYS = ("notebook", "script", "batch")


def kill(way: str, paper: str, root: Path, chance: random.Random, log: IO[str]) -> tuple[str, ...]:
    """Start a run and kill it; returns whom, by what, when, and what was left. Empty: too late."""
    run = start(command(way, paper, root, chance), root, log)
    begun, wait = time.monotonic(), chance.uniform(1, 40)
    while run.process.poll() is None and time.monotonic() < begun + wait:
        time.sleep(0.1)
    number, kernel = chance.choice(SIGNALS), run.kernel() if chance.random() < 0.5 else None
    whom, victim = ("kernel", kernel) if kernel and way == "notebook" else (way, run.process)
    # Papermill is the starter of a kernel, and not of its processes.
    but = [run.process.pid] if whom == "kernel" else []
    if whom == "kernel" and number == signal.SIGINT:  # it ends a cell: between cells it is ignored
        wait_until(lambda: run.workers() or run.process.poll() is not None)
    if run.process.poll() is not None:
        return ()
    try:
        victim.send_signal(number)
        left = run.left(SECONDS, but)
        run.process.wait(60)
    except psutil.NoSuchProcess:
        return ()
    finally:
        run.kill()
    return paper, whom, number.name, f"{wait:.1f}", "; ".join(left)


def differing(plan: Sequence[Unit], root: Path, whole: Path) -> list[str]:
    """The units whose rows or weights are not those of the undisturbed run, to the bit."""
    out = []
    for unit in plan:
        mine, its = (results_and_costs(read_rows([unit], at))[0] for at in (root, whole))
        weights = [unit.manifest(folder)["weights_sha256"] for folder in (root, whole)]
        if not mine.equals(its) or weights[0] != weights[1]:
            out.append(unit.name)
    return out


def undisturbed(paper: str, root: Path, log: IO[str]) -> None:
    """Do all units of a paper that are not done, as its notebook does."""
    code = (
        f"from ganzip import files, processes\nprocesses.follow({os.getpid()})\n"
        "from ganzip.units import perform_all\n"
        f"from ganzip.papers import {paper} as paper\n"
        "perform_all(paper.prepare('smoke'), paper.work, files.runs_folder(), n_jobs=2)"
    )
    run = start([sys.executable, "-c", code], root, log)
    if code := run.process.wait():
        raise RuntimeError(f"undisturbed, {paper} ended with {code} in {root}: {log.name}")


def storm(kills: int, papers: Sequence[str], root: Path, chance: random.Random) -> int:
    """Kill so often; returns how many processes were left and units differ."""
    told, wrong = [], 0
    with (root / "log").open("w") as log:
        for i, paper in enumerate(papers):
            plan, whole = given(paper).units(), root / "whole"
            undisturbed(paper, whole, log)
            to_do, again = kills // len(papers) + (i < kills % len(papers)), 0
            while to_do:
                here = root / f"{paper}-{again}"
                here.mkdir()
                while to_do and not all(unit.done(here) for unit in plan):
                    if one := kill(chance.choice(WAYS), paper, here, chance, log):
                        to_do, told = to_do - 1, [*told, one]
                        print(*one[:4], one[4] or "none left", flush=True)
                undisturbed(paper, here, log)
                bad, again = differing(plan, here, whole), again + 1
                print(f"{paper}: {len(plan)} units, {len(bad)} differ {' '.join(bad)}", flush=True)
                wrong += len(bad)
    frame = pd.DataFrame(told, columns=["paper", "killed", "signal", "after", "left"])
    frame["left"] = [bool(line) for line in frame["left"]]
    counted = frame.groupby(["killed", "signal"])["left"].agg(kills="count", left="sum")
    left = sum(frame["left"].tolist())
    print(counted.to_string())
    print(f"{len(frame)} kills left processes {left} times; {wrong} units differ")
    return wrong + left


def main() -> int:
    """Raise the storm that the command line asks for."""
    parser = argparse.ArgumentParser("python -m tests.storm", description="Kill, and look.")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--papers", default=",".join(PAPER_NOTEBOOKS))
    parser.add_argument("--seed", type=int, default=None, help="of the times and kills")
    its = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if its.seed is None else its.seed
    root = Path(tempfile.mkdtemp(prefix="ganzip-storm-"))
    print(f"seed {seed}, runs and log in {root}", flush=True)
    return min(1, storm(its.kills, its.papers.split(","), root, random.Random(seed)))


if __name__ == "__main__":
    sys.exit(main())
