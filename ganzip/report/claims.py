"""Claims of papers and their verdicts, by t-tests over seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from ganzip.report.tables import spread

Verdict = Literal["supported", "contradicted", "inconclusive"]
Values: TypeAlias = Sequence[float] | pd.Series
"""One value per seed; a series has the seeds as its index."""
DRAWS = 19  # degrees of freedom of a deviation over 20 halves of the test images


@dataclass(frozen=True)
class Claim:
    """A claim of a paper, the figures it rests on, ours, and what ours say about it."""

    text: str
    published: str
    ours: str
    verdict: Verdict


def verdict(
    better: Values,
    worse: Values,
    higher_is_better: bool,
    shared: float = 0.0,
) -> Verdict:
    """Tell whether `better` is better than `worse`, from one value per seed on either side.

    The rule: a t-test, two-sided, at the 90 % level; see `_difference`.  A difference of means
    inside that margin is inconclusive, as is one with fewer than two seeds on a side, or with a
    seed that diverged.  Where the difference does not vary at all, any counts.  `shared` is a
    deviation of the difference that no number of seeds takes away, such as that of the images.
    """
    from scipy import stats

    if not _testable(better, worse):
        return "inconclusive"
    gain = (np.mean(better) - np.mean(worse)) * (1 if higher_is_better else -1)
    noise, freedom = _difference(better, worse, shared)
    p = 2 * float(stats.t.sf(abs(gain) / noise, freedom)) if noise else 0.0
    if gain == 0 or not p < 0.1:
        return "inconclusive"
    return "supported" if gain > 0 else "contradicted"


def _testable(one: Values, other: Values) -> bool:
    return min(len(one), len(other)) > 1 and all(map(math.isfinite, [*one, *other]))


def _difference(one: Values, other: Values, shared: float) -> tuple[float, float]:
    """Deviation of a difference of means, and its degrees of freedom (Welch, Satterthwaite 1946).

    Units of one seed share what it decides: batches, noise and, of one size, first weights.  So
    both sides go up and down together, and where both have the same three seeds or more, the
    differences seed by seed are what varies.  Two differences would leave one degree of freedom.
    Else the sides count as independent, which is careful where they go together.
    """
    if (
        isinstance(one, pd.Series)
        and isinstance(other, pd.Series)
        and len(one) > 2
        and one.index.equals(other.index)
    ):
        parts = [_of_mean(one - other)]
    else:
        parts = [_of_mean(one), _of_mean(other)]
    parts.append((shared**2, DRAWS))
    total = sum(variance for variance, _ in parts)
    each = sum(variance**2 / freedom for variance, freedom in parts)
    return math.sqrt(total), total**2 / each if each else math.inf


def _of_mean(numbers: Values) -> tuple[float, int]:
    """The variance of a mean, and its degrees of freedom."""
    return float(np.var(numbers, ddof=1)) / len(numbers), len(numbers) - 1


def ordering(
    text: str,
    published: str,
    better: Values,
    worse: Values,
    *,
    higher_is_better: bool,
    shared: float = 0.0,
) -> Claim:
    """Make the claim that `better` is better than `worse`; see `verdict` for the rule."""
    result = verdict(better, worse, higher_is_better, shared)
    return Claim(text, published, f"{spread(better)} against {spread(worse)}", result)


# The claims that the first values are larger than the second, or smaller.
claim_more = partial(ordering, higher_is_better=True)
claim_less = partial(ordering, higher_is_better=False)


def equivalence(
    text: str,
    published: str,
    one: Values,
    other: Values,
    *,
    margin: float,
    shared: float = 0.0,
) -> Claim:
    """Make the claim that two methods are alike: their means differ by less than ``margin``.

    It is supported where the 90 % interval of the difference lies within the margin (two one-sided
    tests at 5 %, Schuirmann 1987), and contradicted where it lies outside. Anything else, and fewer
    than two seeds on a side, is inconclusive. `shared` is that of `verdict`.
    """
    from scipy import stats

    result: Verdict = "inconclusive"
    if _testable(one, other):
        noise, freedom = _difference(one, other, shared)
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
