"""Figures by matplotlib as SVG whose colours follow the page: light, dark or print.

Lines have placeholder colours, which become CSS variables of the page; what belongs to cells of an
ablation says so in `data-cells`, by which the page's script shows and hides it.
"""

import contextlib
import io
import itertools
import math
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np

NUM_COLOURS = 10
DASHES = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
"""As in the page's style sheet: with the colours, 40 cells are told apart."""

INK, _GRID = "#000001", "#00000a"
_PLACEHOLDERS = {
    INK: "currentColor",
    _GRID: "var(--grid)",
    **{f"#c0ffe{k}": f"var(--c{k})" for k in range(NUM_COLOURS)},
}
_SVG, _HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_CELLS = "cells"
_LEFT_OUT = ("font-family:", "stroke-dashoffset:0", "stroke-linecap:square")
"""The page says its own font; ends of lines look alike."""
_RC: dict[Any, Any] = {
    # Text stays text: it can be read aloud, found and copied.
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    # No user's dollar starts a formula.
    "text.parse_math": False,
}


def colour(cell: int) -> str:
    """The placeholder of a cell's colour."""
    return f"#c0ffe{cell % NUM_COLOURS}"


def dashes(cell: int) -> Any:
    """How the line of a cell is dashed."""
    return DASHES[cell // NUM_COLOURS % len(DASHES)]


def of_cells(artist: Any, cells: Iterable[int]) -> None:
    """Let what was drawn be shown while one of these cells is."""
    artist.set_gid(f"{_CELLS}-{'-'.join(map(str, cells))}-{next(_NUMBERS)}")


def error_bars(axes: Any, x: Any, y: Any, error: Any, **look: Any) -> Any:
    """Bars of one standard error up and down, as one path; arrays [N]."""
    x, y, error = (np.asarray(values, np.float64) for values in (x, y, error))
    gap = np.full(len(x), np.nan)
    up_and_down = np.stack([y - error, y + error, gap], axis=1).ravel()
    (bars,) = axes.plot(np.repeat(x, 3), up_and_down, linewidth=0.9, **look)
    return bars


def logarithmic(axis: Any, low: float, high: float) -> None:
    """Let an axis from `low` to `high` be logarithmic, with plain numbers beside its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    decades = math.log10(high / low)
    subs = (1, 2, 5) if decades < 2.5 else (1,)
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_locator(NullLocator())


# Two of one name would be one element to matplotlib.
_NUMBERS = itertools.count()


@contextlib.contextmanager
def figure(width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of so many inches, and its axes, in the page's style.

    It must be drawn (`markup`) inside.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_RC), warnings.catch_warnings():
        # The reader's fonts have the glyphs that matplotlib's may not.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        drawn = Figure(figsize=(width, height), layout="constrained")
        yield drawn, drawn.add_subplot()


def markup(drawn: Any, name: str, says: str) -> str:
    """A figure as an <svg> for HTML.

    Args:
      drawn: of `figure`.
      name: by which its parts are told from those of the page's other figures.
      says: what it shows, for those who do not see it.
    """
    file = io.BytesIO()
    drawn.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(file.getvalue())
    _rename(root, name)
    for node in root.iter():
        _simplify(node)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": says}
    return ElementTree.tostring(root, encoding="unicode")


def _rename(root: ElementTree.Element, name: str) -> None:
    """Ids that nothing refers to go; the others are the figure's name and a number."""
    text = ElementTree.tostring(root, encoding="unicode")
    used = re.findall(r'(?:href="|url\()#([^")]+)', text)
    short = {given: f"{name}{k}" for k, given in enumerate(dict.fromkeys(used))}
    for node in root.iter():
        given = node.attrib.pop("id", "")
        if given in short:
            node.attrib["id"] = short[given]
        elif given.startswith(f"{_CELLS}-"):
            node.attrib["data-cells"] = " ".join(given.split("-")[1:-1])
        href = node.attrib.pop(_HREF, None)
        if href:
            node.attrib["href"] = f"#{short[href[1:]]}"
        clip = node.attrib.get("clip-path")
        if clip:
            node.attrib["clip-path"] = f"url(#{short[clip[5:-1]]})"


def _simplify(node: ElementTree.Element) -> None:
    """Colours of the page, its font, and as many digits as are seen; HTML knows the name spaces."""
    node.tag = node.tag.removeprefix(_SVG)
    for child in [c for c in node if c.tag in (f"{_SVG}metadata", f"{_SVG}style")]:
        node.remove(child)
    if node.tag != "text":
        node.text = None
    node.tail = None
    style = node.attrib.get("style", "")
    for placeholder, stands_for in _PLACEHOLDERS.items():
        style = style.replace(placeholder, stands_for)
    if style:
        parts = [part.replace(": ", ":") for part in style.split("; ")]
        node.attrib["style"] = ";".join(p for p in parts if not p.startswith(_LEFT_OUT))
    for key in {"d", "x", "y", "transform"} & set(node.attrib):
        shorter = re.sub(r"(\.\d)\d+", r"\1", node.attrib[key]).replace(".0 ", " ")
        node.attrib[key] = re.sub(r"\s+", " ", shorter.replace("rotate(-0", "rotate(0")).strip()
