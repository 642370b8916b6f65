"""The two curves of a sweep as figures: perplexity and accuracy against tokens."""

import io
import math
import re
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from medlm_recipes.sweep.findings import Point, losses, sources
from medlm_recipes.sweep.summary import percent
from medlm_recipes.token_math import in_words

# Okabe and Ito's colours, told apart with any common colour vision; markers tell them apart in print.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = "osD^vP"
_INK, _QUIET = "#1f2933", "#66727f"
_SIZE = (4.0, 2.9)  # inches: small, so that its text is still read on a phone's width
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 8.5,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _QUIET,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "svg.fonttype": "none",  # text stays text: searchable, and in the reader's font
    "svg.hashsalt": "medlm-recipes",  # ids that do not change from run to run
}


def draw_perplexity(points: list[Point]) -> Figure:
    """Validation perplexity of every source; a budget without a finite value is left out of its line."""
    with rc_context(_STYLE):
        figure, axes = _figure(points, "validation perplexity")
        tokens = [point.tokens for point in points]
        drawn: list[float] = []
        for index, source in enumerate(sources(points)):
            found = {point.tokens: math.exp(loss) for point, loss in losses(points, source) if loss < 700}
            drawn += found.values()
            axes.plot(
                tokens,
                [found.get(one, math.nan) for one in tokens],  # a gap breaks the line
                color=_COLOURS[index % len(_COLOURS)],
                marker=_MARKERS[index % len(_MARKERS)],
                label=source,
                clip_on=False,
            )
        if not drawn:
            _say(axes, "no validation loss recorded at these budgets")
            return figure
        axes.set_yscale("log")
        wide = max(drawn) > 8 * min(drawn)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if wide else MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
        axes.legend(frameon=False, loc="best")
        return figure


def draw_accuracy(points: list[Point]) -> Figure:
    """Accuracy with bars of one standard error, and the line that guessing gives."""
    with rc_context(_STYLE):
        figure, axes = _figure(points, "accuracy")
        scores = [point.accuracy for point in points]
        known = [score for score in scores if score]
        if not known:
            _say(axes, "no evaluation of these budgets")
            return figure
        axes.errorbar(
            [point.tokens for point in points],
            [score.value if score else math.nan for score in scores],  # a gap breaks the line
            yerr=[score.standard_error if score else math.nan for score in scores],
            color=_COLOURS[0],
            marker="o",
            capsize=3,
            elinewidth=1.2,
            label="accuracy ± 1 standard error",
            clip_on=False,
        )
        chance = known[-1].chance
        axes.axhline(chance, color=_COLOURS[1], linestyle=(0, (5, 3)), linewidth=1.3, label=f"chance {percent(chance)}")
        low, high = axes.get_ylim()
        axes.set_ylim(max(low - 0.02, 0.0), min(high + 0.06, 1.05))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        axes.legend(frameon=False, loc="best")
        return figure


def save_png(figure: Figure, path: Path) -> None:
    with rc_context(_STYLE):
        figure.savefig(path, dpi=200, facecolor="white", metadata={"Software": None})


def to_svg(figure: Figure, name: str) -> str:
    """One `<svg>` element to stand in HTML: the same bytes each time, ids that begin with `name`."""
    stream = io.StringIO()
    with rc_context(_STYLE):
        none = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=none)
    text = stream.getvalue()
    svg = text[text.index("<svg") :]
    for before, after in (('id="', f'id="{name}-'), ("url(#", f"url(#{name}-"), ('href="#', f'href="#{name}-')):
        svg = svg.replace(before, after)
    return re.sub(r'<svg\b[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, count=1)


def _figure(points: list[Point], what: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    tokens = [point.tokens for point in points]
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(tokens) / 1.25, max(tokens) * 1.25)
    axes.xaxis.set_major_locator(FixedLocator(_apart(tokens)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_words(round(value))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="training tokens (each doubling one equal step)", ylabel=what)
    axes.grid(color="#d9dee3", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _apart(tokens: list[int]) -> list[int]:
    """The budgets that can carry a label each without touching, the largest always."""
    span = math.log2(max(tokens) * 1.25 / (min(tokens) / 1.25))
    kept = [max(tokens)]
    for one in sorted(tokens, reverse=True)[1:]:
        if math.log2(kept[-1] / one) / span > 0.11:
            kept.append(one)
    return kept[::-1]


def _say(axes: Any, text: str) -> None:
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=_QUIET)
