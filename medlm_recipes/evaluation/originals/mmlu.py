"""MMLU: <subject>_{dev,val,test}.csv without a header: question, four choices, a letter.

(Hendrycks et al. 2021, github.com/hendrycks/test.) On the hub, cais/mmlu, a record names its subject and
answer is a number from 0. Ids are subject, split and number in the subject, the same from both.
"""

from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from medlm_recipes.config.fields import did_you_mean
from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.originals.record import LETTERS, LeftOut, Original, Raw, Read, Unfit, field_of, question

_ENDINGS = ("_dev", "_val", "_test")


def reader(original: Original) -> Read:
    """Raises DataError when a split lacks one of config.subjects."""
    config = original.config
    numbers: dict[tuple[str, int], int] = {}  # by split and number there, the number in the subject
    for split, raws in original.records.items():
        there: Counter[str] = Counter()
        for raw in raws:
            there[subject_of(raw)] += 1
            numbers[split, raw.number] = there[subject_of(raw)]
        for subject in config.subjects:
            if subject not in there:
                raise DataError(
                    f"{split}: has no questions of {subject}{did_you_mean(subject, there)}; give the missing files, or "
                    f"name the subjects that there are: subjects=[{','.join(sorted(there))}]"
                )

    def read(split: str, raw: Raw) -> dict[str, Any] | LeftOut:
        subject = subject_of(raw)
        if subject not in config.subjects:
            return LeftOut("other_subject")
        number = numbers[split, raw.number]
        if number == 1 and not config.first_rows:
            return LeftOut("first_row")
        choices = field_of(raw, "choices", list)
        if len(choices) != 4:
            raise Unfit(f"has {len(choices)} choices instead of 4")
        answer = field_of(raw, "answer", (str, int))
        letter = LETTERS[answer] if isinstance(answer, int) and 0 <= answer < 4 else answer
        if letter not in tuple(LETTERS[:4]):
            raise Unfit(f"answer is {answer!r}, not one of A, B, C, D")
        options = dict(zip(LETTERS, choices, strict=False))
        return question(f"{subject}-{split}-{number}", field_of(raw, "question"), options, letter, subject=subject)

    return read


def subject_of(raw: Raw) -> str:
    """From the record, or from the name of its file."""
    if isinstance(raw.fields, dict) and isinstance(raw.fields.get("subject"), str):
        return str(raw.fields["subject"])
    stem = PurePosixPath(raw.file).stem
    return next((stem.removesuffix(ending) for ending in _ENDINGS if stem.endswith(ending)), stem)
