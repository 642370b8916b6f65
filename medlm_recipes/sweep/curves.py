"""A sweep's curves as figures: loss and gain with their fits, loss against cost, scores; against rising budgets."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from medlm_recipes.sweep.drawing import COLOURS, MARKERS, QUIET, STYLE, Look, finish, new_figure, token_axis
from medlm_recipes.sweep.findings import LossLevel, SizeFindings
from medlm_recipes.sweep.fits import Foretold, LossFit
from medlm_recipes.sweep.fitting import Estimate
from medlm_recipes.sweep.points import Observed, losses
from medlm_recipes.sweep.scores import Level
from medlm_recipes.sweep.words import percent


def draw_loss(sizes: list[SizeFindings], series: list[Observed], source: str) -> Figure:
    """Every seed's loss, the curve with its interval, dashed beyond the largest budget, and the held-out check."""
    with rc_context(STYLE):
        figure, axes = new_figure("validation loss, nats a token")
        shown: list[float] = []
        budgets: list[int] = []
        for look, size in _looks(sizes):
            fit = _fit(size, source)
            points = [(point.tokens, loss) for one in series if one.size == size.size
                      for point, loss in losses(one, source) if math.isfinite(loss)]  # fmt: skip
            if fit:
                _band(axes, fit.line, look, [one.loss for one in fit.line])
                shown.append(fit.line[-1].loss.value)
                if fit.held_out:
                    _held_out(axes, fit.held_out.tokens, fit.held_out.predicted, look)
            axes.plot(*_columns(points), linestyle="none", label=_label(size, sizes, "measured"), **look.marker)
            shown += [loss for _, loss in points]
            budgets += [tokens for tokens, _ in points]
        if not shown:
            return finish(figure, axes, "no finite validation loss at these budgets")
        _limits(axes, shown)
        token_axis(axes, budgets, any(source in size.fits for size in sizes))
        _perplexity_axis(axes)
        return finish(figure, axes)


def draw_gain(sizes: list[SizeFindings], source: str, gain_enough: float) -> Figure:
    """What a doubling lowers the loss by: by the curve with its interval, and as measured from budget to budget."""
    with rc_context(STYLE):
        figure, axes = new_figure("gain of loss per doubling, nats")
        shown, budgets = [gain_enough], []
        for look, size in _looks(sizes):
            fit = _fit(size, source)
            if fit:
                _band(axes, fit.line, look, [one.gain for one in fit.line])
                shown += [one.gain.value for one in fit.line if one.gain.value > 0]
            gains = [gain for gain in size.gains.get(source, []) if gain.per_doubling > 0]
            shown += [gain.per_doubling for gain in gains]
            budgets += [tokens for gain in size.gains.get(source, []) for tokens in (gain.start, gain.end)]
            label = _label(size, sizes, "measured, from its budget to the next")
            axes.errorbar(
                [gain.start for gain in gains],
                [gain.per_doubling for gain in gains],
                yerr=[gain.standard_error or math.nan for gain in gains],
                linestyle="none",
                capsize=2.5,
                elinewidth=1.1,
                label=label,
                **look.marker,
            )
        if not budgets:
            return finish(figure, axes, "fewer than two budgets with a finite loss")
        axes.axhline(gain_enough, color=QUIET, linestyle=(0, (5, 3)), linewidth=1.2, label=f"worth it: {gain_enough:g}")
        axes.set_yscale("log")
        axes.set_ylim(max(min(shown), gain_enough / 5) / 1.6, max(shown) * 1.6)
        _plain_log_ticks(axes)
        token_axis(axes, budgets, any(source in size.fits for size in sizes))
        return finish(figure, axes)


def draw_cost(sizes: list[SizeFindings], series: list[Observed], source: str) -> Figure | None:
    """Loss against what the training took, in dollars where a price is known, else in FLOPs; None: neither is."""
    rates = {one.size: (one.dollars_per_token, one.flops_per_token) for one in series}
    priced = all(rate[0] for rate in rates.values())
    if not priced and not all(rate[1] for rate in rates.values()):
        return None
    with rc_context(STYLE):
        figure, axes = new_figure("validation loss, nats a token")
        shown: list[float] = []
        for look, size in _looks(sizes):
            rate = rates[size.size][0 if priced else 1]
            assert rate is not None
            points = [(level.tokens * rate, level.loss) for level in size.losses.get(source, [])
                      if level.loss is not None]  # fmt: skip
            axes.plot(*_columns(points), label=size.size, **look.marker | {"linestyle": "-", "linewidth": 1.4})
            shown += [loss for _, loss in points]
        if not shown:
            return None
        _limits(axes, shown)
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=8))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _money(value) if priced else f"{value:.0e}"))
        axes.set_xlabel("cost of a run to each budget, dollars" if priced else "FLOPs of a run to each budget")
        return finish(figure, axes)


def draw_score(sizes: list[SizeFindings], benchmark: str) -> Figure:
    """A benchmark's score with bars of one standard error, and the line that guessing gives."""
    with rc_context(STYLE):
        figure, axes = new_figure("questions answered rightly")
        found = [(look, size, size.scores.get(benchmark, [])) for look, size in _looks(sizes)]
        _scores(axes, [(look, _label(size, sizes, "± 1 standard error"), levels) for look, size, levels in found])
        known = [level for _, _, levels in found for level in levels]
        if not known:
            return finish(figure, axes, "no evaluation of these budgets")
        _chance(axes, known[-1].chance)
        token_axis(axes, [tokens for size in sizes for tokens in size.tokens], False)
        return finish(figure, axes)


def draw_both_losses(own: list[SizeFindings], other: list[SizeFindings], names: tuple[str, str], source: str,
                     same_tokenizer: bool) -> Figure | None:  # fmt: skip
    """Two sweeps' losses at their budgets; None when one of them has none."""
    with rc_context(STYLE):
        figure, axes = new_figure("validation loss, " + ("nats a token" if same_tokenizer else "bits a byte"))
        budgets: list[int] = []
        for name, sizes, filled in ((names[0], own, True), (names[1], other, False)):
            drawn = 0
            for look, size in _looks(sizes, filled):
                points = _levels(size.losses.get(source, []), same_tokenizer)
                label = f"{name}, {size.size}" if len(sizes) > 1 else name
                axes.plot(*_columns(points), label=label, **look.marker | look.line)
                budgets += [tokens for tokens, _ in points]
                drawn += len(points)
            if not drawn:
                return None
        token_axis(axes, budgets, False)
        return finish(figure, axes)


def draw_both_scores(
    own: list[SizeFindings], other: list[SizeFindings], names: tuple[str, str], benchmark: str
) -> Figure | None:
    """Two sweeps' scores of one benchmark; None when one of them has none."""
    with rc_context(STYLE):
        figure, axes = new_figure("questions answered rightly")
        rows = []
        for name, sizes, filled in ((names[0], own, True), (names[1], other, False)):
            if not any(size.scores.get(benchmark) for size in sizes):
                return None
            rows += [
                (look, f"{name}, {size.size}" if len(sizes) > 1 else name, size.scores.get(benchmark, []))
                for look, size in _looks(sizes, filled)
            ]
        _scores(axes, rows)
        _chance(axes, next(levels[-1].chance for _, _, levels in rows if levels))
        token_axis(axes, [level.tokens for _, _, levels in rows for level in levels], False)
        return finish(figure, axes)


def _looks(sizes: list[SizeFindings], filled: bool = True) -> Iterable[tuple[Look, SizeFindings]]:
    for index, size in enumerate(sizes):
        shift = 0 if filled else 1 + len(sizes)
        turn = (index + shift) % len(COLOURS)
        yield Look(COLOURS[turn], MARKERS[turn], filled), size


def _fit(size: SizeFindings, source: str) -> LossFit | None:
    return size.fits[source][0] if source in size.fits else None


def _label(size: SizeFindings, sizes: list[SizeFindings], what: str) -> str:
    return size.size if len(sizes) > 1 else what


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _levels(levels: list[LossLevel], in_nats: bool) -> list[tuple[int, float]]:
    found = [(level.tokens, level.loss if in_nats else level.bits_per_byte) for level in levels]
    return [(tokens, value) for tokens, value in found if value is not None]


def _band(axes: Axes, line: list[Foretold], look: Look, values: list[Estimate]) -> None:
    """A curve with its interval, dashed and paler beyond the largest budget."""
    measured = sum(one.times <= 1 + 1e-9 for one in line)
    tokens = [one.tokens for one in line]
    for part, dashes, pale in ((slice(0, measured), "-", 0.2), (slice(measured - 1, None), (0, (4, 2.5)), 0.1)):
        x, row = tokens[part], values[part]
        axes.plot(x, [one.value for one in row], color=look.colour, linestyle=dashes, linewidth=1.6)
        ends = [(one.low, one.high) for one in row if one.low is not None and one.high is not None]
        if ends:
            axes.fill_between(x, [max(low, 1e-9) for low, _ in ends], [high for _, high in ends], color=look.colour,
                              alpha=pale, linewidth=0)  # fmt: skip


def _held_out(axes: Axes, tokens: int, predicted: Estimate, look: Look) -> None:
    spread = None
    if predicted.low is not None and predicted.high is not None:
        spread = [[predicted.value - predicted.low], [predicted.high - predicted.value]]
    axes.errorbar([tokens], [predicted.value], yerr=spread, color=look.colour, marker="D", markersize=8,
                  markerfacecolor="none", markeredgewidth=1.2, capsize=4, elinewidth=1.1, zorder=2.5,
                  label="_held out")  # fmt: skip


def _scores(axes: Axes, rows: list[tuple[Look, str, list[Level]]]) -> None:
    for look, label, levels in rows:
        axes.errorbar(
            [level.tokens for level in levels],
            [level.value for level in levels],
            yerr=[level.standard_error for level in levels],
            capsize=3,
            elinewidth=1.2,
            label=label,
            **look.marker | look.line,
        )
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def _chance(axes: Axes, chance: float) -> None:
    axes.axhline(chance, color=QUIET, linestyle=(0, (5, 3)), linewidth=1.2, label=f"guessing {percent(chance)}")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low - 0.02, 0.0), min(high + 0.02, 1.02))


def _limits(axes: Axes, shown: list[float]) -> None:
    """Around what was measured and the curve's end; a wide interval may leave the picture."""
    low, high = min(shown), max(shown)
    pad = 0.08 * (high - low) or 0.05 * high
    axes.set_ylim(max(low - 2 * pad, 0), high + pad)
    axes.yaxis.set_major_locator(MaxNLocator(6))


def _perplexity_axis(axes: Axes) -> None:
    low, high = axes.get_ylim()
    if high > 60:  # exp would overflow a tick long before a float
        return
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        right = axes.secondary_yaxis("right", functions=(np.exp, lambda value: np.log(np.maximum(value, 1e-12))))
    right.set_ylabel("perplexity")
    right.yaxis.set_major_locator(FixedLocator(_round_perplexities(low, high)))
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    right.yaxis.set_minor_locator(NullLocator())


def _round_perplexities(low: float, high: float) -> list[float]:
    """Round values whose logarithms lie between two losses, far enough apart for a label each."""
    kept: list[float] = []
    for power in range(math.floor(low / math.log(10)), math.ceil(high / math.log(10)) + 1):
        for value in (10.0**power * one for one in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)):
            where = math.log(value)
            if low <= where <= high and (not kept or where - math.log(kept[-1]) > 0.1 * (high - low)):
                kept.append(value)
    return kept


def _plain_log_ticks(axes: Axes) -> None:
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _money(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"
