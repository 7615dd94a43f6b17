"""What the README says, runs."""

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
    assert any(name in done.stdout for name in ("papermill", "pytest", "ganzip.batch"))


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
    command = ["make", "-n", "reproduce", "PAPER=nonesuch"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and "PAPER=nonesuch names no notebook" in done.stderr


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
    from ganzip import papers

    for _, _, notebook, kept in papers.ITEMS:
        assert (ROOT / "notebooks" / f"{notebook}.ipynb").exists()
        assert (ROOT / "figures" / kept).exists(), kept


def test_the_claims_are_those_of_the_kept_run():
    import pandas as pd

    from ganzip import tables

    shown = ["claim", "ours", "verdict"]
    claims = pd.read_csv(ROOT / "figures/dcgan_kd/claims.csv")
    assert tables.markdown(claims.loc[:, shown]) in README
    claims = pd.read_csv(ROOT / "figures/sdakd/claims.csv")
    several = ~claims["ours"].str.contains(r"\(1 seed\)")
    assert tables.markdown(claims.loc[several, shown]) in README


def test_the_controls_are_those_of_the_kept_run():
    import pandas as pd

    controls = pd.read_csv(ROOT / "figures/dcgan_kd/controls.csv")
    for method in ("letter", "regular", "mse"):
        of = (
            (controls["method"] == method) & (controls["width"] == 2) & (controls["metric"] == "IS")
        )
        row = controls.loc[of].iloc[0]
        assert f"{row['mean']:.2f} ± {row['std']:.2f}" in README, method
        assert row["seeds"] == 3


def test_what_is_said_of_paper_b_is_the_kept_runs():
    import pandas as pd

    said = README.partition("<!-- B text -->")[2].partition("### Paper C")[0]
    for table, method, width in (
        ("table2", "SDAKD", "1/4"),
        ("table2", "naive (C,C)", "1/4"),
        ("table2", "naive (C,1)", "1/4"),
        ("table2", "control GT", "1/4"),
        ("table2", "Ablation3", "1/4"),
        ("table1", "SDAKD", "1/4"),
        ("table1", "input", "1"),
    ):
        rows = pd.read_csv(ROOT / f"figures/sdakd/{table}-beside.csv").to_dict("records")
        (row,) = [r for r in rows if (r["method"], str(r["width"])) == (method, width)]
        assert f"{row['KID-efflite2']:.0f}" in said, (table, method)


def test_the_matrix_and_the_speeds_of_files_are_those_kept():
    import pandas as pd

    from ganzip import tables

    kept = ROOT / "figures/your_own_gan"
    assert tables.markdown(pd.read_csv(kept / "matrix.csv").fillna("")) in README
    assert tables.markdown(pd.read_csv(kept / "deployed.csv"), 3) in README
    table = pd.read_csv(kept / "table.csv").set_index("method")["KID-efflite2"]
    taken = pd.read_csv(kept / "recommendation.csv")["recommendation"].iloc[0]
    method = taken.removeprefix("Take ").partition(":")[0]
    said = f"(KID {table[method]:.0f}; the teacher has {table['teacher']:.0f}, the enlarged input"
    assert f"{said} {table['input']:.0f})" in README


def test_the_benchmarks_are_those_kept():
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--markdown"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert len(shown.splitlines()) > 15
    assert shown.strip() in README
