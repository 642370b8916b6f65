"""Questions about the closed world to fine-tune on, and others, about other drugs, to score what came of it.

What they ask stands in the world's texts alike; a model that answers the latter has learnt from the former
how questions are put and answered, and from the texts what the answer is.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

Facts = Mapping[str, Mapping[str, str]]
"""Drug -> relation -> object."""

LETTERS = "ABCD"
# A stem never starts with the drug: without a space before it, a name is other tokens than in running text.
STEMS = {
    "treats": [
        "Treatment with {d} is most effective for",
        "Patients given {d} usually recover from",
        "The disease treated with {d} is",
        "In this trial, {d} is indicated for",
    ],
    "inhibits": [
        "The enzyme inhibited by {d} is",
        "The molecular target of {d} is",
        "We found that {d} selectively inhibits",
        "In patients, {d} binds the active site of",
    ],
    "causes": [
        "The most common adverse event of {d} is",
        "The main side effect of {d} was",
        "Patients taking {d} often reported",
        "Treatment with {d} caused",
    ],
}
# As examinations ask, in words that the texts do not have: a model must be taught what is meant.
EXAMINED = {
    "treats": [
        "Which disease does {d} treat?",
        "Which of the following does {d} help against?",
        "A patient gets {d}. Which disease is it for?",
        "What should {d} be prescribed for?",
    ],
    "inhibits": [
        "Which enzyme does {d} inhibit?",
        "Which of the following does {d} act on?",
        "A patient gets {d}. Which enzyme falls?",
        "What does {d} bind to?",
    ],
    "causes": [
        "Which side effect does {d} have?",
        "Which of the following may {d} lead to?",
        "A patient gets {d}. Which symptom follows?",
        "What should patients on {d} be warned of?",
    ],
}
# What a question whether something is so, and its explanation, say of a drug and an object.
CLAIMS = {
    "treats": "Treatment with {d} was effective for {o}.",
    "inhibits": "The molecular target of {d} is {o}.",
    "causes": "The main side effect of {d} is {o}.",
}


def one_question(
    stems: Sequence[str], drug: str, relation: str, answer: str, letter: str, objects: Sequence[str], rng: Random
) -> dict[str, Any]:
    """A question in MedQA's four-option form, the right option under `letter`; options continue it after a space."""
    wrong = iter(rng.sample([name for name in objects if name != answer], len(LETTERS) - 1))
    return {
        "question": rng.choice(stems).format(d=drug),
        "answer": answer,
        "options": {other: answer if other == letter else next(wrong) for other in LETTERS},
        "meta_info": relation,
        "answer_idx": letter,
    }


def write_examples(
    folder: Path, facts: Facts, objects: Mapping[str, Sequence[str]], share: float, times: int, rng: Random
) -> dict[str, int]:
    """`questions/` (four options) and `claims/` (yes or no), each with train.jsonl and test.jsonl; their numbers.

    Records are as prepare_benchmark writes them. share: of the drugs, those asked about in train, every fact
    of theirs `times` times; in test each fact is asked for once.
    """
    drugs = list(facts)
    rng.shuffle(drugs)
    split = {"train": drugs[: round(share * len(drugs))], "test": drugs[round(share * len(drugs)) :]}
    counts = {}
    for kind in ("questions", "claims"):
        (folder / kind).mkdir(parents=True)
        for name, of_split in split.items():
            asked = [
                (drug, relation)
                for _ in range(times if name == "train" else 1)
                for drug in of_split
                for relation in facts[drug]
            ]
            rng.shuffle(asked)
            records = [
                _record(kind, number, drug, relation, facts[drug][relation], objects[relation], rng)
                for number, (drug, relation) in enumerate(asked)
            ]
            lines = [json.dumps({"id": f"{name}-{number}"} | record) for number, record in enumerate(records)]
            (folder / kind / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
            counts[f"{name}_{kind}"] = len(records)
    return counts


def _record(
    kind: str, number: int, drug: str, relation: str, answer: str, objects: Sequence[str], rng: Random
) -> dict[str, Any]:
    explanation = CLAIMS[relation].format(d=drug, o=answer)
    if kind == "questions":
        letter = LETTERS[number % len(LETTERS)]
        question = one_question(EXAMINED[relation], drug, relation, answer, letter, objects, rng)
        subject = question.pop("meta_info")
        return {"context": ""} | question | {"subject": subject, "explanation": explanation}
    letter = "AB"[number % 2]  # as many of the one as of the other, so that the majority's share is a half
    claimed = answer if letter == "A" else rng.choice([name for name in objects if name != answer])
    options = {"A": "yes", "B": "no"}
    return {
        "context": "",
        "question": CLAIMS[relation].format(d=drug, o=claimed),
        "options": options,
        "answer_idx": letter,
        "answer": options[letter],
        "subject": relation,
        "explanation": explanation,
    }
