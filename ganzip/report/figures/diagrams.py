"""Who teaches whom: the two diagrams of Aguinaldo et al. (2019), and one of each other paper."""

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


@style()
def scheme_sdakd() -> Figure:
    """Draw stages 2 and 3 of SDAKD.  Kaparinos and Mezaris (2025), equations (1) to (4)."""
    figure, axes = canvas(WIDTH, 6.1)
    axes.text(0.15, 5.8, "Stage 2: each student learns from its teacher alone", fontweight="bold")
    _lesson(axes, 0.05, 4.65, "$x$", "G", "image, map\n$F$: eq. (1)", STUDENT_GRADIENT)
    _lesson(axes, 3.68, 4.65, "$y$", "D", "P(real):\neq. (2)", CRITIC_GRADIENT)
    axes.text(0.15, 3.15, "Stage 3: the two students against each other", fontweight="bold")
    _lesson(axes, 0.05, 2.0, "$x$", "G", "image,\nmap $F$", STUDENT_GRADIENT)
    _box(axes, 4.75, 1.35, 1.2, "student\n$D_S$", CRITIC)
    _box(axes, 6.45, 1.35, 1.25, "adversarial:\neq. (3), (4)", LOSS)
    _box(axes, 4.75, 2.65, 1.2, "truth $y$", PLAIN)
    for start, end in (
        ((2.15, 1.35), (4.15, 1.35)),
        ((4.75, 2.25), (4.75, 1.75)),
        ((5.35, 1.47), (5.82, 1.47)),
    ):
        _arrow(axes, start, end)
    _arrow(axes, (5.82, 1.2), (5.35, 1.2), gradient=CRITIC_GRADIENT)
    _arrow(axes, (6.45, 0.95), (6.45, 0.5), (1.55, 0.5), (1.55, 0.93), gradient=STUDENT_GRADIENT)
    axes.text(2.3, 0.12, "gradient of the generator", color=STUDENT_GRADIENT, **NOTE)
    axes.text(5.3, 0.12, "gradient of the discriminator", color=CRITIC_GRADIENT, **NOTE)
    return figure


@style()
def scheme_nickel_dime() -> Figure:
    """Draw NICKEL and DiME.  Yeo, Jang and Yoo (2024), sections 3.2 and 3.3."""
    figure, axes = canvas(WIDTH, 4.9)
    axes.add_patch(Circle((0.4, 2.95), 0.3, fc=PLAIN, ec=EDGE, lw=1.2))
    axes.text(0.4, 2.95, "$z$", ha="center", va="center")
    for box in (
        (1.7, 4.2, 1.25, "teacher $G_T$\n(frozen)", TEACHER),
        (1.7, 1.95, 1.25, "student $G_S$\n(pruned)", STUDENT),
        (4.0, 3.1, 1.25, "student's $D_S$\n(new)", CRITIC),
        (4.0, 1.95, 1.25, "teacher's $D_T$", CRITIC),
        (4.0, 0.8, 1.25, "encoder\n(frozen)", TEACHER),
        (6.35, 4.2, 1.55, "NICKEL: maps'\nhigh frequencies", LOSS),
        (6.35, 2.55, 1.55, "adversarial,\nwith real images", LOSS),
        (6.35, 0.8, 1.55, "DiME: moments\nof features", LOSS),
    ):
        _box(axes, *box)
    for route in (
        ((0.64, 3.15), (1.07, 4.0)),  # noise
        ((0.64, 2.75), (1.07, 2.15)),
        ((2.33, 4.35), (5.57, 4.35)),  # the teacher's map and image
        ((2.33, 4.05), (2.85, 4.05), (2.85, 3.25), (3.37, 3.25)),
        ((4.63, 3.25), (5.1, 3.25), (5.1, 4.05), (5.57, 4.05)),
        ((2.33, 1.95), (3.37, 1.95)),  # the student's image, three times
        ((2.85, 1.95), (2.85, 2.95), (3.37, 2.95)),
        ((2.85, 1.95), (2.85, 0.8), (3.37, 0.8)),
        ((4.63, 2.95), (5.57, 2.65)),  # to the losses
        ((4.63, 2.1), (5.57, 2.45)),
        ((4.63, 0.8), (5.57, 0.8)),
    ):
        _arrow(axes, *route)
    axes.text(4.0, 4.4, "the map that the image came from", **NOTE)
    axes.text(2.92, 3.65, "image", va="center", fontsize=10)
    axes.text(5.03, 3.65, "a map", ha="right", va="center", fontsize=10)
    axes.text(2.78, 1.3, "image", ha="right", va="center", fontsize=10)
    for x, y, text, colour in (
        (4.0, 0.35, "CLIP and DINO in the paper;\ntarget: $G_T$'s images", EDGE),
        (6.35, 3.75, "trains $D_S$'s first blocks", CRITIC_GRADIENT),
        (6.35, 2.1, "trains $D_S$ and $D_T$", CRITIC_GRADIENT),
        (6.35, 1.85, "trains $G_S$", STUDENT_GRADIENT),
        (6.35, 0.35, "trains $G_S$", STUDENT_GRADIENT),
    ):
        axes.text(x, y, text, color=colour, ha="center", va="top", fontsize=10)
    return figure


def _lesson(
    axes: Axes, x: float, y: float, source: str, network: str, loss: str, gradient: str
) -> None:
    """Draw what a student learns from its teacher around height y, from x on: 3.5 inches."""
    axes.add_patch(Circle((x + 0.3, y), 0.3, fc=PLAIN, ec=EDGE, lw=1.2))
    axes.text(x + 0.3, y, source, ha="center", va="center")
    student = STUDENT if network == "G" else CRITIC
    for side, text, fill in (
        (1, f"teacher\n${network}_T$ (frozen)", TEACHER),
        (-1, f"student\n${network}_S$", student),
    ):
        _box(axes, x + 1.5, y + 0.65 * side, 1.2, text, fill)
        _arrow(axes, (x + 0.55, y + 0.17 * side), (x + 0.9, y + 0.5 * side))
        _arrow(axes, (x + 2.1, y + 0.65 * side), (x + 2.46, y + 0.2 * side))
    _box(axes, x + 2.97, y, 1.02, loss, LOSS)
    _arrow(axes, (x + 2.97, y - 0.4), (x + 2.97, y - 0.8), (x + 2.1, y - 0.8), gradient=gradient)


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
