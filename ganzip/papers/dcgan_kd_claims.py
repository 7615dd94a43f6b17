"""The claims of paper A, each with the verdict that the rows give."""

import dataclasses
import itertools

import numpy as np
import pandas as pd

from ganzip.presets import DcganKd
from ganzip.report import tables
from ganzip.report.claims import Claim, Verdict, claim_less, claim_more

Row = tuple[str, int]
"""A method and its d."""

HEADLINE = (("MNIST", 2), ("CIFAR-10", 4), ("Celeb-A", 8))  # the paper's conclusion


def claims(frame: pd.DataFrame, preset: DcganKd, score: str, distance: str) -> list[Claim]:
    """The paper's claims with verdicts from the rows, each by ``score`` and by ``distance``."""
    both, top = sorted(set(preset.mse) & set(preset.regular)), preset.teacher_d
    quotes = published_figures()
    found: list[Claim] = []

    def of(row: Row, metric: str) -> pd.Series:
        return tables.values(frame, method=row[0], width=row[1], metric=metric)

    def gap(d: int, metric: str) -> pd.Series:
        """By how much students are better than regular GANs, seed by seed."""
        sign = 1 if tables.higher_is_better(metric) else -1
        return sign * (of(("mse", d), metric) - of(("regular", d), metric)).dropna()

    def claim(text: str, published: str, metric: str, better: Row, worse: Row) -> Claim:
        """Of blur, more is better."""
        order = claim_less if tables.higher_is_better(metric) is False else claim_more
        return order(f"{text}, by {metric}", published, of(better, metric), of(worse, metric))

    for m in dict.fromkeys([score, distance]) if both else ():
        small, large = both[0], both[-1]
        for d in both:
            text = f"The student is better than a regular GAN of its size, d={d}"
            found.append(claim(text, quotes["ahead"], m, ("mse", d), ("regular", d)))
        if small < large:
            text = f"The gap to the regular GAN is wider at d={small} than at d={large}, by {m}"
            found.append(claim_more(text, quotes["gaps"], gap(small, m), gap(large, m)))
            text = f"Compression costs: the student with d={large} is better than with d={small}"
            found.append(claim(text, quotes["limit"], m, ("mse", large), ("mse", small)))
        text = f"No student beats its teacher: d={top} is better than the student with d={large}"
        found.append(claim(text, "in the text", m, ("regular", top), ("mse", large)))
        text = f"No loss at the headline ratios: the student with d={small} equals its teacher"
        worse = claim(text, quotes["headline"], m, ("regular", top), ("mse", small))
        # No margin was set beforehand, so equality can only be refuted.
        shown: Verdict = "contradicted" if worse.verdict == "supported" else "inconclusive"
        found.append(dataclasses.replace(worse, verdict=shown))
    for d in both[:1]:
        text = f"MSE students are blurred: the teacher is sharper than the student with d={d}"
        found.append(claim(text, "figure 11", "VoL", ("regular", top), ("mse", d)))
    for alpha, d in itertools.product(filter(None, preset.alphas), preset.warm):
        text = f"The joint loss brings detail back: sharper at alpha {alpha:g} than at 0, d={d}"
        rows = (f"joint {alpha:g} warm", d), ("joint 0 warm", d)
        found.append(claim(text, "figure 11: alpha 0.0001", "VoL", *rows))
    return found


def published_figures() -> dict[str, str]:
    """What table 1 of the paper says about its claims, in words."""
    table = tables.published("dcgan_kd", 1)
    full = table.dropna(subset=["student", "regular"])
    sign = np.where(full["metric"] == "IS", 1, -1)
    full = full.assign(gap=sign * (full["student"] - full["regular"]))
    sets = [mine.to_dict("records") for _, mine in full.groupby("dataset", sort=False)]
    headline = table.loc[
        [pair in HEADLINE for pair in zip(table["dataset"], table["d"], strict=True)]
    ]
    quotes = {
        "gaps": [
            f"{a['dataset']} {a['gap']:.2f} at d={a['d']}, {b['gap']:.2f} at d={b['d']}"
            for a, *_, b in sets
        ],
        "headline": [
            f"{r['dataset']} {r['ratio']:.0f}:1, {r['metric']} {r['student']:.2f}"
            for r in headline.to_dict("records")
        ],
        "limit": [
            f"{a['dataset']} {b['metric']} {b['student']:.2f} at d={b['d']}, "
            f"{a['student']:.2f} at d={a['d']}"
            for a, *_, b in sets
        ],
    }
    ahead = f"{(full['gap'] > 0).sum()} of {len(full)} rows"
    return {"ahead": ahead} | {name: "; ".join(parts) for name, parts in quotes.items()}
