"""What carries over from a paper to our runs: its main claims by run, and the size of its effects.

Absolute values of small runs and published ones are not comparable; ratios of two methods are.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import get_args

import pandas as pd

from ganzip.families import SIZES
from ganzip.papers import sdakd_claims
from ganzip.report import tables
from ganzip.report.claims import Verdict

VERDICTS = get_args(Verdict)
# The main claims of each paper in words, and a regular expression of those that test them.
MAIN_CLAIMS = {
    "dcgan_kd": {
        "a student is better than a GAN of its size": "student is better than a regular GAN",
        "the smaller the networks, the larger this lead": "gap to the regular GAN is wider",
        "the teacher stays better than its students": "No student beats",
        "no quality is lost at the headline ratios": "No loss",
        "MSE students are blurred": "MSE students are blurred",
        "an adversarial share of 0.0001 brings detail back": "sharper at alpha 0.0001",
    },
    "sdakd": {
        "Real-ESRGAN: SDAKD is better than naive training": "^RealESRGAN, .*SDAKD is better than n",
        "the same with reduced inputs": "^RealESRGAN-bicubic, .*SDAKD is better than n",
        "GCFSR: SDAKD is better than naive training": "^GCFSR, .*SDAKD is better than n",
        "SDAKD is better than OMGD and DCD": "SDAKD is better than (OMGD|DCD)",
        "our control: the teacher's answers help": "SDAKD is better than control",
        "stage 2 adds": "stage 2 adds$",
        "our control: stage 2 adds more than as many steps do": "stage 2 adds more than as many",
        "the student's discriminator adds": "the student discriminator adds$",
        "D(student) is nearer to 0.5 under the student's discriminator": "is nearer to 0.5",
        "D(student) is near 0 under the teacher's discriminator": "is near 0",
    },
    "nickel_dime": {
        "p = 0.9: best of all methods": (
            r"^p = 0.9: NICKEL & DiME is better than (CAGC|GS|ITGC|GCC|StyleKD)"
        ),
        "p = 0.5 and 0.7: best of all methods": (
            r"^p = 0.[57]: NICKEL & DiME is better than (CAGC|ITGC)"
        ),
        "p = 0.9: the pair is better than either half": (
            "^p = 0.9: NICKEL & DiME is better than (DiME|NICKEL),"
        ),
        "p = 0.9: the teacher's discriminator helps": "better than NICKEL & DiME without D_T",
        "global moments are better than the batch's": "better than DiME, batch targets",
        "two kernels are better than one": r"DiME by .* \+ .* is better than",
        "p = 0.5: at most 9.68 % is lost": "loses at most",
        "recall is kept": "keeps more recall",
        "logits are nearer to equilibrium": "farther from 0|drift|logits are nearer",
        "our control: better than fine-tuning": "better than fine-tune",
    },
}


def tally(verdicts: Iterable[str]) -> str:
    """How many verdicts of each name, as "13 supported, 2 contradicted"."""
    counts = Counter(verdicts)
    return ", ".join(f"{counts[name]} {name}" for name in VERDICTS if name in counts)


def main_claims(paper: str, claims: pd.DataFrame) -> pd.DataFrame:
    """The paper's main claims, a line each, with the verdicts of every run that tests them.

    claims: all of them, their verdicts of the reference run in the column behind its label, those
    of other runs in columns after it, as ``pages.claims`` has them. A claim without a test is left
    out.
    """
    at = list(claims).index("verdict")
    columns = {str(claims.columns[at - 1]): "verdict"} | {
        name: name for name in claims.columns[at + 1 :]
    }
    lines = []
    for text, pattern in MAIN_CLAIMS[paper].items():
        rows = claims.loc[[re.search(pattern, claim) is not None for claim in claims["claim"]]]
        cells = {run: tally(rows[column]) for run, column in columns.items()}
        if any(cells.values()):
            lines.append({"claim": text} | cells)
    return pd.DataFrame(lines)


def effects(paper: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Ratios of two methods' scores, published and ours, by size, as texts; of paper C none.

    rows: of a run, widths as text. Ratios are of means over seeds. Of a distance they are below 1
    where the paper's method is better, of a score above 1.
    """
    lines = []
    if paper == "dcgan_kd":
        printed = tables.published(paper, "table1").query("dataset == 'MNIST'").set_index("d")
        its = _means(rows.loc[rows["metric"] == "IS"])
        sizes = [2, 4, 8]
        published = {
            f"d = {d}": printed.loc[d, "student"] / printed.loc[d, "regular"] for d in sizes
        }
        ours = {f"d = {d}": its["mse", str(d)] / its["regular", str(d)] for d in sizes}
        name = "IS of the student / of the regular GAN"
        lines += [
            {"ratio": name, "of": "published, MNIST"} | published,
            {"ratio": name, "of": "ours"} | ours,
        ]
    if paper == "sdakd":
        for network, number in (("RealESRGAN", 2), ("GCFSR", 1)):
            printed = sdakd_claims.published_scores(number)
            mine = rows.loc[
                (rows["network"] == network) & rows["metric"].str.match("(FID|KID-.*) test mean$")
            ]
            its = _means(mine)
            for label, scores in (("published, FID", printed), ("ours, KID", its)):
                line = {"ratio": f"{network}: SDAKD / naive (C,C)", "of": label}
                lines.append(
                    line
                    | {f"C = {C}": scores["SDAKD", C] / scores["naive (C,C)", C] for C in SIZES}
                )
    return pd.DataFrame(lines).map(lambda x: x if isinstance(x, str) else f"{x:.2f}")


def _means(rows: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Means over seeds, by method and width."""
    groups = rows.groupby(["method", "width"])
    return {(str(m), str(w)): float(its["value"].mean()) for (m, w), its in groups}  # pyright: ignore
