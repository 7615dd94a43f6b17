"""The two diagrams of Aguinaldo et al. (2019)."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from ganzip.report.figures.theme import WIDTH, canvas, style

TEACHER, STUDENT, CRITIC, LOSS, PLAIN = "#EDEDED", "#DCEBF6", "#DDF3EB", "#FBE6D8", "#FFFFFF"
EDGE, STUDENT_GRADIENT, CRITIC_GRADIENT = "#333333", "#D55E00", "#00795A"
NOTE: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 10}


@style()
def scheme_mse() -> Figure:
    """Draw training with the MSE loss.  Aguinaldo et al. (2019), figure 3 and equation (3)."""
    figure, axes = canvas(WIDTH, 3.05)
    _pair(axes, 1.75, "MSE")
    _arrow(axes, (6.0, 1.35), (6.0, 0.45), (2.3, 0.45), (2.3, 0.7), gradient=STUDENT_GRADIENT)
    axes.text(4.2, 0.5, "student's gradient", color=STUDENT_GRADIENT, **NOTE)
    equation = r"$\min_\theta\ \mathrm{E}_{z \sim N(0, I)}\,\|g_T(z) - g_\theta(z)\|^2$"
    axes.text(WIDTH / 2, 0.2, equation, ha="center", va="center", fontsize=11)
    return figure


@style()
def scheme_joint() -> Figure:
    """Draw training with the joint loss.  Aguinaldo et al. (2019), figure 4 and equation (4)."""
    figure, axes = canvas(WIDTH, 4.4)
    _pair(axes, 3.2, "MSE\n" r"times $1 - \alpha$")
    _box(axes, 2.3, 1.3, 1.55, "real data $x$", PLAIN)
    _box(axes, 4.2, 1.3, 1.5, "discriminator\n$f_w$", CRITIC)
    _box(axes, 6.0, 1.3, 1.5, "adversarial\n" r"times $\alpha$", LOSS)
    _arrow(axes, (4.2, 2.15), (4.2, 1.7))
    _arrow(axes, (3.08, 1.3), (3.45, 1.3))
    _arrow(axes, (4.95, 1.42), (5.25, 1.42))
    _arrow(axes, (5.25, 1.15), (4.95, 1.15), gradient=CRITIC_GRADIENT)
    _arrow(axes, (6.75, 1.3), (7.0, 1.3), gradient=STUDENT_GRADIENT, head=False)
    down, along, up = (7.0, 0.65), (1.15, 0.65), (1.15, 1.92)
    route = ((6.75, 3.2), (7.0, 3.2), down, along, up, (2.3, 1.92), (2.3, 2.15))
    _arrow(axes, *route, gradient=STUDENT_GRADIENT)
    axes.text(2.3, 0.69, "student's gradient", color=STUDENT_GRADIENT, **NOTE)
    axes.text(5.1, 0.69, "discriminator's gradient", color=CRITIC_GRADIENT, **NOTE)
    equation = (
        r"$\min_\theta \max_w\ \mathrm{E}_x \log f_w(x) + \mathrm{E}_z\,[\,"
        r"\alpha \log(1 - f_w(g_\theta(z))) + (1 - \alpha)\,\|g_T(z) - g_\theta(z)\|^2\,]$"
    )
    axes.text(WIDTH / 2, 0.25, equation, ha="center", va="center", fontsize=11)
    return figure


def _pair(axes: Axes, y: float, loss: str) -> None:
    """Draw teacher and student around height y: from the latent code to the loss."""
    axes.add_patch(Circle((0.55, y), 0.4, fc=PLAIN, ec=EDGE, lw=1.2))
    axes.text(0.55, y, "$z$", ha="center", va="center")
    for side, network, images, fill in (
        (1, "teacher $g_T$\n(frozen)", "$g_T(z)$", TEACHER),
        (-1, r"student $g_\theta$", r"$g_\theta(z)$", STUDENT),
    ):
        at = y + 0.65 * side
        _box(axes, 2.3, at, 1.55, network, fill)
        _box(axes, 4.2, at, 1.05, images, PLAIN)
        _arrow(axes, (0.95, y), (1.52, at))
        _arrow(axes, (3.08, at), (3.67, at))
        _arrow(axes, (4.73, at), (5.25, y + 0.15 * side))
    _box(axes, 6.0, y, 1.5, loss, LOSS)


def _box(axes: Axes, x: float, y: float, width: float, text: str, fill: str) -> None:
    """Draw a box around (x, y) with a text in it."""
    corner, shape = (x - width / 2, y - 0.4), "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch(corner, width, 0.8, shape, fc=fill, ec=EDGE, lw=1.2))
    axes.text(x, y, text, ha="center", va="center", linespacing=1.35)


def _arrow(axes: Axes, *points: tuple[float, float], gradient: str = "", head: bool = True) -> None:
    """Draw an arrow through points; dashed and in the colour `gradient` where one flows."""
    look: dict[str, Any] = {"color": gradient or EDGE, "lw": 1.4}
    axes.plot(*zip(*points, strict=True), ls=(0, (4, 2)) if gradient else "-", **look)
    if head:
        props = {"arrowstyle": "-|>", "mutation_scale": 12, "shrinkA": 0, "shrinkB": 0, **look}
        (x0, y0), (x1, y1) = points[-2:]
        near = (x1 - 0.01 * (x1 - x0), y1 - 0.01 * (y1 - y0))
        axes.annotate("", points[-1], near, arrowprops=props)
