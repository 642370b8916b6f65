"""What people read of a sweep: report.html with its curves inside, the same curves as PNG, a table in the terminal."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from medlm_recipes.sweep.collect import Sweep
from medlm_recipes.sweep.comparison import Comparison
from medlm_recipes.sweep.curves import (
    draw_both_losses,
    draw_both_scores,
    draw_cost,
    draw_gain,
    draw_loss,
    draw_score,
)
from medlm_recipes.sweep.drawing import save_png, to_svg
from medlm_recipes.sweep.findings import SizeFindings
from medlm_recipes.sweep.fits import REACH
from medlm_recipes.sweep.points import SIGNIFICANT, benchmarks, sources
from medlm_recipes.sweep.scores import NOISE
from medlm_recipes.sweep.words import BEYOND, INTERVAL, digits, nats, number, p_value, percent, plain, points_of
from medlm_recipes.token_math import in_words

REPORT = "report.html"
GAP = "–"


@dataclass
class Panel:
    """A figure of the page. name: of its PNG. label: what it shows, for those who do not see it."""

    name: str
    figure: Figure
    label: str
    caption: str

    @property
    def svg(self) -> Markup:
        return Markup(to_svg(self.figure, self.name))  # noqa: S704  matplotlib's own markup, which escapes names


def write_report(sweep: Sweep, folder: Path) -> None:
    """report.html, which needs no other file and asks the network for nothing, and a PNG of every figure in it."""
    losses = {source: list(_loss_panels(sweep, source)) for source in sources(sweep.series)}
    scores = [_score_panel(sweep, name) for name in benchmarks(sweep.series)]
    compared = [list(_comparison_panels(sweep, one, index)) for index, one in enumerate(sweep.comparisons)]
    panels = [*(panel for own in losses.values() for panel in own), *scores, *(one for own in compared for one in own)]
    for number_, panel in enumerate(panels):
        panel.name = _file_name(panel.name, {one.name for one in panels[:number_]})
        save_png(panel.figure, folder / f"{panel.name}.png")
    environment = Environment(
        loader=PackageLoader("medlm_recipes", "sweep"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "words": in_words, "percent": percent, "number": number, "p": p_value, "points": points_of, "nats": nats,
        "plain": plain, "digits": digits,
    }  # fmt: skip
    page = environment.get_template(f"{REPORT}.jinja").render(
        sweep=sweep,
        sources=list(losses),
        benchmarks=benchmarks(sweep.series),
        loss_panels=losses,
        score_panels=scores,
        compared=list(zip(sweep.comparisons, compared, strict=True)),
        shown_otherwise=any(
            score.seeds_std is not None
            for one in sweep.series
            for point in one.points
            for score in point.scores.values()
        ),
        gap=GAP,
        noise=NOISE,
        significant=SIGNIFICANT,
        reach=REACH,
        beyond=BEYOND,
        interval=INTERVAL,
    )
    (folder / REPORT).write_text(page)


def _loss_panels(sweep: Sweep, source: str) -> Iterator[Panel]:
    sizes = sweep.findings.sizes
    fits = [size.fits[source][0] for size in sizes if source in size.fits]
    band = f" with its {INTERVAL}" if any(fit.spare for fit in fits) else ""
    yield Panel(
        f"loss-{source}",
        draw_loss(sizes, sweep.series, source),
        f"Validation loss on {source} against training tokens; its values stand in the tables below",
        "Validation loss; lower is better."
        + (f" Line: the fitted curve{band}, dashed beyond the largest budget." if fits else "")
        + (" Hollow diamond: the largest budget as foretold without it." if any(fit.held_out for fit in fits) else ""),
    )
    yield Panel(
        f"gain-{source}",
        draw_gain(sizes, source, sweep.gain_enough),
        f"Gain of the loss on {source} per doubling of tokens; its values stand in the tables below",
        "What a doubling of tokens lowers the loss by. Points: measured between two budgets, at the smaller of them. "
        "Dashed across: what this recipe calls worth it.",
    )
    cost = draw_cost(sizes, sweep.series, source)
    if cost:
        yield Panel(
            f"cost-{source}",
            cost,
            f"Validation loss on {source} against the cost of training",
            "Loss against what the training takes: of two points at one height the left one is cheaper.",
        )


def _score_panel(sweep: Sweep, benchmark: str) -> Panel:
    return Panel(
        f"score-{benchmark}",
        draw_score(sweep.findings.sizes, benchmark),
        f"Score on {benchmark} against training tokens; its values stand in the table below",
        f"{benchmark}: share of questions answered rightly; higher is better. Bars: one standard error. "
        "Dashed: guessing.",
    )


def _comparison_panels(sweep: Sweep, one: Comparison, index: int) -> Iterator[Panel]:
    own, names = sweep.findings.sizes, (sweep.name, one.name)
    if names[0] == names[1]:
        names = (f"{names[0]} (this)", f"{names[1]} (other)")
    for source in sources(sweep.series):
        figure = draw_both_losses(own, one.other, names, source, one.same_tokenizer)
        if figure:
            label = f"Validation loss on {source} of both sweeps against training tokens"
            yield Panel(f"compared-{index + 1}-loss-{source}", figure, label, f"Loss on {source}.")
    for benchmark in benchmarks(sweep.series):
        figure = draw_both_scores(own, one.other, names, benchmark)
        if figure:
            label = f"Score on {benchmark} of both sweeps against training tokens"
            yield Panel(f"compared-{index + 1}-score-{benchmark}", figure, label, f"{benchmark}.")


def _file_name(name: str, taken: set[str]) -> str:
    """Of letters that any file system and any id in HTML may have, and not yet taken."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()
    return next(found for found in (plain, *(f"{plain}-{count}" for count in range(2, 1000))) if found not in taken)


def summary_table(sweep: Sweep) -> str:
    """The budgets in a few columns, for the terminal."""
    named, asked = sources(sweep.series), benchmarks(sweep.series)
    several = len(sweep.findings.sizes) > 1
    headings = [
        *(["size"] if several else []),
        "tokens",
        "passes",
        *(f"perplexity {source}" for source in named),
        *asked,
    ]
    rows = [headings]
    for size in sweep.findings.sizes:
        rows += [[*([size.size] if several else []), *row] for row in _rows(size, named, asked)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    return "\n".join(
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def _rows(size: SizeFindings, named: list[str], asked: list[str]) -> Iterator[list[str]]:
    for tokens, passes in zip(size.tokens, size.passes, strict=True):
        losses = [next((one for one in size.losses.get(source, []) if one.tokens == tokens), None) for source in named]
        scores = [next((one for one in size.scores.get(name, []) if one.tokens == tokens), None) for name in asked]
        yield [
            f"{tokens:,}",
            f"{passes:.2f}",
            *(GAP if one is None or one.perplexity is None else number(one.perplexity) for one in losses),
            *(f"{percent(one.value)} ± {percent(one.standard_error)}" if one else GAP for one in scores),
        ]
