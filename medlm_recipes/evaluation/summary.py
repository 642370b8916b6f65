"""What was answered, how sure the score is, and what it lacks: the contents of results.json and samples.jsonl."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from medlm_recipes.evaluation.answers import Answer
from medlm_recipes.evaluation.contamination import Contamination
from medlm_recipes.evaluation.intervals import estimate, p_above
from medlm_recipes.evaluation.results import METRIC


def summarize(answers: Sequence[Answer], questions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The scores of all answers and what they lack: the part of results.json that rests on the answers.

    A score's value is the mean over seeds; its error and interval are over questions.
    """
    seeds = list(dict.fromkeys(answer.seed for answer in answers))
    by_seed = {seed: [answer for answer in answers if answer.seed == seed] for seed in seeds}
    assert all([answer.number for answer in own] == list(range(len(questions))) for own in by_seed.values())
    chance = sum(1 / len(question["options"]) for question in questions) / len(questions)
    scores = {}
    for metric in answers[0].scores:
        of_seed = {seed: [answer.scores[metric] for answer in own] for seed, own in by_seed.items()}
        means = np.mean(list(of_seed.values()), axis=0).tolist()
        scores[metric] = asdict(estimate(means)) | {"p_above_chance": p_above(means, chance)}
        if len(seeds) > 1:
            values = {str(seed): float(np.mean(own)) for seed, own in of_seed.items()}
            scores[metric] |= {"seeds": values, "seeds_std": float(np.std(list(values.values()), ddof=1))}
    return {
        "n": len(questions),
        "chance": chance,
        "metric": METRIC,
        "scores": scores,
        **_gaps(answers, questions),
        "subjects": _by_subject(questions, question_scores(answers)),
    }


def question_scores(answers: Iterable[Answer]) -> list[float]:
    """The main score of each question, by number: the mean over seeds."""
    collected: dict[int, list[float]] = {}
    for answer in answers:
        collected.setdefault(answer.number, []).append(answer.scores[METRIC])
    return [float(np.mean(collected[number])) for number in sorted(collected)]


def _gaps(answers: Sequence[Answer], questions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What kept questions from being answered as they were meant to be."""
    letters = [letter for answer in answers for letter in answer.letters or []]
    cut = [answer.dropped for answer in answers if answer.dropped and not answer.too_long]
    too_long = sorted({answer.number for answer in answers if answer.too_long})
    return {
        "unparsed_rate": letters.count(None) / len(letters) if letters else 0.0,
        "unanswered": sum(answer.prediction is None for answer in answers) / len(answers),
        "too_long": {"questions": len(too_long), "ids": [questions[number]["id"] for number in too_long]},
        "demonstrations_dropped": {"prompts": len(cut), "demonstrations": sum(cut)},
    }


def subset(scores: Sequence[float], numbers: Sequence[int]) -> dict[str, Any] | None:
    """The main score on some of the questions; None of none."""
    if not numbers:
        return None
    found = estimate([scores[number] for number in numbers])
    return {"n": len(numbers), "value": found.value, "interval": found.interval, "interval_by": found.interval_by}


def by_contamination(
    found: Contamination, answers: Iterable[Answer], questions: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The main score on the questions that stand in the training data, and on those that do not."""
    scores, ids = question_scores(answers), set(found.contaminated())
    inside = [number for number, question in enumerate(questions) if question["id"] in ids]
    outside = [number for number, question in enumerate(questions) if question["id"] not in ids]
    return {
        "share": len(inside) / len(questions),
        "contaminated": subset(scores, inside),
        "clean": subset(scores, outside),
        "ids": [questions[number]["id"] for number in inside],
        "too_short_to_tell": len(found.too_short()),
        "threshold": found.threshold,
        "words": found.words,
    }


def _by_subject(questions: Sequence[dict[str, Any]], scores: Sequence[float]) -> dict[str, Any]:
    numbers: dict[str, list[int]] = {}
    for number, question in enumerate(questions):
        numbers.setdefault(question["subject"], []).append(number)
    if set(numbers) == {""}:
        return {}
    return {name or "none": subset(scores, own) for name, own in sorted(numbers.items())}


def validity(results: dict[str, Any], max_unparsed: float) -> dict[str, Any]:
    """`valid`, and `invalid_because` where too many questions have no readable answer."""
    found = max(results["unparsed_rate"], results["unanswered"])
    if found <= max_unparsed:
        return {"valid": True}
    why = (
        f"{results['unparsed_rate']:.1%} of the generated texts hold no readable answer and "
        f"{results['unanswered']:.1%} of the questions are unanswered "
        f"({results['too_long']['questions']} too long for the model); max_unparsed allows {max_unparsed:.1%}"
    )
    return {"valid": False, "invalid_because": why}


def sample_lines(answers: Iterable[Answer], questions: Sequence[dict[str, Any]]) -> Iterable[str]:
    """One line of samples.jsonl an answer: with several seeds a question has a line for each."""
    for answer in answers:
        question = questions[answer.number]
        line: dict[str, Any] = {
            "index": answer.number,
            "id": question["id"],
            "seed": answer.seed,
            "subject": question["subject"],
            "question": question["question"],
            "prompt_hash": answer.prompt_hash,
            "demonstrations": answer.demonstrations,
            "too_long": answer.too_long,
            "prediction": answer.prediction,
            "target": question["answer_idx"],
            **answer.scores,
        }
        if answer.log_likelihoods is not None:
            line["log_likelihoods"] = answer.log_likelihoods
        if answer.letters is not None:
            line |= {"texts": answer.texts, "letters": answer.letters, "parsed": answer.prediction is not None}
        yield json.dumps(line, ensure_ascii=False) + "\n"
