"""The Snakefile: its jobs are the plan, and whatever is killed it ends in the same tables."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from ganzip import processes
from ganzip.papers import dcgan_kd, nickel_dime
from ganzip.units import find_unit, perform_all, read_rows
from ganzip.units.plan import Request
from ganzip.units.status import failures

pytest.importorskip("snakemake")
WORKFLOW = Path(__file__).resolve().parents[1] / "workflow"
KILLS = int(os.environ.get("GANZIP_KILLS", "3"))


def snakemake(root, *more, profile="local", paper="dcgan_kd", **how):
    command = processes.command("snakemake", "--snakefile", str(WORKFLOW / "Snakefile"))
    command += ["--profile", str(WORKFLOW / "profiles" / profile), "--directory", str(root)]
    given = ["preset=smoke", f"papers={paper}"]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} | how
    environment = {**os.environ, "GANZIP_RUNS": str(root)}
    return subprocess.Popen([*command, *more, "--config", *given], env=environment, **how)


def said(process):
    text = process.communicate()[0]
    assert process.returncode == 0, text
    return text


def units():
    return Request("smoke", papers=("dcgan_kd",)).units()


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("gpu", "slurm", "kubernetes")]


@pytest.mark.parametrize("profile", ["local", *OTHERS])  # README's command is one more
def test_a_dry_run_of_each_profile_plans_one_job_a_unit(profile, tmp_path):
    if profile in ("slurm", "kubernetes"):
        pytest.importorskip(f"snakemake_executor_plugin_{profile}")
    more = ("--cores", "2") if profile == "local" else ()
    text = said(snakemake(tmp_path, "--dry-run", *more, profile=profile))
    jobs = dict(line.split() for line in text.splitlines() if line.startswith(("unit ", "paper ")))
    assert jobs == {"unit": str(len(units())), "paper": "1"}


@pytest.mark.slow
def test_kills_end_in_the_tables_of_an_unbroken_run(tmp_path):
    whole, root = tmp_path / "whole", tmp_path / "killed"
    root.mkdir()
    plan = units()
    perform_all(plan, dcgan_kd.work, whole, n_jobs=2)
    chance, killed = random.Random(os.urandom(8)), 0
    for _ in range(3 * KILLS):
        with (tmp_path / "log").open("w") as log:
            process = snakemake(root, "--cores", "2", stdout=log)
            while killed < KILLS and process.poll() is None:
                time.sleep(chance.uniform(2, 6))
                killed += kill_one(process, chance)
            if process.wait() == 0 and killed >= KILLS:
                break
    assert killed == KILLS and process.returncode == 0, (tmp_path / "log").read_text()[-3000:]
    # CPU seconds are of the machine.
    mine, expected = (
        read_rows(plan, folder).drop(columns="cpu_seconds") for folder in (root, whole)
    )
    pd.testing.assert_frame_equal(mine, expected, check_exact=True)
    table = pd.read_csv(root / "dcgan_kd/smoke/tables/rows.csv", keep_default_na=False)
    # Tables have six digits.
    assert table["value"].astype(float).tolist() == pytest.approx(expected["value"].tolist(), 1e-5)
    assert "Nothing to be done" in said(snakemake(root, "--cores", "2"))


def kill_one(process, chance):
    """Kill the engine, or a process that it or its jobs have begun; whether there was one."""
    try:
        everyone = [psutil.Process(process.pid)]
        everyone += everyone[0].children(recursive=True)
        chance.choice(everyone).send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return False
    return True


@pytest.mark.slow
def test_a_unit_that_fails_is_told_and_the_others_go_on(tmp_path):
    """Where its weights should go there is a folder."""
    plan = nickel_dime.prepare("smoke")
    bad, good = (find_unit(plan, name) for name in ("encoder", "speed-seed0"))
    folder = bad.folder(tmp_path)
    (folder / "weights.safetensors").mkdir(parents=True)
    targets = [f"{u.folder(tmp_path).relative_to(tmp_path)}/manifest.json" for u in (bad, good)]
    process = snakemake(tmp_path, "--cores", "2", *targets, paper="nickel_dime")
    text = process.communicate()[0]
    assert process.returncode == 1 and good.done(tmp_path) and not bad.done(tmp_path), text
    (line,) = failures(plan, tmp_path)
    assert f"nickel_dime encoder: step {bad.config['steps']} of" in line and "directory" in line
    assert "IsADirectoryError" in (folder / "report.ipynb").read_text()
    assert '"ename"' not in (good.folder(tmp_path) / "report.ipynb").read_text()
    (folder / "weights.safetensors").rmdir()
    again = snakemake(tmp_path, "--cores", "2", *targets, paper="nickel_dime")
    assert "1 of 1 steps" in said(again)
    assert bad.done(tmp_path)
