"""The claims of paper B, each with the verdict that the rows give."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from ganzip.families import SIZES
from ganzip.papers import super_resolution as sr
from ganzip.papers.sdakd_rows import TABLE
from ganzip.report import tables
from ganzip.report.claims import Claim, Verdict, claim_less, claim_more, equivalence

Row = tuple[str, str]
"""A method and its generator's C."""


def claims(frame: pd.DataFrame, distance: str) -> list[Claim]:
    """The paper's claims with verdicts from the rows, by ``distance`` to the truth of test images.

    The mean over factors decides, as in the paper's selection. Among the paper's claims stand
    ours, "no row" as published: against the control, of likeness, at equal steps.
    """
    metric, found = f"{distance} test mean", list[Claim]()
    for network, table in TABLE.items():
        mine = frame.loc[(frame["network"] == network) & (frame["method"] != "speed")]
        if len(mine):
            found += comparisons(mine, network, int(table[-1]), metric)
    by_network = {str(name): mine for name, mine in frame.groupby("network", sort=False)}
    if "GCFSR" in by_network and "Ablation1" in set(by_network["GCFSR"]["method"]):
        found += ablation_claims(by_network["GCFSR"], metric)
    if {"GCFSR", "RealESRGAN"} <= set(by_network):
        found += gap_claims(by_network, metric)
    for network, mine in by_network.items():
        if "Ablation3" in set(mine["method"]):
            found += balance_claims(mine, network)
    return found


def comparisons(frame: pd.DataFrame, network: str, table: int, metric: str) -> list[Claim]:
    """Claims of table 1 or 2, each that one method is better than another."""
    printed = published_scores(table)

    def of(method: str, C: str) -> pd.Series:
        return tables.values(frame, method=method, width=C, metric=metric)

    def better(a: Row, b: Row, text: str = "") -> Claim:
        text = text or f"{network}, C = {a[1]}: {a[0]} is better than {b[0]}"
        published = two_fids(printed[a], printed[b]) if {a, b} <= set(printed) else "no row"
        return smaller(frame, text, published, metric, a, b)

    # The abstract's own comparison; all have as many steps of the student.
    pairs = [("SDAKD", name) for name in ("OMGD", "DCD", "DCD_modified")]
    if table == 1:  # they fall behind the naive networks, DCD modified less so
        pairs += [("naive (C,1)", name) for _, name in pairs] + [("DCD_modified", "DCD")]
    else:
        pairs += [(name, "naive (C,1)") for name in ("OMGD", "DCD")] + [("DCD", "DCD_modified")]
    main = ("SDAKD", "naive (C,C)"), ("SDAKD", "naive (C,1)"), ("naive (C,C)", "naive (C,1)")
    sizes = [C for C in SIZES if len(of("SDAKD", C))]
    found = [better((a, C), (b, C)) for C in sizes for a, b in main]
    found += [better((a, "1/2"), (b, "1/2")) for a, b in pairs]
    if network == sr.PLAIN:  # a column of ours, which has not every row
        found = [claim for claim in found if "no runs" not in claim.ours]
    for wide, narrow in pairwise(sizes):
        text = f"{network}: SDAKD at C = {wide} is better than at C = {narrow}"
        found.append(better(("SDAKD", wide), ("SDAKD", narrow), text))
    found += [better(("SDAKD", C), (sr.CONTROL, C)) for C in sizes if len(of(sr.CONTROL, C))]
    if len(of(sr.BALANCED, "1/4")):
        text = "SDAKD is better with the lambda2 that makes the terms of eq. (3) about equal"
        text = f"{network}, C = 1/4: {text}"
        found.append(better((sr.BALANCED, "1/4"), ("SDAKD", "1/4"), text))
    return found + alike(frame, network, metric)


def published_scores(table: int) -> dict[Row, float]:
    """The FID of every row of table 1 or 2, the mean over factors of test images."""
    means = tables.published(sr.PAPER, table).filter(regex="^test").mean(axis=1)
    return dict(zip(tables.sdakd_rows(table), means, strict=True))


def two_fids(a: float, b: float) -> str:
    """What the paper prints of a claim."""
    return f"FID {a:.2f} against {b:.2f}"


def alike(frame: pd.DataFrame, network: str, metric: str) -> list[Claim]:
    """That SDAKD is like what it is to beat at C = 1/4, to a tenth of the way from the enlarged
    input to the teacher: no claim of the paper. A difference that is not told is not yet shown to
    be small."""
    found, ends = list[Claim](), ("input", "teacher")
    start, end = (tables.values(frame, method=m, metric=metric) for m in ends)
    if not (len(start) and len(end)):
        return found
    margin = float(f"{abs(start.mean() - end.mean()) / 10:.2g}")
    for method in ("naive (C,C)", sr.CONTROL, "Ablation3"):
        sides, (ours, its) = two_sides(frame, metric, ("SDAKD", "1/4"), (method, "1/4"))
        if len(ours) and len(its):
            text, apart = f"{network}, C = 1/4: SDAKD is like {method}", over_images(sides, metric)
            claim = equivalence(text, "no row", ours, its, margin=margin, shared=apart)
            found.append(noted(claim, over_draws(apart)))
    return found


def two_sides(
    frame: pd.DataFrame, metric: str, *rows: Row
) -> tuple[list[pd.DataFrame], list[pd.Series]]:
    """Two methods' rows at their C, and the metric of each seed."""
    sides = [frame.loc[(frame["method"] == m) & (frame["width"] == C)] for m, C in rows]
    return sides, [tables.values(side, metric=metric) for side in sides]


def over_draws(apart: float) -> str:
    """What a claim says of test images, whose deviation is ``apart``; "" without rows of halves."""
    return f"± {tables.short(apart)} over draws of test images" if apart else ""


def noted(claim: Claim, *notes: str) -> Claim:
    """The claim with notes behind our figures."""
    return dataclasses.replace(claim, ours="; ".join([claim.ours, *filter(None, notes)]))


def smaller(
    frame: pd.DataFrame, text: str, published: str, metric: str, one: Row, other: Row
) -> Claim:
    """The claim that a method, at its C, has a smaller distance than another.

    The verdict's variance is that of seeds and, where rows of halves are there, of test images.
    Steps of the students are told where they differ.
    """
    mine, (better, worse) = two_sides(frame, metric, one, other)
    apart, longer = over_images(mine, metric), ""
    found = claim_less(text, published, better, worse, shared=apart)
    steps = [sorted(set(rows["steps"])) for rows in mine if "steps" in rows]
    if len(better) and len(worse) and len(steps) == 2 and steps[0] != steps[1]:
        longer = f"{steps[0][-1]} against {steps[1][-1]} steps"
    return noted(found, over_draws(apart), longer)


def over_images(sides: Sequence[pd.DataFrame], metric: str) -> float:
    """Deviation of the difference of two methods' means over draws of test images.

    From rows of halves of the images, the same halves on both sides; 0 where there are none.
    """
    one, other = (by_half(rows, metric) for rows in sides)
    return deviation(one - other)


def by_half(rows: pd.DataFrame, metric: str) -> pd.Series:
    """A method's mean over seeds on halves of the test images, by half."""
    name, _, which = metric.partition(" test ")
    label = rows["metric"].astype(str)
    halves = rows.loc[label.str.startswith(f"{name} half ") & label.str.endswith(f" {which}")]
    return halves.groupby("metric")["value"].mean()


def deviation(halves: pd.Series) -> float:
    """That over halves; 0 where there are none."""
    known = halves.dropna().to_numpy()
    return float(np.std(known, ddof=1)) if len(known) > 1 else 0.0


def gap_claims(by_network: Mapping[str, pd.DataFrame], metric: str) -> list[Claim]:
    """Claims across tables 1 and 2: online methods are nearer to SDAKD on Real-ESRGAN.

    A gap is the ratio of the distances to the truth, for the networks' own are on other scales.
    """
    names, found = ("RealESRGAN", "GCFSR"), list[Claim]()
    scores = [published_scores(int(TABLE[name][-1])) for name in names]

    def gaps(network: str, method: str) -> tuple[pd.Series, float]:
        """Seed by seed, and the deviation of their mean over draws of test images."""
        rows = (method, "1/2"), ("SDAKD", "1/2")
        sides, (its, ours) = two_sides(by_network[network], metric, *rows)
        halves = [by_half(side, metric) for side in sides]
        return (its / ours).dropna(), deviation(halves[0] / halves[1])

    for method in ("OMGD", "DCD"):
        near, far = (its[method, "1/2"] / its["SDAKD", "1/2"] for its in scores)
        text = f"C = 1/2: {method} is nearer to SDAKD on RealESRGAN than on GCFSR"
        published = f"{near:.2f} times its FID against {far:.2f} times"
        (close, apart), (wide, wide_apart) = (gaps(name, method) for name in names)
        # Lists, for seeds of two networks have nothing in common.
        sides = close.tolist(), wide.tolist()
        apart = math.hypot(apart, wide_apart)
        claim = claim_less(text, published, *sides, shared=apart)
        found.append(noted(claim, over_draws(apart)))
    return found


def ablation_claims(frame: pd.DataFrame, metric: str) -> list[Claim]:
    """Claims of table 4: each part adds, the student discriminator the most. And one of ours, for
    ablation 1 has half of the steps of the others."""
    paper = tables.published(sr.PAPER, 4)
    printed = dict(zip(paper["variant"], paper.filter(like="test").mean(axis=1), strict=True))
    steps = list(pairwise(("Ablation1", "Ablation2", "Ablation3", "SDAKD")))
    parts = ("stage 2", "the feature map", "the student discriminator")
    found, front = list[Claim](), "GCFSR, C = 1/4:"

    def gain(before: str, after: str) -> tuple[pd.Series, pd.Series]:
        """Seed by seed, and half by half of the test images."""
        sides, (a, b) = two_sides(frame, metric, (before, "1/4"), (after, "1/4"))
        return (a - b).dropna(), by_half(sides[0], metric) - by_half(sides[1], metric)

    for part, (before, after) in zip(parts, steps, strict=True):
        published = two_fids(printed[after], printed[before])
        text, rows = f"{front} {part} adds", ((after, "1/4"), (before, "1/4"))
        found.append(smaller(frame, text, published, metric, *rows))
    for part, others in zip(parts[:2], steps, strict=False):
        published = two_fids(*(printed[a] - printed[b] for a, b in (steps[2], others)))
        text = f"{front} the student discriminator adds more than {part}"
        (ours, halves), (its, other_halves) = gain(*steps[2]), gain(*others)
        apart = deviation(halves - other_halves)
        ours, its = ours.align(its, join="inner")
        claim = claim_more(text, published, ours, its, shared=apart)
        if len(ours) < 3:  # ablation 3 is in both, with opposite signs: no test of two sides
            claim = dataclasses.replace(claim, verdict="inconclusive")
        found.append(noted(claim, over_draws(apart)))
    if sr.LONGER in set(frame["method"]):
        text = f"{front} stage 2 adds more than as many steps of stage 3"
        rows = ("Ablation2", "1/4"), (sr.LONGER, "1/4")
        found.append(smaller(frame, text, "no row", metric, *rows))
    return found


def balance_claims(frame: pd.DataFrame, network: str) -> list[Claim]:
    """Claims of figures 2 and 3: where D(student) lies, the probability of real that D gives
    its student's images: rows ``P(fake)``.

    "Near 0" is a threshold on the mean of every seed, and no test.
    """

    def of(method: str, metric: str = "P(fake)", C: str = "1/4") -> pd.Series:
        return tables.values(frame, method=method, width=C, metric=metric)

    skewed, balanced = of("DCD", C="1/2"), of("DCD_modified", C="1/2")
    text = "DCD's discriminator takes its student's images for real more than DCD modified's"
    taken = claim_more(f"{network}, C = 1/2: {text}", "figure 2", skewed, balanced)
    probability = of("Ablation3")
    text = "D(student) of ablation 3 (C = 1/4) is that of DCD modified (C = 1/2)"
    same = f"{network}: {text}", "figures 2 and 3", probability, balanced
    text = "D(student) is nearer to 0.5 under the student discriminator than under the teacher's"
    apart = [(its - 0.5).abs() for its in (of("SDAKD"), probability)]
    nearer = claim_less(f"{network}, C = 1/4: {text}", "figure 3", *apart)
    nearer = noted(nearer, f"AUC of the student's {tables.spread(of('SDAKD', 'AUC'))}")
    text = "D(student) under the teacher's discriminator is near 0 (below 0.25 for every seed; "
    text = f"{network}, C = 1/4: {text}a threshold, no test)"
    ours = f"{tables.spread(probability)}, AUC {tables.spread(of('Ablation3', 'AUC'))}"
    low = {p <= 0.25 for p in probability}
    shown: Verdict = "inconclusive"
    if len(low) == 1:
        shown = "supported" if low == {True} else "contradicted"
    return [taken, equivalence(*same, margin=0.1), nearer, Claim(text, "figure 3", ours, shown)]


def speed_claims(costs: pd.DataFrame) -> list[Claim]:
    """Table 3, by network: each halving of C gains less than the one before. No test.

    They stand apart: times differ from run to run, and so may these.
    """
    timed, paper = costs.loc[costs["quantity"] == "speed-up"], tables.published(sr.PAPER, 3)
    found, sizes = list[Claim](), ["1", *SIZES]
    for network, rows in timed.groupby("network", sort=False):
        mine = dict(zip(rows["width"], rows["value"], strict=True))
        printed = dict(zip(paper["C"], paper[str(network).lower()], strict=True))
        gains = [mine[b] / mine[a] for a, b in pairwise(sizes)]
        text = "each halving of C speeds up less than the one before (one timing, no test)"
        falling = all(a > b for a, b in pairwise(gains))
        its, ours = (" ".join(f"{x[size]:.2f}" for size in sizes) for x in (printed, mine))
        told: Verdict = "supported" if falling else "contradicted"
        found.append(Claim(f"{network}: {text}", f"speed-ups {its}", ours, told))
    return found
