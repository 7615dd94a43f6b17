"""The claims of paper A, each with the verdict that the rows give."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd

from ganzip.presets import DcganKd
from ganzip.report import tables
from ganzip.report.claims import Claim, Verdict, ordering

HEADLINE = (("MNIST", 2), ("CIFAR-10", 4), ("Celeb-A", 8))  # the paper's conclusion


def claims(frame: pd.DataFrame, preset: DcganKd, score: str, distance: str) -> list[Claim]:
    """The paper's claims with verdicts from the rows, each by ``score`` and by ``distance``."""
    both, top = sorted(set(preset.mse) & set(preset.regular)), preset.teacher_d
    small, large = (both[0], both[-1]) if both else (0, 0)
    quotes = published_figures()
    found: list[Claim] = []

    def of(method: str, d: int, metric: str) -> list[float]:
        return tables.values(frame, method=method, width=d, metric=metric)

    def gap(d: int, metric: str) -> list[float]:
        """By how much students are better than regular GANs, seed by seed."""
        sign = 1 if tables.higher_is_better(metric) else -1
        pairs = zip(of("mse", d, metric), of("regular", d, metric), strict=False)
        return [sign * (student - regular) for student, regular in pairs]

    def claim(text: str, published: str, metric: str, a: list[float], b: list[float]) -> Claim:
        """That a is better than b; of gaps and of blur, more is better."""
        up = tables.higher_is_better(metric)
        text = f"{text}, by {metric}"
        return ordering(text, published, better=a, worse=b, higher_is_better=up is not False)

    for m in dict.fromkeys([score, distance]) if both else ():
        for d in both:
            text = f"The student is better than a regular GAN of its size, d={d}"
            found.append(claim(text, quotes["ahead"], m, of("mse", d, m), of("regular", d, m)))
        if small < large:
            text = f"The gap to the regular GAN is wider at d={small} than at d={large}"
            gaps = gap(small, m), gap(large, m)
            wider = ordering(
                f"{text}, by {m}",
                quotes["gaps"],
                better=gaps[0],
                worse=gaps[1],
                higher_is_better=True,
            )
            found.append(wider)
            text = f"Compression costs: the student with d={large} is better than with d={small}"
            found.append(claim(text, quotes["limit"], m, of("mse", large, m), of("mse", small, m)))
        text = f"No student beats its teacher: d={top} is better than the student with d={large}"
        teacher = of("regular", top, m)
        found.append(claim(text, "in the text", m, teacher, of("mse", large, m)))
        text = f"No loss at the headline ratios: the student with d={small} equals its teacher"
        worse = claim(text, quotes["headline"], m, teacher, of("mse", small, m))
        # Equality cannot be shown, only refuted.
        shown: Verdict = "contradicted" if worse.verdict == "supported" else "inconclusive"
        found.append(dataclasses.replace(worse, verdict=shown))
    if both:
        text = f"MSE students are blurred: the teacher is sharper than the student with d={small}"
        sharp = of("regular", top, "VoL"), of("mse", small, "VoL")
        found.append(claim(text, "figure 11", "VoL", *sharp))
    for alpha, d in itertools.product(filter(None, preset.alphas), preset.warm):
        text = f"The joint loss brings detail back: sharper at alpha {alpha:g} than at 0, d={d}"
        sharp = of(f"joint {alpha:g} warm", d, "VoL"), of("joint 0 warm", d, "VoL")
        found.append(claim(text, "figure 11: alpha 0.0001", "VoL", *sharp))
    return found


def published_figures() -> dict[str, str]:
    """What table 1 of the paper says about its claims, in words."""
    table = tables.published("dcgan_kd", 1)
    full = table.dropna(subset=["student", "regular"])
    sign = np.where(full["metric"] == "IS", 1, -1)
    full = full.assign(gap=sign * (full["student"] - full["regular"]))
    ends = full.groupby("dataset", sort=False)
    first, last = ends.first(), ends.last()
    headline = table[[pair in HEADLINE for pair in zip(table["dataset"], table["d"], strict=True)]]
    return {
        "ahead": f"{(full['gap'] > 0).sum()} of {len(full)} rows",
        "gaps": "; ".join(
            f"{name} {a['gap']:.2f} at d={a['d']}, {b['gap']:.2f} at d={b['d']}"
            for (name, a), (_, b) in zip(first.iterrows(), last.iterrows(), strict=True)
        ),
        "headline": "; ".join(
            f"{r['dataset']} {r['ratio']:.0f}:1, {r['metric']} {r['student']:.2f}"
            for _, r in headline.iterrows()
        ),
        "limit": "; ".join(
            f"{name} {b['metric']} {b['student']:.2f} at d={b['d']}, "
            f"{a['student']:.2f} at d={a['d']}"
            for (name, a), (_, b) in zip(first.iterrows(), last.iterrows(), strict=True)
        ),
    }
