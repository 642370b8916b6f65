"""BioASQ task B: {"questions": [{"id", "body", "type", "snippets", "exact_answer", "ideal_answer"}]}.

Of a round's golden file (bioasq.org) the yes/no questions are asked, over their snippets. The training
file of a year holds the golden files of the years before, so that the same question can be given twice.
"""

from typing import Any

from medlm_recipes.evaluation.originals.record import LeftOut, Original, Raw, Read, Unfit, field_of, question

_OPTIONS = {"A": "yes", "B": "no"}


def reader(original: Original) -> Read:
    of_test = {raw.fields.get("id") for raw in original.records.get("test", ()) if isinstance(raw.fields, dict)}
    read_before: dict[tuple[str, str], Any] = {}

    def read(split: str, raw: Raw) -> dict[str, Any] | LeftOut:
        kind, identifier = field_of(raw, "type"), field_of(raw, "id")
        if kind != "yesno":
            return LeftOut(f"type_{kind}")
        if split != "test" and identifier in of_test:
            return LeftOut("in_test")
        made = question(
            identifier,
            field_of(raw, "body"),
            _OPTIONS,
            _letter(raw.fields.get("exact_answer")),
            context="\n".join(_snippets(raw)),
            explanation=_first_text(raw.fields.get("ideal_answer")),
        )
        if read_before.setdefault((split, identifier), made) == made and made is not read_before[split, identifier]:
            return LeftOut("given_twice")  # the same in every respect; anything else is two records of one id
        return made

    return read


def _letter(answer: Any) -> str:
    """Of "yes", or of ["yes"], as some rounds write it."""
    said = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
    for letter, text in _OPTIONS.items():
        if isinstance(said, str) and said.strip().lower() == text:
            return letter
    raise Unfit(f"exact_answer is {answer!r}, not yes or no")


def _snippets(raw: Raw) -> list[str]:
    snippets = raw.fields.get("snippets") or []
    texts = [one.get("text") if isinstance(one, dict) else None for one in snippets]
    if not all(isinstance(text, str) for text in texts):
        raise Unfit("a snippet has no text")
    return [str(text) for text in texts]


def _first_text(answers: Any) -> str:
    """The first of several experts' answers, or the only one."""
    first = answers[0] if isinstance(answers, list) and answers else answers
    return first if isinstance(first, str) else ""
