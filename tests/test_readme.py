"""What the README says, runs."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import torch

import ganzip
from benchmarks import __main__ as benchmarks

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def shell(text: str) -> list[str]:
    found = "".join(re.findall(r"```sh\n(.*?)```", text, re.S))
    return [line.split("#")[0].strip() for line in found.splitlines()]


MADE = shell(README + "".join(page.read_text() for page in (ROOT / "docs").glob("*.md")))
VERBS = {" ".join(c.split()[:2]): c for c in MADE if c.startswith("make")}


@pytest.mark.parametrize("command", VERBS.values())
def test_every_command_is_one_that_make_knows(command):
    done = subprocess.run(
        ["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert any(
        name in done.stdout for name in ("papermill", "pytest", "-m ganzip.", "jupyter", "grep")
    )


def test_the_lines_run(tmp_path, monkeypatch, capsys):
    (code,) = blocks("python")
    body = code.rpartition("\n\n")[2]
    assert len(body.splitlines()) <= 14
    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    exec(code, {"__name__": "__main__"})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20 and lines[-1].startswith("20 {") and "nan" not in str(lines), lines
    assert all(name in lines[-1] for name in ("G/adversarial", "G/dime_lite", "D/nickel"))
    assert ganzip.load("small.safetensors")(torch.randn(2, 32)).shape == (2, 3, 16, 16)


DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("[bdw]*/*.md")),
    *sorted((ROOT / "figures").rglob("*.md")),
    *sorted((ROOT / "ganzip" / "published").glob("*.md")),
]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        twins = sum(other == name or other.startswith(f"{name}-") for other in found)
        found.add(f"{name}-{twins}" if name in found else name)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files_and_anchors_that_exist(document):
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    links = re.findall(r"\]\(([^()\s]+)\)", text)
    for link in links:
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        place = (document.parent / file).resolve() if file else document
        assert place.exists() and place.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(place.read_text()), link


def test_the_benchmarks_are_those_kept():
    kept = json.loads((ROOT / "benchmarks/results/cpu.json").read_text())
    shown, machine = benchmarks.markdown(kept["results"]), kept["machine"]
    assert len(shown.splitlines()) > 15
    text = (ROOT / "benchmarks" / "README.md").read_text()
    assert shown.strip() in text
    named = ("cpu", "instructions", "python", "torch", "numpy", "scipy")
    assert all(str(machine[name]).partition("+")[0] in text for name in named)
