"""How a sweep's figures look, and how they become PNG and SVG."""

import io
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from medlm_recipes.sweep.fits import REACH
from medlm_recipes.token_math import in_words

# Okabe and Ito's colours, told apart with any common colour vision; markers tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"
INK, QUIET = "#1f2933", "#66727f"
_SIZE = (4.0, 3.1)  # inches: small, so that its text is still read on a phone's width
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#d9dee3",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "text.parse_math": False,  # names may hold dollar signs
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "svg.fonttype": "none",  # text stays text: searchable, and in the reader's font
    "svg.hashsalt": "medlm-recipes",  # ids that do not change from run to run
}


@dataclass(frozen=True)
class Look:
    """Of one line's colour and points."""

    colour: str
    shape: str
    filled: bool = True

    @property
    def marker(self) -> dict[str, Any]:
        face = self.colour if self.filled else "white"
        return {"color": self.colour, "marker": self.shape, "markerfacecolor": face, "clip_on": False}

    @property
    def line(self) -> dict[str, Any]:
        return {"linestyle": "-" if self.filled else (0, (4, 2)), "linewidth": 1.5}


def new_figure(what: str) -> tuple[Figure, Axes]:
    """what: the words of the vertical axis."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_ylabel(what)
    axes.grid()
    return figure, axes


def token_axis(axes: Axes, budgets: list[int], foretold: bool) -> None:
    """Tokens, each doubling one equal step; foretold: to REACH times the largest budget."""
    axes.set_xscale("log", base=2)
    low, high = min(budgets) / 1.25, max(budgets) * (REACH if foretold else 1) * 1.25
    axes.set_xlim(low, high)
    further = [max(budgets) * factor for factor in (REACH, 4)] if foretold else []
    axes.xaxis.set_major_locator(FixedLocator(_apart(sorted(set(budgets)), further, math.log2(high / low))))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_words(round(value))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training tokens" + (", dashed: foretold" if foretold else ""))


def _apart(budgets: list[int], further: list[float], span: float) -> list[float]:
    """The budgets that can carry a label each without touching, the largest always."""
    kept: list[float] = [budgets[-1]]
    for one in [*further, *reversed(budgets)]:
        if all(abs(math.log2(one / other)) > 0.14 * span for other in kept):
            kept.append(one)
    return sorted(kept)


_LAST = ("guessing", "worth it")
"""Reference lines, which stand last in a legend."""


def finish(figure: Figure, axes: Axes, nothing: str = "") -> Figure:
    """Lay the legend below the axes, where it covers nothing. nothing: why there is nothing to show."""
    if nothing:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.text(0.5, 0.5, nothing, transform=axes.transAxes, ha="center", color=QUIET)
        return figure
    drawn = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    last = [name for name in drawn if name.startswith(_LAST)]
    labels = [*(name for name in drawn if name not in last), *last]
    handles = [drawn[name] for name in labels]
    columns = len(labels) if sum(map(len, labels)) < 36 and len(labels) < 5 else 2 if max(map(len, labels)) < 25 else 1
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=1.6, columnspacing=1.2)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    with rc_context(STYLE):
        figure.savefig(path, dpi=200, facecolor="white", metadata={"Software": None})


def to_svg(figure: Figure, name: str) -> str:
    """One `<svg>` element to stand in HTML: the same bytes each time, ids that begin with `name`."""
    stream = io.StringIO()
    with rc_context(STYLE):
        none = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=none)
    text = stream.getvalue()
    svg = text[text.index("<svg") :]
    for before, after in (('id="', f'id="{name}-'), ("url(#", f"url(#{name}-"), ('href="#', f'href="#{name}-')):
        svg = svg.replace(before, after)
    return re.sub(r'<svg\b[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, count=1)
