"""MedMCQA: {"id", "question", "opa" to "opd", "cop", "exp", "subject_name", "choice_type"} a line.

cop counts from 1 in the authors' train.json and dev.json (Pal et al. 2022, medmcqa.github.io) and from 0
in the hub's openlifescienceai/medmcqa. choice_type multi says that the question asks to weigh several
statements; cop names one option for these too.
"""

from collections.abc import Sequence
from typing import Any

from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.originals.record import LETTERS, Original, Raw, Read, Unfit, field_of, question

_OPTIONS = ("opa", "opb", "opc", "opd")


def reader(original: Original) -> Read:
    """Raises DataError for a split without labels, and for one that does not tell from what they count."""
    first = {split: _first_label(split, raws, original.config.first_label) for split, raws in original.records.items()}

    def read(split: str, raw: Raw) -> dict[str, Any]:
        label = field_of(raw, "cop", int) - first[split]
        if not 0 <= label < len(_OPTIONS):
            raise Unfit(f"cop is {raw.fields['cop']}, not one of {first[split]} to {first[split] + 3}")
        return question(
            field_of(raw, "id"),
            field_of(raw, "question"),
            {letter: field_of(raw, name) for letter, name in zip(LETTERS, _OPTIONS, strict=False)},
            LETTERS[label],
            subject=raw.fields.get("subject_name"),
            explanation=raw.fields.get("exp"),
        )

    return read


def _first_label(split: str, raws: Sequence[Raw], given: int | None) -> int:
    """What cop is for option A."""
    of_label: dict[Any, Raw] = {}
    for raw in raws:
        label = raw.fields.get("cop") if isinstance(raw.fields, dict) else None
        if isinstance(label, int):
            of_label.setdefault(label, raw)
    if not of_label.keys() - {-1}:
        raise DataError(
            f"{split}: none of its {len(raws):,} records has a label (cop): the authors keep those of test.json to "
            "themselves, and papers report dev.json"
        )
    if given is not None:
        return given
    if 0 in of_label and 4 in of_label:
        raise DataError(
            f"{split}: cop is 0 in {of_label[0].place} and 4 in {of_label[4].place}, so it counts neither from 0 nor "
            "from 1; are these files of two distributions?"
        )
    if 0 not in of_label and 4 not in of_label:
        raise DataError(
            f"{split}: cop is never 0 and never 4, so nothing tells whether it counts from 0 or from 1; set "
            "first_label=1 for the authors' files, first_label=0 for the hub's"
        )
    return 0 if 0 in of_label else 1
