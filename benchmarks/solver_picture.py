"""The picture of `solvers`: the default and each package's best in colour, the rest in grey."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.report import ROOT

COLOURS = {"diffusers": "#d55e00", "k-diffusion": "#009e73", "azula": "#cc79a7"}
COLOURS |= {"flow_matching": "#0072b2"}
"""Of the packages, told apart by colour-blind readers too; the default is black."""

Curve = tuple[Sequence[float], Sequence[float]]


def draw(result: dict[str, Any], budgets: Sequence[int], default: str) -> None:
    """Error against evaluations, a panel for each problem.

    Args:
      result: of `solvers`.
      budgets: where the mixture was solved.
      default: the name of the default solver and its grid.
    """
    from matplotlib.figure import Figure

    mixture, network = result["mixture"], result.get("network")
    curves: dict[str, Curve] = {
        name: (budgets, [median for median, *_ in points])
        for name, points in (mixture["ours"] | mixture["peers"]).items()
    }
    colours = {default: "black"} | best_of_packages(
        {name: curves[name] for name in mixture["peers"]}
    )
    figure = Figure(figsize=(14, 11) if network else (9, 11), dpi=80, layout="constrained")
    rows: Any = [["mixture", "digits"], ["mixture", "distance"]] if network else [["mixture"]]
    panels = figure.subplot_mosaic(rows)
    show(panels["mixture"], curves, colours, gap=0.021)
    panels["mixture"].set(title="Mixture in 8 dimensions", ylabel="median error")
    if network:
        for panel, column, end in (("digits", 1, -1), ("distance", 2, 0)):
            measured: dict[str, Curve] = {
                name: ([point[0] for point in points], [point[column] for point in points])
                for name, points in network["solvers"].items()
            }
            show(panels[panel], measured, colours, gap=0.046, end=end)
        panels["digits"].set(title="Digits", ylabel="RMS distance to the fine solution")
        panels["distance"].axhline(network["fine"], color="grey", ls="--")
        panels["distance"].set(title="Digits (dashed: fine solution)")
        panels["distance"].set_ylabel("Fréchet distance in pixels")
    path = ROOT / "docs" / "solvers.png"
    figure.savefig(path)
    print(path)


def best_of_packages(peers: dict[str, Curve]) -> dict[str, str]:
    """The colours of the solvers that err least over all budgets, in the geometric mean."""
    found = {}
    for package, colour in COLOURS.items():
        theirs = {name: errors for name, (_, errors) in peers.items() if name.startswith(package)}
        if theirs:
            found[min(theirs, key=lambda name: sum(map(math.log, theirs[name])))] = colour
    return found


def show(
    axes: Any, curves: dict[str, Curve], colours: dict[str, str], *, gap: float, end: int = -1
) -> None:
    """Draw the curves, those in colour on top, each with its name at its last or first point.

    Args:
      axes: where.
      curves: evaluations and errors by name.
      colours: of some of them.
      gap: between names, of the panel's height.
      end: −1 or 0.
    """
    for name, (calls, errors) in curves.items():
        coloured = name in colours
        style = {"color": colours.get(name, "0.75"), "lw": 2.2 if coloured else 1, "marker": "."}
        axes.loglog(calls, errors, zorder=3 if coloured else 2, **style)
    axes.set_xlabel("network evaluations")
    ticks = sorted({int(call) for calls, _ in curves.values() for call in calls})
    axes.set_xticks(ticks, map(str, ticks), minor=False)
    axes.set_xticks([], minor=True)
    axes.grid(visible=True, which="major", alpha=0.25)
    axes.spines[["top", "left" if end == 0 else "right"]].set_visible(False)
    if end == 0:
        axes.yaxis.tick_right()
        axes.yaxis.set_label_position("right")
    label(axes, curves, colours, gap, end)


def label(
    axes: Any, curves: dict[str, Curve], colours: dict[str, str], gap: float, end: int
) -> None:
    """Write the names beside the ends, moved apart, with lines to them."""
    low, high = np.log(axes.get_ylim())
    heights = {name: (math.log(curves[name][1][end]) - low) / (high - low) for name in curves}
    names = sorted(curves, key=heights.__getitem__)
    for name, place in zip(names, apart([heights[name] for name in names], gap), strict=True):
        coloured, colour = name in colours, colours.get(name, "0.75")
        axes.annotate(
            name,
            xy=(curves[name][0][end], curves[name][1][end]),
            xytext=(1.04 if end else -0.04, place),
            textcoords="axes fraction",
            va="center",
            ha="left" if end else "right",
            fontsize=11 if coloured else 9,
            fontweight="bold" if coloured else "normal",
            color=colour if coloured else "0.35",
            arrowprops={
                "arrowstyle": "-",
                "lw": 0.7,
                "color": colour,
                "relpos": (0 if end else 1, 0.5),
                "shrinkA": 2,
            },
        )


def apart(places: Sequence[float], gap: float) -> np.ndarray:
    """Places in rising order, moved as little as keeps them a gap apart and within [0, 1].

    Neighbours that are too close make a block, spread about the mean of its members' places.
    """
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and _start(blocks[-1], gap) < _end(blocks[-2], gap) + gap:
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    return np.concatenate([_start(block, gap) + gap * np.arange(len(block)) for block in blocks])


def _start(block: list[float], gap: float) -> float:
    length = gap * (len(block) - 1)
    return min(max(sum(block) / len(block) - length / 2, 0.0), 1.0 - length)


def _end(block: list[float], gap: float) -> float:
    return _start(block, gap) + gap * (len(block) - 1)
