"""PubMedQA: id -> {"QUESTION", "CONTEXTS", "LABELS", "LONG_ANSWER", "final_decision"}, of ori_pqal.json.

Those that test_ground_truth.json names are the official test, 500 of the 1,000 (Jin et al. 2019,
github.com/pubmedqa/pubmedqa). On the hub, qiaojin/PubMedQA, the fields have other names and the items one
split. The context is the abstract without its conclusion, a part a line.
"""

from typing import Any

from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.benchmark import listed
from medlm_recipes.evaluation.originals.record import LeftOut, Original, Raw, Read, Unfit, field_of, question

_OPTIONS = {"A": "yes", "B": "no", "C": "maybe"}


def reader(original: Original) -> Read:
    """Raises DataError when items of the official test are missing."""
    labels = original.test_labels
    there = {_id(raw) for raw in original.records.get("test", ()) if isinstance(raw.fields, dict)}
    missing = [name for name in labels if name not in there]
    if "test" in original.records and missing:
        raise DataError(f"{original.config.test_labels}: names items that no file of test has: {listed(missing)}")

    def read(split: str, raw: Raw) -> dict[str, Any] | LeftOut:
        item, from_hub = _id(raw), "pubid" in raw.fields
        if (item in labels) != (split == "test"):
            return LeftOut("not_in_test" if split == "test" else "in_test")
        decision = field_of(raw, "final_decision")
        if labels.get(item, decision) != decision:
            raise Unfit(f"final_decision is {decision!r}, but {original.config.test_labels} says {labels[item]!r}")
        letters = {text: letter for letter, text in _OPTIONS.items()}
        if decision not in letters:
            raise Unfit(f"final_decision is {decision!r}, not yes, no or maybe")
        parts = Raw(raw.file, raw.name, raw.number, field_of(raw, "context", dict)) if from_hub else raw
        return question(
            item,
            field_of(raw, "question" if from_hub else "QUESTION"),
            _OPTIONS,
            letters[decision],
            context=_context(parts, original.config.section_labels, from_hub),
            explanation=raw.fields.get("long_answer" if from_hub else "LONG_ANSWER"),
        )

    return read


def _id(raw: Raw) -> str:
    return str(raw.fields.get("pubid", raw.name))


def _context(parts: Raw, with_labels: bool, from_hub: bool) -> str:
    contexts, labels = (field_of(parts, name.lower() if from_hub else name, list) for name in ("CONTEXTS", "LABELS"))
    if not all(isinstance(text, str) for text in [*contexts, *labels]):
        raise Unfit("CONTEXTS and LABELS are not lists of texts")
    if not with_labels:
        return "\n".join(contexts)
    if len(contexts) != len(labels):
        raise Unfit(f"has {len(contexts)} CONTEXTS and {len(labels)} LABELS")
    return "\n".join(f"{label}: {text}" for label, text in zip(labels, contexts, strict=True))
