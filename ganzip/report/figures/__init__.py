"""Figures: sample grids, curves, histograms and diagrams of who teaches whom.

Every function returns a matplotlib Figure that is closed to pyplot: it shows once, where a notebook
displays it, and `save` writes it.  A function that draws numbers returns them as a frame beside the
figure, so that a notebook can print what it shows.  Images are (N, C, H, W) in [-1, 1].
"""

from ganzip.report.figures.curves import (
    by_method,
    history,
    metric_against_d,
    speedups,
    teacher_selection,
)
from ganzip.report.figures.diagrams import (
    scheme_joint,
    scheme_mse,
    scheme_nickel_dime,
    scheme_sdakd,
)
from ganzip.report.figures.front import Panel, front, times
from ganzip.report.figures.histograms import equilibrium, logit_histogram, probability_histograms
from ganzip.report.figures.images import (
    busiest,
    comparison,
    compression_artefacts,
    interpolation,
    sample_grid,
)
from ganzip.report.figures.rankings import ranking
from ganzip.report.figures.theme import COLOURS, SETS, SPARE, colours, name, save
