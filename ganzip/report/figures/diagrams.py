"""The two diagrams of Aguinaldo et al. (2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzip.report.figures.theme import WIDTH, canvas, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEACHER, STUDENT, CRITIC, LOSS, PLAIN = "#EDEDED", "#DCEBF6", "#DDF3EB", "#FBE6D8", "#FFFFFF"
STUDENT_GRADIENT, CRITIC_GRADIENT = "#D55E00", "#00795A"
NOTE: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 10}


@style()
def scheme_mse() -> Figure:
    """Draw training with the MSE loss.  Aguinaldo et al. (2019), figure 3 and equation (3)."""
    figure, axes = canvas(WIDTH, 3.05)
    _latent(axes, 0.55, 1.75)
    _box(axes, 2.3, 2.4, 1.55, 0.8, "teacher $g_T$\n(frozen)", TEACHER)
    _box(axes, 2.3, 1.1, 1.55, 0.8, r"student $g_\theta$", STUDENT)
    _box(axes, 4.35, 2.4, 1.05, 0.8, "$g_T(z)$", PLAIN)
    _box(axes, 4.35, 1.1, 1.05, 0.8, r"$g_\theta(z)$", PLAIN)
    _box(axes, 6.3, 1.75, 1.4, 0.8, "MSE", LOSS)
    _arrow(axes, (0.95, 1.75), (1.52, 2.4))
    _arrow(axes, (0.95, 1.75), (1.52, 1.1))
    _arrow(axes, (3.08, 2.4), (3.82, 2.4))
    _arrow(axes, (3.08, 1.1), (3.82, 1.1))
    _arrow(axes, (4.88, 2.4), (5.6, 1.9))
    _arrow(axes, (4.88, 1.1), (5.6, 1.6))
    _arrow(axes, (6.3, 1.35), (6.3, 0.45), (2.3, 0.45), (2.3, 0.7), gradient=STUDENT_GRADIENT)
    axes.text(4.35, 0.5, "student's gradient", color=STUDENT_GRADIENT, **NOTE)
    equation = r"$\min_\theta\ \mathrm{E}_{z \sim N(0, I)}\,\|g_T(z) - g_\theta(z)\|^2$"
    axes.text(WIDTH / 2, 0.2, equation, ha="center", va="center", fontsize=11)
    return figure


@style()
def scheme_joint() -> Figure:
    """Draw training with the joint loss.  Aguinaldo et al. (2019), figure 4 and equation (4)."""
    figure, axes = canvas(WIDTH, 4.4)
    _latent(axes, 0.55, 3.2)
    _box(axes, 2.3, 3.85, 1.55, 0.8, "teacher $g_T$\n(frozen)", TEACHER)
    _box(axes, 2.3, 2.55, 1.55, 0.8, r"student $g_\theta$", STUDENT)
    _box(axes, 4.2, 3.85, 1.05, 0.8, "$g_T(z)$", PLAIN)
    _box(axes, 4.2, 2.55, 1.05, 0.8, r"$g_\theta(z)$", PLAIN)
    _box(axes, 6.0, 3.2, 1.5, 0.8, "MSE\n" r"times $1 - \alpha$", LOSS)
    _box(axes, 2.3, 1.3, 1.55, 0.8, "real data $x$", PLAIN)
    _box(axes, 4.2, 1.3, 1.5, 0.8, "discriminator\n$f_w$", CRITIC)
    _box(axes, 6.0, 1.3, 1.5, 0.8, "adversarial\n" r"times $\alpha$", LOSS)
    _arrow(axes, (0.95, 3.2), (1.52, 3.85))
    _arrow(axes, (0.95, 3.2), (1.52, 2.55))
    _arrow(axes, (3.08, 3.85), (3.67, 3.85))
    _arrow(axes, (3.08, 2.55), (3.67, 2.55))
    _arrow(axes, (4.73, 3.85), (5.25, 3.35))
    _arrow(axes, (4.73, 2.55), (5.25, 3.05))
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


def _box(axes: Axes, x: float, y: float, width: float, height: float, text: str, fill: str) -> None:
    """Draw a box around (x, y) with a text in it."""
    from matplotlib.patches import FancyBboxPatch

    corner, shape = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch(corner, width, height, shape, fc=fill, ec="#333333", lw=1.2))
    axes.text(x, y, text, ha="center", va="center", linespacing=1.35)


def _latent(axes: Axes, x: float, y: float) -> None:
    """Draw the latent code, a circle around (x, y)."""
    from matplotlib.patches import Circle

    axes.add_patch(Circle((x, y), 0.4, fc=PLAIN, ec="#333333", lw=1.2))
    axes.text(x, y, "$z$", ha="center", va="center")


def _arrow(axes: Axes, *points: tuple[float, float], gradient: str = "", head: bool = True) -> None:
    """Draw an arrow through points; dashed and in the colour `gradient` where one flows."""
    look: dict[str, Any] = {"color": gradient or "#333333", "lw": 1.4}
    axes.plot(*zip(*points, strict=True), ls=(0, (4, 2)) if gradient else "-", **look)
    if head:
        props = {"arrowstyle": "-|>", "mutation_scale": 12, "shrinkA": 0, "shrinkB": 0, **look}
        (x0, y0), (x1, y1) = points[-2:]
        near = (x1 - 0.01 * (x1 - x0), y1 - 0.01 * (y1 - y0))
        axes.annotate("", points[-1], near, arrowprops=props)
