"""MedQA, US: {"question", "options": {letter: text}, "answer_idx", "answer", "meta_info"} a line.

The 5-option form is US/{train,dev,test}.jsonl, the 4-option form US/4_options/phrases_no_exclude_*.jsonl
(Jin et al. 2021, github.com/jind11/MedQA). Records have no ids: they are called by split and number.
"""

from typing import Any

from medlm_recipes.evaluation.originals.record import Original, Raw, Read, Unfit, field_of, question


def reader(original: Original) -> Read:
    def read(split: str, raw: Raw) -> dict[str, Any]:
        # The hub's tables have every letter in every row, null where the question has no such option.
        options = {letter: text for letter, text in field_of(raw, "options", dict).items() if text is not None}
        letter, answer = field_of(raw, "answer_idx"), field_of(raw, "answer")
        if letter in options and options[letter] != answer:
            raise Unfit(f"answer is not the text of option {letter}")
        step = raw.fields.get("meta_info")  # step1, or step2&3, of the USMLE
        return question(f"{split}-{raw.number}", field_of(raw, "question"), options, letter, subject=step)

    return read
