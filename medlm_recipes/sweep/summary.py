"""A sweep's findings in plain words, and its figures as people read them."""

import math
from itertools import pairwise

from medlm_recipes.sweep.findings import Findings, Point, Step, losses
from medlm_recipes.token_math import in_words


def summarize(points: list[Point], findings: Findings) -> list[str]:
    """Two to four sentences: perplexity, its latest gain, the largest budget against chance, what is noise."""
    return [
        _perplexity_sentence(points, findings.perplexity_falls),
        *_gain_sentence(findings.steps),
        _chance_sentence(points[-1]),
        *_noise_sentence(findings.steps, findings.overall),
    ]


def _perplexity_sentence(points: list[Point], falls: dict[str, bool | None]) -> str:
    if not falls:
        return "No validation loss was recorded at these budgets, so perplexity cannot be compared."
    if all(fall is None for fall in falls.values()):
        return "Validation perplexity was recorded at one budget only, which shows no trend."
    rising = [source for source, fall in falls.items() if fall is False]
    if rising:
        source = rising[0]
        before, after = next((a, b) for a, b in pairwise(losses(points, source)) if not b[1] < a[1])
        more = f" (nor on {', '.join(rising[1:])})" if rising[1:] else ""
        return (
            f"Validation perplexity on {source} does not fall at every step: it goes from {_at(*before)} "
            f"to {_at(*after)}{more}."
        )
    shown = [source for source, fall in falls.items() if fall]
    if len(shown) == 1:
        found = losses(points, shown[0])
        return (
            f"Validation perplexity on {shown[0]} falls from budget to budget, from {_at(*found[0])} "
            f"to {_at(*found[-1])}."
        )
    parts = [f"on {source} from {_at(*found[0])} to {_at(*found[-1])}" for source in shown
             if (found := losses(points, source))]  # fmt: skip
    return f"Validation perplexity falls from budget to budget, {'; '.join(parts)}."


def _at(point: Point, loss: float) -> str:
    return f"{number(math.exp(loss)) if loss < 700 else 'infinity'} ({in_words(point.tokens)} tokens)"


def _gain_sentence(steps: list[Step]) -> list[str]:
    if not steps or not steps[-1].nats_per_doubling:
        return []
    gains = ", ".join(f"{gain:+.3f} on {source}" for source, gain in steps[-1].nats_per_doubling.items())
    span = f"{in_words(steps[-1].start)} to {in_words(steps[-1].end)} tokens"
    return [f"Over the last step, {span}, the gain per doubling of tokens was {gains} (nats a token)."]


def _chance_sentence(point: Point) -> str:
    score = point.accuracy
    if score is None:
        return f"The largest budget, {in_words(point.tokens)} tokens, has no evaluation."
    verdict = "above" if score.above_chance else "not distinguishable from"
    return (
        f"At {in_words(point.tokens)} tokens, the largest budget, {percent(score.value)} ± "
        f"{percent(score.standard_error)} of {score.n:,} questions are answered correctly, which is {verdict} "
        f"guessing at {percent(score.chance)} (p {p_value(score.p_above_chance)})."
    )


def _noise_sentence(steps: list[Step], overall: Step | None) -> list[str]:
    known = [step for step in steps if step.within_noise is not None]
    if not known:
        return []
    noise = [step for step in known if step.within_noise]
    drops = [step for step in known if not step.within_noise and (step.accuracy_change or 0) < 0]
    if drops:
        return [
            f"Accuracy drops beyond noise from {_spans(drops)}; of the {len(known)} changes between consecutive "
            f"budgets {len(noise)} {'is' if len(noise) == 1 else 'are'} within noise (below two standard errors)."
        ]
    if not noise:
        return ["Every rise of accuracy between consecutive budgets is beyond noise (two standard errors)."]
    if len(noise) == len(known):
        subject = "Every change of accuracy between consecutive budgets is"
    else:
        subject = f"{'The change' if len(noise) == 1 else 'Changes'} of accuracy from {_spans(noise)} "
        subject += "is" if len(noise) == 1 else "are"
    return [f"{subject} within noise (below two standard errors){_whole(overall) if len(known) > 1 else ''}."]


def _whole(overall: Step | None) -> str:
    if overall is None or overall.accuracy_change is None:
        return ""
    link, side = ("and", "is too") if overall.within_noise else ("while", "is beyond it")
    return f", {link} the change from the smallest to the largest, {points_of(overall)}, {side}"


def _spans(steps: list[Step]) -> str:
    spans = [f"{in_words(step.start)} to {in_words(step.end)} ({points_of(step)})" for step in steps]
    return " and ".join([", ".join(spans[:-1]), spans[-1]] if spans[1:] else spans)


def points_of(step: Step) -> str:
    """A change of accuracy in percentage points with its standard error."""
    assert step.accuracy_change is not None and step.standard_error is not None
    return f"{100 * step.accuracy_change:+.1f} ± {100 * step.standard_error:.1f} points"


def percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def number(value: float) -> str:
    """Four digits, without an exponent below a million."""
    return f"{value:,.0f}" if 1000 <= value < 1e6 else f"{value:.4g}"


def p_value(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"= {p:.2g}"
