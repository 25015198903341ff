"""Draw what several questions have in common, and write pictures."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import DetCurveDisplay

from evaluation.metrics.reliability import Bins
from evaluation.metrics.verification import Rates
from evaluation.section import Plot

SIZE_INCHES = (6.4, 5.6)
DPI = 110
HISTOGRAM_BINS = 40
MAX_POINTS = 2000
"""Maximum number of points of a curve."""


def write_plot(plot: Plot, folder: Path) -> Path:
    """Draw a plot and write it as PNG; returns its path."""
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    plot.draw(figure)
    path = folder / f"{plot.name}.png"
    figure.savefig(path)
    return path


def draw_reliability(figure: Figure, bins: Bins, predicted: str, observed: str) -> None:
    """Draw what came true over what was predicted; the size of a point is the share of the answers."""
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="true probabilities")
    axes.plot(bins.predicted, bins.observed, color="tab:blue")
    axes.scatter(
        bins.predicted, bins.observed, s=20 + 400 * bins.share, color="tab:blue", alpha=0.6, clip_on=False
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=predicted, ylabel=observed)
    axes.legend()


def draw_det(figure: Figure, curves: dict[str, Rates]) -> None:
    """Draw the detection error tradeoff of groups that have `inner_points`, on scales of normal deviates."""
    axes = figure.subplots()
    for name, rates in curves.items():
        points = inner_points(rates)
        points = points[np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).astype(int)]
        display = DetCurveDisplay(fpr=rates.false[points], fnr=rates.missed[points])
        display.plot(ax=axes, name=name)
    axes.set(xlabel="false match rate", ylabel="missed match rate")
    axes.legend(loc="upper right", fontsize="small")


def inner_points(rates: Rates) -> NDArray[np.intp]:
    """Return the thresholds at which there are errors of both kinds; normal deviates have no 0 and no 1."""
    inside = (rates.missed > 0) & (rates.false > 0) & (rates.missed < 1) & (rates.false < 1)
    return np.flatnonzero(inside)


def draw_histograms(figure: Figure, values: dict[str, NDArray[np.float64]], label: str) -> None:
    """Draw how the probabilities of several groups are distributed."""
    axes = figure.subplots()
    for name, found in values.items():
        axes.hist(found, bins=HISTOGRAM_BINS, range=(0, 1), density=True, histtype="step", label=name)
    axes.set(xlabel=label, ylabel="density", xlim=(0, 1))
    axes.legend(fontsize="small")
