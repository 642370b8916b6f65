"""What people read of a sweep: report.html with its curves inside, the same curves as PNG, a table in the terminal."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from medlm_recipes.sweep.collect import Sweep
from medlm_recipes.sweep.curves import draw_accuracy, draw_perplexity, save_png, to_svg
from medlm_recipes.sweep.findings import NOISE, SIGNIFICANT, Point, sources
from medlm_recipes.sweep.summary import number, p_value, percent, points_of
from medlm_recipes.token_math import in_words

REPORT = "report.html"
GAP = "–"


def write_report(compared: Sweep, folder: Path) -> None:
    """report.html, which needs no other file and asks the network for nothing, perplexity.png and accuracy.png."""
    figures = {"perplexity": draw_perplexity(compared.points), "accuracy": draw_accuracy(compared.points)}
    for name, figure in figures.items():
        save_png(figure, folder / f"{name}.png")
    environment = Environment(
        loader=PackageLoader("medlm_recipes", "sweep"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"words": in_words, "percent": percent, "number": number, "p": p_value, "points": points_of}
    page = environment.get_template(f"{REPORT}.jinja").render(
        sweep=compared,
        sources=sources(compared.points),
        # Matplotlib's own markup, which escapes the names that it shows.
        curves={name: Markup(to_svg(figure, name)) for name, figure in figures.items()},  # noqa: S704
        gap=GAP,
        noise=NOISE,
        significant=SIGNIFICANT,
    )
    (folder / REPORT).write_text(page)


def summary_table(compared: Sweep) -> str:
    """The budgets in a few columns, for the terminal."""
    named = sources(compared.points)
    headings = ["tokens", "passes", *(f"perplexity {source}" for source in named), "accuracy"]
    rows = [headings, *(_row(point, named) for point in compared.points)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    return "\n".join(
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def _row(point: Point, named: list[str]) -> list[str]:
    validation = [point.validation[source].perplexity if source in point.validation else None for source in named]
    score = point.accuracy
    return [
        f"{point.tokens:,}",
        f"{point.passes:.2f}",
        *(GAP if value is None else number(value) for value in validation),
        f"{percent(score.value)} ± {percent(score.standard_error)}" if score else GAP,
    ]
