"""Claims of papers and their verdicts, by t-tests over seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ganzip.report.tables import spread

Verdict = Literal["supported", "contradicted", "inconclusive"]


@dataclass(frozen=True)
class Claim:
    """A claim of a paper, the figures it rests on, ours, and what ours say about it."""

    text: str
    published: str
    ours: str
    verdict: Verdict


def verdict(
    better: Sequence[float],
    worse: Sequence[float],
    higher_is_better: bool,
    shared: float = 0.0,
) -> Verdict:
    """Tell whether `better` is better than `worse`, from one value per seed on either side.

    The rule: Welch's t-test, two-sided, at the 90 % level.  A difference of means inside that
    margin is inconclusive, as is one with fewer than two seeds on a side, or with a seed that
    diverged.  Where neither side varies at all, any difference counts.  `shared` is a deviation of
    the difference that no number of seeds takes away, such as that of the images.
    """
    from scipy import stats

    if min(len(better), len(worse)) < 2 or not all(map(math.isfinite, [*better, *worse])):
        return "inconclusive"
    gain = (np.mean(better) - np.mean(worse)) * (1 if higher_is_better else -1)
    noise, freedom = _welch(better, worse)
    noise = math.hypot(shared, noise)
    p = 2 * float(stats.t.sf(abs(gain) / noise, freedom)) if noise else 0.0
    if gain == 0 or not p < 0.1:
        return "inconclusive"
    return "supported" if gain > 0 else "contradicted"


def _welch(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Deviation of a difference of means, and its degrees of freedom: Welch and Satterthwaite."""
    noise = np.array([np.var(side, ddof=1) / len(side) for side in (one, other)])
    each = sum(noise**2 / [len(one) - 1, len(other) - 1])
    return math.sqrt(sum(noise)), sum(noise) ** 2 / each if each else math.inf


def ordering(
    text: str,
    published: str,
    *,
    better: Sequence[float],
    worse: Sequence[float],
    higher_is_better: bool,
    shared: float = 0.0,
) -> Claim:
    """Make the claim that `better` is better than `worse`; see `verdict` for the rule."""
    result = verdict(better, worse, higher_is_better, shared)
    return Claim(text, published, f"{spread(better)} against {spread(worse)}", result)


def claim_more(text: str, published: str, a: Sequence[float], b: Sequence[float]) -> Claim:
    """Make the claim that `a` is larger than `b`."""
    return ordering(text, published, better=a, worse=b, higher_is_better=True)


def claim_less(text: str, published: str, a: Sequence[float], b: Sequence[float]) -> Claim:
    """Make the claim that `a` is smaller than `b`."""
    return ordering(text, published, better=a, worse=b, higher_is_better=False)


def equivalence(
    text: str, published: str, one: Sequence[float], other: Sequence[float], *, margin: float
) -> Claim:
    """Make the claim that two methods are alike: their means differ by less than ``margin``.

    It is supported where Welch's 90 % interval of the difference lies within the margin (two
    one-sided tests at 5 %, Schuirmann 1987), and contradicted where it lies outside. Anything else,
    and fewer than two seeds on a side, is inconclusive.
    """
    from scipy import stats

    result: Verdict = "inconclusive"
    if min(len(one), len(other)) > 1 and all(map(math.isfinite, [*one, *other])):
        noise, freedom = _welch(one, other)
        apart = abs(np.mean(one) - np.mean(other))
        half = float(stats.t.ppf(0.95, freedom)) * noise if noise else 0.0
        if apart + half < margin:
            result = "supported"
        elif apart - half > margin:
            result = "contradicted"
    ours = f"{spread(one)} against {spread(other)}"
    return Claim(f"{text}, to {margin:g}", published, ours, result)


def claims_table(claims: Iterable[Claim]) -> pd.DataFrame:
    """Lay claims out as a frame with columns claim, published, ours, verdict."""
    frame = pd.DataFrame(map(asdict, claims), columns=["text", "published", "ours", "verdict"])
    return frame.rename(columns={"text": "claim"})
