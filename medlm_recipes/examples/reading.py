"""Files of examples to Examples; what is unsound comes as a Reject with its reason."""

from collections.abc import Callable, Iterator, Sequence
from string import ascii_uppercase
from typing import Any

from medlm_recipes.corpus.compressed import read_lines
from medlm_recipes.corpus.document import Reject
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.json_lines import content_id, read_json_lines
from medlm_recipes.errors import DataError
from medlm_recipes.examples.records import Conversation, Example, Pair, Question
from medlm_recipes.tokenization.chatml import ANSWER, ROLES

Record = dict[str, Any]

_MOST_OPTIONS = len(ascii_uppercase)


def read_examples(file: InputFile, form: str, labels: Sequence[str]) -> Iterator[Example | Reject]:
    """The examples of a file of the form that `config.examples` describes.

    labels: form classification: the options of every question. Raises DataError for a missing or damaged file.
    """
    if form == "pairs":
        return _read_pairs(file)
    if form == "classification":
        return read_json_lines(file, lambda record: _read_labelled(record, labels))
    return read_json_lines(file, _READERS[form])


def label_of(record: Record) -> str | None:
    """The label of a classification's record as text; None when it has none."""
    label = record.get("label")
    return str(label) if isinstance(label, str | int) and str(label).strip() else None


def _read_benchmark(record: Record) -> Question | str:
    options, letter = record.get("options"), record.get("answer_idx")
    if not isinstance(options, dict) or not all(isinstance(text, str) and text for text in options.values()):
        return "no_options"
    if len(options) < 2:
        return "fewer_than_two_options"
    if not isinstance(letter, str) or letter not in options:
        return "answer_is_no_option"
    question, context, explanation = (_text(record, name) for name in ("question", "context", "explanation"))
    if not question:
        return "no_question"
    return Question(_id(record), question, options, letter, context, explanation)


def _read_multiple_choice(record: Record) -> Question | str:
    endings = [record.get(f"ending{number}") for number in range(_MOST_OPTIONS)]
    given = [text for text in endings if isinstance(text, str) and text]
    if len(given) < 2 or given != endings[: len(given)]:
        return "no_options"
    try:
        right = int(record["label"])  # BioMedLM's own loader takes "2" too
    except (KeyError, TypeError, ValueError):
        return "no_label"
    if not 0 <= right < len(given):
        return "answer_is_no_option"
    question, lead = _text(record, "sent1"), _text(record, "sent2")
    if not question:
        return "no_question"
    options = dict(zip(ascii_uppercase, given, strict=False))
    return Question(_id(record), question, options, ascii_uppercase[right], lead=lead)


def _read_labelled(record: Record, labels: Sequence[str]) -> Question | str:
    label, question, context = label_of(record), _text(record, "sentence1"), _text(record, "sentence2")
    if label is None:
        return "no_label"
    if label not in labels:
        return "unknown_label"
    if not question:
        return "no_question"
    return Question(_id(record), question, by_letter(labels), ascii_uppercase[labels.index(label)], context)


def by_letter(labels: Sequence[str]) -> dict[str, str]:
    return dict(zip(ascii_uppercase, labels, strict=False))


def _read_chat(record: Record) -> Conversation | str:
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        return "no_messages"
    read = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            return "message_without_content"
        if message.get("role") not in ROLES:
            return "unknown_role"
        read.append((ROLES[message["role"]], message["content"].strip()))
    if read[-1][0] != ANSWER or not read[-1][1]:
        return "no_answer_at_the_end"
    if len(read) < 2:
        return "no_question"
    return Conversation(_id(record), tuple(read))


_READERS: dict[str, Callable[[Record], Example | str]] = {
    "benchmark": _read_benchmark,
    "multiple_choice": _read_multiple_choice,
    "chat": _read_chat,
}


def _read_pairs(file: InputFile) -> Iterator[Pair | Reject]:
    """file: the sources; the targets stand beside it."""
    targets = file.path.with_suffix(".target")
    sources, answers = dict(read_lines(file.path)), dict(read_lines(targets))
    if max(sources, default=0) != max(answers, default=0):
        raise DataError(
            f"{file.path}: has {max(sources, default=0):,} lines, but {targets} {max(answers, default=0):,}; a source "
            "and its target have the same line number"
        )
    for number in sorted(sources.keys() | answers.keys()):
        lines = [lines.get(number, b"") for lines in (sources, answers)]
        try:
            source, target = (line.decode().strip() for line in lines)
        except UnicodeDecodeError:
            yield Reject(file.name, f"line {number}", "not_utf8", lines[0].decode(errors="replace"))
            continue
        if not source or not target:
            yield Reject(file.name, f"line {number}", "no_target" if source else "no_source", source or target)
            continue
        yield Pair(f"{file.name}:{number}", source, target)


def _text(record: Record, name: str) -> str:
    text = record.get(name)
    return text.strip() if isinstance(text, str) else ""


def _id(record: Record) -> str:
    own = record.get("id")
    return str(own) if isinstance(own, str | int) and own != "" else content_id(repr(sorted(record.items())))
