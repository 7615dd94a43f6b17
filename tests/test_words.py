"""One name for each verdict, in all that a reader sees."""

import json
import re
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from ganzip.report.claims import Verdict

ROOT = Path(__file__).resolve().parents[1]
TEXTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "figures").rglob("*.md"),
    *(
        path
        for folder in ("benchmarks", "docs", "workflow")
        for path in (ROOT / folder).glob("*.md")
    ),
]
NOTEBOOKS = [
    *(ROOT / "notebooks").glob("*.ipynb"),
    *(ROOT / "tests" / "notebooks").glob("*.ipynb"),
]
# What verdicts were once called: each had to be read twice.
RIDDLES = re.compile(
    r"cannot be told|can be told|could be told|told apart|not told|does not hold|"
    r"\bto be told\b|tells? \w+( \w+){0,4} apart|>holds<|, *holds\b *$|^\d+ .* holds *$",
    re.M,
)


def seen(path: Path) -> str:
    """A notebook's cells and what they printed, without pictures."""
    found = []
    for cell in json.loads(path.read_text())["cells"]:
        found.append("".join(cell["source"]))
        for output in cell.get("outputs", ()):
            shown = {"text/plain": output.get("text", ""), **output.get("data", {})}
            found += ["".join(shown[kind]) for kind in shown if kind.startswith("text/")]
    return "\n".join(found)


@pytest.mark.parametrize("path", [*TEXTS, *NOTEBOOKS], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_verdict_is_a_riddle(path):
    text = seen(path) if path.suffix == ".ipynb" else path.read_text()
    assert not RIDDLES.search(text)


def test_kept_verdicts_have_the_three_names():
    known = set(get_args(Verdict))
    assert known == {"supported", "contradicted", "inconclusive"}
    claims = sorted((ROOT / "figures").glob("*/*/claims.csv"))
    assert len(claims) > 5
    for path in claims:
        assert set(pd.read_csv(path)["verdict"]) <= known, path
    matrix = pd.read_csv(ROOT / "figures" / "your_own_gan" / "matrix-verdicts.csv")
    cells = matrix.drop(columns=["method", "paper"]).to_numpy().ravel()
    assert set(cells) == known | {"-"}


@pytest.mark.parametrize(
    "text",
    [
        "it cannot be told at this scale", "<td>holds</td>", "0   a claim   holds  ",
        "a, b, holds", "three seeds tell students and regular GANs apart",
    ],
)  # fmt: skip
def test_the_search_finds_riddles(text):
    assert RIDDLES.search(text)
