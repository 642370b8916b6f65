"""A sweep's findings in plain words: what to do, and what that rests on."""

from collections.abc import Iterator
from itertools import pairwise

from medlm_recipes.sweep.findings import Findings, LossLevel, SizeFindings
from medlm_recipes.sweep.fits import REACH, REPEATED, Foretold, LossFit
from medlm_recipes.sweep.joint import ForetoldRun
from medlm_recipes.sweep.scores import Change, Level
from medlm_recipes.sweep.words import BEYOND, INTERVAL, interval_of, listed, nats, number, p_value, percent, points_of
from medlm_recipes.token_math import in_words


def recommend(findings: Findings, gain_enough: float) -> list[str]:
    """Whether more tokens pay at the largest size, and what the sizes together foretell."""
    size = largest_size(findings)
    headline = _headline(size, gain_enough)
    if len(findings.sizes) > 1:
        headline = f"{size.size}, the largest size: {headline[0].lower()}{headline[1:]}"
    return [headline, *_verdicts(size, gain_enough), *_foretold_runs(findings)]


def summarize(findings: Findings) -> list[str]:
    """What the recommendation rests on, of the largest size."""
    size = largest_size(findings)
    said = [*_checks(size), _loss_sentence(size)]
    for name, levels in size.scores.items():
        said.append(_score_sentence(name, levels, size.changes[name], size.overall.get(name)))
    return said + list(_reservations(findings, size))


def largest_size(findings: Findings) -> SizeFindings:
    """By parameters; the recipe's last where they are not known."""
    return max(reversed(findings.sizes), key=lambda size: size.parameters or 0)


def _headline(size: SizeFindings, gain_enough: float) -> str:
    """What to do, in a line; several where the sources differ."""
    said: dict[str, list[str]] = {}
    for source, fits in size.fits.items():
        said.setdefault(_side(fits[0].at(1), gain_enough), []).append(source)
    words = {
        "pays": f"more tokens than {in_words(size.tokens[-1])} still pay",
        "enough": "more tokens do not pay",
        "open": f"whether more tokens than {in_words(size.tokens[-1])} pay is not settled",
        "unsure": "three losses do not tell how sure their curve is",
    }
    parts = [words[side] + (f" on {listed(on)}" if len(size.losses) > 1 else "") for side, on in said.items()]
    headline = "; ".join(parts) or "these losses do not tell whether more tokens pay"
    return f"{headline[0].upper()}{headline[1:]}."


def _verdicts(size: SizeFindings, gain_enough: float) -> Iterator[str]:
    """A sentence or two for the sources of each verdict, one for each source without a curve."""
    sides: dict[str, dict[str, LossFit]] = {}
    for source, fits in size.fits.items():
        sides.setdefault(_side(fits[0].at(1), gain_enough), {})[source] = fits[0]
    for side, fits_of in sides.items():
        yield _verdict(side, fits_of, gain_enough)
        if side == "pays":
            yield from (_until(fit, source, gain_enough) for source, fit in fits_of.items())
    for source, why in size.unfit.items():
        step = size.gains[source][-1] if size.gains[source] else None
        last = "" if step is None else (
            f" Over the last step, {in_words(step.start)} to {in_words(step.end)} tokens, it fell by "
            f"{step.per_doubling:.3f} nats a token with each doubling."
        )  # fmt: skip
        yield f"No curve is fitted to the loss on {source}: {why}.{last}"
    if not size.losses:
        yield "No validation loss was recorded at these budgets, so nothing can be said of further tokens."
    prices = {source: gains[-1].per_1000_dollars for source, gains in size.gains.items() if gains}
    known = [f"{price:.2g} on {source}" for source, price in prices.items() if price is not None]
    if known:
        yield f"Over the last step between budgets 1,000 dollars bought {listed(known)} (nats a token)."


def _side(here: Foretold, gain_enough: float) -> str:
    if here.gain.low is None or here.gain.high is None:
        return "unsure"
    if here.gain.high < gain_enough:
        return "enough"
    return "pays" if here.gain.low >= gain_enough else "open"


def _verdict(side: str, fits: dict[str, LossFit], gain_enough: float) -> str:
    first = next(iter(fits.values()))
    tokens = in_words(first.at(1).tokens)
    worth = ", with repeated text counted at its worth" if first.formula == REPEATED else ""
    gains = listed([f"{nats(fit.at(1).gain)} on {source}" for source, fit in fits.items()])
    doubling = f"from {tokens} tokens, the next doubling is expected to lower the loss by {gains}, nats a token{worth}"
    if side == "unsure":
        return (
            f"As many losses as the curve has parameters just determine it, so that there is no interval: {doubling}; "
            f"this recipe calls {gain_enough:g} worth it."
        )
    if side == "enough":
        points = listed([f"{_range(fit)} on {source}" for source, fit in fits.items()])
        return (
            f"Beyond {points} the expected gain per doubling is under {gain_enough:g} nats a token, which this recipe "
            f"calls worth it: {doubling}."
        )
    if side == "pays":
        return f"{doubling[0].upper()}{doubling[1:]}; this recipe calls {gain_enough:g} worth it."
    return (
        f"{doubling[0].upper()}{doubling[1:]}; the interval holds the {gain_enough:g} that this recipe calls worth it. "
        "Further budgets or seeds would narrow it."
    )


def _range(fit: LossFit) -> str:
    """From where on a doubling gains too little."""
    enough, bound = fit.enough, in_words(round(REACH * fit.at(1).tokens))
    assert enough.tokens is not None
    ends = [f"beyond {bound}" if end is None else in_words(end) for end in (enough.low, enough.high)]
    return f"{in_words(enough.tokens)} tokens ({INTERVAL} {ends[0]} to {ends[1]})"


def _until(fit: LossFit, source: str, gain_enough: float) -> str:
    largest = fit.at(1).tokens
    if fit.enough.tokens is None:
        return (
            f"On {source} the gain per doubling stays above {gain_enough:g} nats up to "
            f"{in_words(round(REACH * largest))} tokens, {REACH:g} times the largest budget, beyond which the curve is "
            "not drawn."
        )
    return (
        f"On {source} it is expected to fall under {gain_enough:g} nats beyond {_range(fit)}, "
        f"{fit.enough.tokens / largest:.2g} times the largest budget: that is extrapolated."
    )


def _foretold_runs(findings: Findings) -> Iterator[str]:
    runs: dict[str, dict[str, ForetoldRun]] = {}
    for source, joint in findings.joint.items():
        for run in joint.foretold:
            runs.setdefault(run.name, {})[source] = run
    for name, by_source in runs.items():
        run = next(iter(by_source.values()))
        losses = listed([f"{nats(one.loss)} on {source}" for source, one in by_source.items()])
        words = (
            f"For {name} at {in_words(run.tokens)} tokens the sizes together foretell a loss of {losses}, nats a "
            f"token, from {run.times_parameters:.2g} times the parameters of the largest size and "
            f"{run.times_tokens:.2g} times the tokens of the largest budget"
        )
        yield f"{words}; {BEYOND}." if run.beyond else f"{words}."


def _checks(size: SizeFindings) -> Iterator[str]:
    for source, fits in size.fits.items():
        held = fits[0].held_out
        if held is None:
            yield f"With {fits[0].budgets} budgets on {source} there are too few to leave the largest out as a check."
            continue
        where = "" if held.inside is None else ", inside the interval" if held.inside else ", outside the interval"
        warning = "" if held.inside is not False else "; a curve that misses its own largest budget is no guide beyond"
        yield (
            f"Check on {source}: the curve through the smaller budgets alone foretold {held.predicted.value:.4f}"
            f"{interval_of(held.predicted)} at {in_words(held.tokens)} tokens; measured were {held.measured:.4f}, "
            f"an error of {held.error:+.4f} nats{where}{warning}."
        )


def _loss_sentence(size: SizeFindings) -> str:
    shown = {source: levels for source, levels in size.losses.items() if size.falls[source] is not None}
    if not shown:
        return "Validation loss was recorded at one budget at most, which shows no trend."
    rising = [source for source in shown if not size.falls[source]]
    if rising:
        before, after = next(
            (one, two) for one, two in pairwise(shown[rising[0]])
            if one.loss is None or two.loss is None or two.loss >= one.loss
        )  # fmt: skip
        more = f" (nor on {', '.join(rising[1:])})" if rising[1:] else ""
        return (
            f"Validation perplexity on {rising[0]} does not fall at every step: it goes from {_at(before)} to "
            f"{_at(after)}{more}."
        )
    parts = [f"on {source} from {_at(levels[0])} to {_at(levels[-1])}" for source, levels in shown.items()]
    return f"Validation perplexity falls from budget to budget, {'; '.join(parts)}."


def _at(level: LossLevel) -> str:
    value = "not finite" if level.perplexity is None else number(level.perplexity)
    return f"{value} ({in_words(level.tokens)} tokens)"


def _score_sentence(name: str, levels: list[Level], changes: list[Change], whole: Change | None) -> str:
    if not levels:
        return f"{name}: no budget was evaluated."
    last = levels[-1]
    verdict = "above" if last.above_chance else "not distinguishable from"
    seeds = f", the mean of {last.seeds} seeds" if last.seeds > 1 else ""
    level = (
        f"{name}: {percent(last.value)} ± {percent(last.standard_error)} of {last.n:,} questions at "
        f"{in_words(last.tokens)} tokens{seeds}, {verdict} guessing at {percent(last.chance)} "
        f"(p {p_value(last.p_above_chance)})"
    )
    if whole is None:
        return f"{level}."
    reading = "within noise" if whole.within_noise else f"a {'rise' if whole.change > 0 else 'drop'} beyond noise"
    steps = ""
    if len(changes) > 1:
        noise = sum(one.within_noise for one in changes)
        verb = "is" if noise == 1 else "are"
        steps = f"; of the {len(changes)} changes between neighbouring budgets {noise or 'none'} {verb} within noise"
    return f"{level}; {points_of(whole)} since {in_words(whole.start)}, {reading}{steps}."


def _reservations(findings: Findings, size: SizeFindings) -> Iterator[str]:
    if size.seeds == 1 and any(fits[0].spare for fits in size.fits.values()):
        yield (
            "One seed was trained: the intervals hold how losses scatter around the curve, not how much another seed "
            "would shift all of them."
        )
    missing = {where: why for one in findings.sizes for where, why in one.missing.items()}
    if missing:
        where, why = next(iter(missing.items()))
        more = f", and {len(missing) - 1} more, listed below" if len(missing) > 1 else ""
        yield f"Missing: {where} ({why}){more}."
    off = {where: how for one in findings.sizes for fits in one.fits.values() for where, how in fits[0].off.items()}
    for where, how in off.items():
        yield f"The loss of {where} lies {how} and counts less in the fit: look at that run before trusting it."
