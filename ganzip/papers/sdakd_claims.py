"""The claims of paper B, each with the verdict that the rows give."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ganzip.papers import super_resolution as sr
from ganzip.papers.sdakd_rows import TABLE
from ganzip.report import tables
from ganzip.report.claims import Claim, Verdict, equivalence, ordering


def claims(frame: pd.DataFrame, distance: str) -> list[Claim]:
    """The paper's claims with verdicts from the rows, by ``distance`` to the truth of test images.

    The mean over factors decides, as in the paper's selection. After the paper's claims stand
    those that its tables lack: the same schedule with the ground truth in the teacher's place.
    """
    found: list[Claim] = []
    for network, table in TABLE.items():
        mine = frame.loc[(frame["network"] == network) & (frame["method"] != "speed")]
        if len(mine):
            found += comparisons(mine, network, int(table[-1]), f"{distance} test mean")
    ablated = frame.loc[frame["network"] == "GCFSR"]
    if "Ablation1" in set(ablated["method"]):
        found += ablation_claims(ablated, f"{distance} test mean")
    if {"GCFSR", "RealESRGAN"} <= set(frame["network"]):
        found += gap_claims(frame, f"{distance} test mean")
    for network in frame["network"].unique():
        mine = frame.loc[frame["network"] == network]
        if "Ablation3" in set(mine["method"]):
            found += balance_claims(mine, network)
    return found


def speed_claims(costs: pd.DataFrame) -> list[Claim]:
    """Those of table 3, which stand apart: times differ from run to run, and so may these."""
    timed = costs.loc[costs["quantity"] == "speed-up"]
    return [speed_claim(timed, network) for network in timed["network"].unique()]


def comparisons(frame: pd.DataFrame, network: str, table: int, metric: str) -> list[Claim]:
    """Claims of table 1 or 2, each that one method is better than another."""
    paper = tables.published(sr.PAPER, table)
    tests = [column for column in paper.columns if column.startswith("test")]
    printed = {
        (_method(row), row["gen_C"]): float(np.mean([row[t] for t in tests]))
        for row in paper.to_dict("records")
    }

    def of(method: str, C: str) -> list[float]:
        return tables.values(frame, method=method, width=C, metric=metric)

    def better(a: str, b: str, C: str, text: str = "") -> Claim:
        numbers = [printed[method, C] for method in (a, b) if (method, C) in printed]
        published = (
            f"FID {numbers[0]:.2f} against {numbers[1]:.2f}" if len(numbers) == 2 else "no row"
        )
        text = f"{network}, C = {C}: {text or f'{a} is better than {b}'}"
        return smaller(frame, text, published, metric, (a, C), (b, C))

    online = ("OMGD", "DCD")
    # The abstract's own comparison; all have as many steps of the student.
    mine = [("SDAKD", name) for name in (*online, "DCD_modified")]
    if table == 1:  # they fall behind the naive networks, DCD modified less so
        pairs = [("naive (C,1)", name) for name in (*online, "DCD_modified")]
        pairs += [("DCD_modified", "DCD")]
    else:
        pairs = [(name, "naive (C,1)") for name in online] + [("DCD", "DCD_modified")]
    sizes = [C for C in ("1/2", "1/4", "1/8") if of("SDAKD", C)]
    found = [
        better(a, b, C)
        for C in sizes
        for a, b in (
            ("SDAKD", "naive (C,C)"),
            ("SDAKD", "naive (C,1)"),
            ("naive (C,C)", "naive (C,1)"),
        )
    ]
    found += [better(a, b, "1/2") for a, b in (*mine, *pairs)]
    if network == sr.PLAIN:  # a column of ours, which has not every row
        ran = set(zip(frame["method"], frame["width"].astype(str), strict=True))
        found = [claim for claim in found if "no runs" not in claim.ours] if ran else found
    for wide, narrow in pairwise(sizes):
        numbers = [printed["SDAKD", C] for C in (wide, narrow)]
        text = f"{network}: SDAKD at C = {wide} is better than at C = {narrow}"
        published = f"FID {numbers[0]:.2f} against {numbers[1]:.2f}"
        found.append(smaller(frame, text, published, metric, ("SDAKD", wide), ("SDAKD", narrow)))
    found += [better("SDAKD", sr.CONTROL, C) for C in sizes if of(sr.CONTROL, C)]
    if of(sr.BALANCED, "1/4"):
        text = "SDAKD is better with the lambda2 that makes the terms of eq. (3) about equal"
        found.append(better(sr.BALANCED, "SDAKD", "1/4", text))
    return found + alike(frame, network, metric)


def alike(frame: pd.DataFrame, network: str, metric: str) -> list[Claim]:
    """That SDAKD is like what it is to beat at C = 1/4, to a tenth of its distance: no claim of the
    paper. A difference that is not told is not yet shown to be small."""
    ours = tables.values(frame, method="SDAKD", width="1/4", metric=metric)
    found = []
    for method in ("naive (C,C)", sr.CONTROL, "Ablation3"):
        its = tables.values(frame, method=method, width="1/4", metric=metric)
        if ours and its:
            text = f"{network}, C = 1/4: SDAKD is like {method}"
            margin = float(f"{abs(np.mean(ours)) / 10:.1g}")
            found.append(equivalence(text, "no row", ours, its, margin=margin))
    return found


def smaller(
    frame: pd.DataFrame,
    text: str,
    published: str,
    metric: str,
    one: tuple[str, str],
    other: tuple[str, str],
) -> Claim:
    """The claim that a method, at its C, has a smaller distance than another.

    The verdict's variance is that of seeds and, where rows of halves are there, of test images.
    Steps of the students are told where they differ.
    """
    mine = [frame.loc[(frame["method"] == m) & (frame["width"] == C)] for m, C in (one, other)]
    better, worse = (tables.values(rows, metric=metric) for rows in mine)
    apart = over_images(mine, metric)
    found = ordering(
        text, published, better=better, worse=worse, higher_is_better=False, shared=apart
    )
    notes = [found.ours]
    if apart:
        notes.append(f"± {tables.short(apart)} over draws of test images")
    steps = [sorted(set(rows["steps"])) for rows in mine if "steps" in rows]
    if better and worse and len(steps) == 2 and steps[0] != steps[1]:
        notes.append(f"{steps[0][-1]} against {steps[1][-1]} steps")
    return dataclasses.replace(found, ours="; ".join(notes))


def over_images(sides: Sequence[pd.DataFrame], metric: str) -> float:
    """Deviation of the difference of two methods' means over draws of test images.

    From rows of halves of the images, the same halves on both sides; 0 where there are none.
    """
    name, _, which = metric.partition(" test ")
    means = []
    for rows in sides:
        label = rows["metric"].astype(str)
        halves = rows.loc[label.str.startswith(f"{name} half ") & label.str.endswith(f" {which}")]
        means.append(halves.groupby("metric")["value"].mean())
    apart = (means[0] - means[1]).dropna()
    return float(apart.std()) if len(apart) > 1 else 0.0


def gap_claims(frame: pd.DataFrame, metric: str) -> list[Claim]:
    """Claims across tables 1 and 2: online methods are nearer to SDAKD on Real-ESRGAN.

    A gap is the ratio of the distances to the truth, for the networks' own are on other scales.
    """
    published = {network: tables.published(sr.PAPER, int(t[-1])) for network, t in TABLE.items()}

    def printed(network: str, method: str) -> float:
        rows = published[network].loc[lambda x: (x["method"] == method) & (x["gen_C"] == "1/2")]
        return float(rows.filter(like="test").mean(axis=1).iloc[0])

    def gaps(network: str, method: str) -> list[float]:
        mine = frame.loc[frame["network"] == network]
        its, ours = (
            tables.values(mine, method=m, width="1/2", metric=metric) for m in (method, "SDAKD")
        )
        return [a / b for a, b in zip(its, ours, strict=False)]

    found = []
    for method in ("OMGD", "DCD"):
        numbers = [printed(n, method) / printed(n, "SDAKD") for n in ("RealESRGAN", "GCFSR")]
        found.append(
            ordering(
                f"C = 1/2: {method} is nearer to SDAKD on RealESRGAN than on GCFSR",
                f"{numbers[0]:.2f} times its FID against {numbers[1]:.2f} times",
                better=gaps("RealESRGAN", method),
                worse=gaps("GCFSR", method),
                higher_is_better=False,
            )
        )
    return found


def ablation_claims(frame: pd.DataFrame, metric: str) -> list[Claim]:
    """Claims of table 4: each part adds, the student discriminator the most. And one of ours, for
    ablation 1 has half of the steps of the others."""
    paper = tables.published(sr.PAPER, 4)
    means = dict(zip(paper["variant"], paper.filter(like="test").mean(axis=1), strict=True))
    chain = ("Ablation1", "Ablation2", "Ablation3", "SDAKD")
    parts = ("stage 2", "the feature map", "the student discriminator")
    ours = {m: tables.values(frame, method=m, width="1/4", metric=metric) for m in chain}
    printed = {method: means[method] for method in chain}
    found = [
        smaller(
            frame,
            f"GCFSR, C = 1/4: {part} adds",
            f"FID {printed[after]:.2f} against {printed[before]:.2f}",
            metric,
            (after, "1/4"),
            (before, "1/4"),
        )
        for part, (before, after) in zip(parts, pairwise(chain), strict=True)
    ]
    gains = [
        [a - b for a, b in zip(ours[before], ours[after], strict=False)]
        for before, after in pairwise(chain)
    ]
    numbers = [printed[before] - printed[after] for before, after in pairwise(chain)]
    most = [
        ordering(
            f"GCFSR, C = 1/4: the student discriminator adds more than {part}",
            f"FID {numbers[2]:.2f} against {numbers[i]:.2f}",
            better=gains[2],
            worse=gains[i],
            higher_is_better=True,
        )
        for i, part in enumerate(parts[:2])
    ]
    if sr.LONGER in set(frame["method"]):
        text = "GCFSR, C = 1/4: stage 2 adds more than as many steps of stage 3"
        one, other = ("Ablation2", "1/4"), (sr.LONGER, "1/4")
        most.append(smaller(frame, text, "no row", metric, one, other))
    return [*found, *most]


def balance_claims(frame: pd.DataFrame, network: str) -> list[Claim]:
    """Claims of figures 2 and 3: where discriminators' probabilities for generated images lie.

    "Near 0" is a threshold on the mean of every seed, and no test.
    """

    def of(method: str, metric: str, C: str = "1/4") -> list[float]:
        return tables.values(frame, method=method, width=C, metric=metric)

    apart = [[abs(p - 0.5) for p in of(m, "P(fake)")] for m in ("SDAKD", "Ablation3")]
    nearer = ordering(
        f"{network}, C = 1/4: P(fake) is nearer to 0.5 under the student discriminator than under "
        "the teacher's",
        "figure 3",
        better=apart[0],
        worse=apart[1],
        higher_is_better=False,
    )
    probability, auc = of("Ablation3", "P(fake)"), of("Ablation3", "AUC")
    low = {p <= 0.25 for p in probability}
    shown: Verdict = "inconclusive"
    if len(low) == 1:
        shown = "supported" if low == {True} else "contradicted"
    near_zero = Claim(
        f"{network}, C = 1/4: P(fake) under the teacher's discriminator is near 0 (below 0.25 for "
        "every seed; a threshold, no test)",
        "figure 3",
        f"{tables.spread(probability)}, AUC {tables.spread(auc)}",
        shown,
    )
    skewed, balanced = (of(method, "P(fake)", "1/2") for method in ("DCD", "DCD_modified"))
    taken = ordering(
        f"{network}, C = 1/2: DCD's discriminator takes its student's images for real more than "
        "DCD modified's",
        "figure 2",
        better=skewed,
        worse=balanced,
        higher_is_better=True,
    )
    alike = equivalence(
        f"{network}: P(fake) of ablation 3 (C = 1/4) is that of DCD modified (C = 1/2)",
        "figures 2 and 3",
        probability,
        balanced,
        margin=0.1,
    )
    knows = tables.spread(of("SDAKD", "AUC"))
    return [
        taken,
        alike,
        dataclasses.replace(nearer, ours=f"{nearer.ours}; AUC of the student's {knows}"),
        near_zero,
    ]


def speed_claim(timed: pd.DataFrame, network: str) -> Claim:
    """Table 3: each halving of C gains less than the one before. One measurement, no test."""
    rows = timed.loc[timed["network"] == network]
    paper = tables.published(sr.PAPER, 3)
    mine = dict(zip(rows["width"], rows["value"], strict=True))
    printed = dict(zip(paper["C"], paper[network.lower()], strict=True))
    sizes = ["1", "1/2", "1/4", "1/8"]
    gains = [[x[b] / x[a] for a, b in pairwise(sizes)] for x in (mine, printed)]
    falling = all(a > b for a, b in pairwise(gains[0]))
    numbers = [" ".join(f"{x[size]:.2f}" for size in sizes) for x in (printed, mine)]
    return Claim(
        f"{network}: each halving of C speeds up less than the one before (one timing, no test)",
        f"speed-ups {numbers[0]}",
        f"{numbers[1]}",
        "supported" if falling else "contradicted",
    )


def _method(row: Mapping[Any, Any]) -> str:
    """What we call a published row."""
    if row["method"].endswith("naive"):
        return "naive (C,1)" if row["disc_C"] == "1" else "naive (C,C)"
    return "teacher" if row["gen_C"] == "1" else row["method"]
