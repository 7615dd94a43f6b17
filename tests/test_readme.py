"""What the README says, runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


COMMANDS = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith("make")])
def test_every_other_command_is_a_dry_run_away(command, tmp_path):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    name, *arguments = command.split()
    assert name == ".venv/bin/snakemake"
    here = ["--directory", str(tmp_path), "--dry-run", "--config", "preset=smoke"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments[: arguments.index("--config")], *here],
        cwd=ROOT,
        env={**os.environ, "GANZIP_RUNS": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_every_command_is_one_that_make_knows(command):
    done = subprocess.run(
        ["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert any(
        name in done.stdout for name in ("papermill", "pytest", "-m ganzip.", "jupyter", "grep")
    )


def test_the_two_commands_are_the_first_ones():
    assert COMMANDS[:2] == ["make reproduce", "make test"]


def test_make_help_lists_every_verb():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    for verb in (
        "reproduce",
        "test",
        "smoke",
        "lab",
        "figures",
        "references",
        "clean",
        "install",
        "status",
        "bundle",
        "merge",
    ):
        assert f"make {verb}" in shown
    for parameter in ("PRESET=", "DATA=", "SCALE=", "PAPER=", "JOBS="):
        assert parameter in shown


def test_a_paper_that_does_not_exist_is_an_error():
    command = [sys.executable, "-m", "ganzip.reproduce", "reproduce"]
    environment = os.environ | {"PAPER": "nonesuch"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "no paper 'nonesuch'; expected one of" in done.stderr


def test_the_example_runs(tmp_path):
    (code,) = blocks("python")
    script = tmp_path / "example.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "GANZIP_RUNS": str(tmp_path / "runs")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\bmse +2 .*\d", done.stdout) or "multiply-adds" in done.stdout


def test_linked_files_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_status_page_names_files_that_are_kept():
    from ganzip import keeping, papers

    for paper, _, file, _ in papers.ITEMS:
        kept = papers.kept(paper, file)
        assert (ROOT / "notebooks" / f"{keeping.NAMES[paper]}.ipynb").exists()
        assert (ROOT / "figures" / kept).exists(), kept


def test_its_tables_are_those_of_the_kept_runs():
    from ganzip import page

    assert page.written(README) == README, "make figures"


def test_the_benchmarks_are_those_kept():
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--markdown"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert len(shown.splitlines()) > 15
    assert shown.strip() in README
    machine = json.loads((ROOT / "benchmarks/results/cpu.json").read_text())["machine"]
    named = ("cpu", "instructions", "python", "torch", "numpy", "scipy")
    assert all(str(machine[name]).partition("+")[0] in README for name in named)
