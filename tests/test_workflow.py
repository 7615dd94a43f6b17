"""The Snakefile: its jobs are the plan, and whatever is killed it ends in the same tables."""

import os
import subprocess
from pathlib import Path

import pytest

from ganzip import processes
from ganzip.units.plan import Request

pytest.importorskip("snakemake")
WORKFLOW = Path(__file__).resolve().parents[1] / "workflow"


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


@pytest.mark.parametrize("profile", ["local", *OTHERS])
def test_a_dry_run_of_each_profile_plans_one_job_a_unit(profile, tmp_path):
    if profile in ("slurm", "kubernetes"):
        pytest.importorskip(f"snakemake_executor_plugin_{profile}")
    more = ("--cores", "2") if profile == "local" else ()
    text = said(snakemake(tmp_path, "--dry-run", *more, profile=profile))
    jobs = dict(line.split() for line in text.splitlines() if line.startswith(("unit ", "paper ")))
    assert jobs == {"unit": str(len(units())), "paper": "1"}
