"""What preset night is to reach, set before its runs began, and what rows say of it."""

from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import pandas as pd

from ganzip.report.tables import short, spread


@dataclass(frozen=True)
class Bar:
    """A limit to the mean over seeds of one metric of one network.

    metric: a regular expression. of: the method whose mean the limit is a share of; "" for none.
    """

    text: str
    network: str
    method: str
    width: str
    metric: str
    side: Literal["at least", "at most"]
    limit: float
    of: str = ""


KID = "KID-[^ ]+ test mean"
STUDENT = "NICKEL & DiME at p = 0.9"
BARS = {
    "dcgan_kd": [
        Bar(
            "teacher: inception score, of that of real test images",
            *("DCGAN", "regular", "32", "IS", "at least", 0.9, "real"),
        ),
    ],
    "sdakd": [
        Bar(
            f"{network}: distance of {method}, C = {C}, of that of the enlarged input",
            *(network, method, C, KID, "at most", limit, "input"),
        )
        for network, method, C, limit in (
            ("RealESRGAN", "SDAKD", "1/4", 0.75),
            ("RealESRGAN-bicubic", "SDAKD", "1/4", 0.75),
            ("GCFSR", "teacher", "1", 0.5),
        )
    ],
    "nickel_dime": [
        Bar(
            "teacher: distance of its last evaluation",
            "StyleGAN2",
            "teacher",
            "1",
            "FD-[^ ]+ last",
            "at most",
            10,
        ),
        Bar(
            f"{STUDENT}: recall",
            *("StyleGAN2", "NICKEL & DiME", "0.1", "recall-[^ ]+", "at least", 0.3),
        ),
        Bar(
            f"{STUDENT}: top probability of the classifier",
            *("StyleGAN2", "NICKEL & DiME", "0.1", "top probability-.*", "at least", 0.85),
        ),
    ],
}


def table(paper: str, rows: pd.DataFrame) -> pd.DataFrame:
    """A paper's bars: what, bar, ours, reached ("yes", "no" or "not measured yet")."""
    lines = []
    for bar in BARS[paper]:
        found = _values(rows, bar, bar.method, bar.width)
        whole = fmean(_values(rows, bar, bar.of)) if bar.of and found else 1.0
        shares = [value / whole for value in found]
        reached = "not measured yet"
        if shares:
            mean = fmean(shares)
            good = mean <= bar.limit if bar.side == "at most" else mean >= bar.limit
            reached = "yes" if good else "no"
        limit = f"{bar.side} {short(bar.limit)}"
        ours = spread(shares, 3)
        lines.append({"what": bar.text, "bar": limit, "ours": ours, "reached": reached})
    return pd.DataFrame(lines)


def _values(rows: pd.DataFrame, bar: Bar, method: str, width: str = "") -> list[float]:
    """A metric's values of a method, one a seed; of any width unless one is given."""
    chosen = (rows["network"] == bar.network) & (rows["method"] == method)
    chosen &= rows["metric"].str.fullmatch(bar.metric)
    if width:
        chosen &= rows["width"].astype(str).str.removesuffix(".0") == width
    return rows.loc[chosen, "value"].astype(float).tolist()
