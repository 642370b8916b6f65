"""What the model answers to each question, on one or several ranks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from lm_eval.utils import hash_string

from medlm_recipes.evaluation.extraction import extract
from medlm_recipes.evaluation.prompts import Prompt, Prompter
from medlm_recipes.evaluation.task import generates
from medlm_recipes.parallel.agreement import succeed_together


@dataclass
class Answer:
    """The answer to one question under one seed.

    number: of the question, from 0. demonstrations, dropped: how many were shown, and how many more there was
    no room for. prediction: a letter, or None for a question that is too long or whose
    texts hold no readable answer. scores: metric -> 0 or 1; no prediction is wrong. log_likelihoods: one
    an option, in nats. texts, letters: what was generated, and the answer read from each.
    """

    number: int
    seed: int
    prompt_hash: str
    demonstrations: int
    dropped: int
    too_long: bool
    prediction: str | None
    scores: dict[str, float]
    log_likelihoods: list[float] | None = None
    texts: list[str] | None = None
    letters: list[str | None] | None = None


def answer_all(prompter: Prompter, shown: dict[int, list[dict[str, Any]]]) -> list[Answer] | None:
    """Answers to all questions by seed, then by question, on rank 0 (a backend that deals requests over the ranks
    itself is rank 0 of 1 everywhere); None on the others.

    shown: seed -> its demonstrations. Each question is answered once.
    Raises ConfigError on every rank when any rank cannot render its prompts.
    """
    subject = prompter.subject
    mine = range(subject.rank, len(prompter.questions), subject.world_size)
    prompts: list[Prompt] = []
    succeed_together(
        lambda: prompts.extend(
            prompt for seed, drawn in shown.items() for prompt in prompter.prompts(drawn, seed, mine)
        )
    )
    requests = list(chain.from_iterable(prompt.requests for prompt in prompts))
    ask = subject.generate_until if generates(prompter.config) else subject.loglikelihood
    replies = iter(ask(requests) if requests else [])
    answers = [_answer(prompter, prompt, [next(replies) for _ in prompt.requests]) for prompt in prompts]
    everyone = subject.gather_object(answers, dst=0)
    if subject.rank != 0:
        return None
    order = {seed: at for at, seed in enumerate(shown)}
    return sorted(chain.from_iterable(everyone), key=lambda answer: (order[answer.seed], answer.number))


def vote(letters: Sequence[str | None]) -> str | None:
    """The letter read from most texts; of equally many the one that was read first. None when none was read."""
    counts = Counter(letter for letter in letters if letter is not None)
    return counts.most_common(1)[0][0] if counts else None  # Counter keeps the order of first sight


def _answer(prompter: Prompter, prompt: Prompt, replies: list[Any]) -> Answer:
    question = prompter.questions[prompt.number]
    what: dict[str, Any] = {}
    if generates(prompter.config):
        if not prompt.is_too_long:
            letters = [extract(text, question["options"]) for text in replies]
            what = {"texts": replies, "letters": letters, "prediction": vote(letters)}
        scores = {"acc": float(what.get("prediction") == question["answer_idx"])}
    elif prompt.is_too_long:
        scores = dict.fromkeys(prompter.metrics, 0.0)
    else:
        scores = prompter.task.process_results(prompter.documents[prompt.number], replies)
        likelihoods = [float(likelihood) for likelihood, _ in replies]
        likeliest = max(range(len(replies)), key=likelihoods.__getitem__)  # of equals the first, as lm-eval's argmax
        what = {"log_likelihoods": likelihoods, "prediction": list(question["options"])[likeliest]}
    return Answer(
        number=prompt.number,
        seed=prompt.seed,
        prompt_hash=hash_string(prompt.context),
        demonstrations=prompt.demonstrations,
        dropped=prompt.dropped,
        too_long=prompt.is_too_long,
        prediction=what.pop("prediction", None),
        scores={name: float(value) for name, value in scores.items()},
        **what,
    )
