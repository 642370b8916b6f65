"""What the records of an original become: questions, what is left out and why, what is odd; or one message."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medlm_recipes.config.benchmark import BenchmarkConfig
from medlm_recipes.corpus.cleaning.words import hash64
from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.benchmark import asked, fault_of, has_equal_options, listed
from medlm_recipes.evaluation.originals.record import LeftOut, Original, Raw, Read, Unfit

Question = dict[str, Any]

_BY_RECIPE = "by_recipe"


@dataclass
class Checked:
    """questions: of each split, in the original's order. left_out, oddities: lines of the files beside them."""

    questions: dict[str, list[Question]] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)
    oddities: list[dict[str, str]] = field(default_factory=list)

    def counts(self, of: Sequence[Mapping[str, str]], what: str) -> dict[str, dict[str, int]]:
        """By split and `what` (reason, oddity), of left_out or oddities."""
        counts: dict[str, Counter[str]] = {}
        for line in of:
            counts.setdefault(line["split"], Counter())[line[what]] += 1
        return {split: dict(sorted(one.items())) for split, one in counts.items()}


def check(original: Original, read: Read) -> Checked:
    """The questions of every split.

    Raises DataError that lists the first records that are unfit or have another's id, and for a split with
    another number of questions, or more repeats, than the recipe allows.
    """
    config, checked = original.config, Checked()
    problems: list[str] = []
    of_split: dict[str, list[tuple[Raw, LeftOut]]] = {}
    used: set[tuple[str, str]] = set()
    for split, raws in original.records.items():
        of_split[split] = []
        ids: dict[str, Raw] = {}
        for raw in raws:
            try:
                made = LeftOut(_BY_RECIPE) if raw.place in config.leave_out else _read(read, split, raw)
                if isinstance(made, LeftOut):
                    of_split[split].append((raw, made))
                    continue
                before = ids.setdefault(made["id"], raw)
                if before is not raw:
                    raise Unfit(f"has the id of {before.place}")
            except Unfit as unfit:
                problems.append(f"{split}: {raw.place}: {unfit}")
                continue
            used.add((raw.file, raw.name))
            checked.questions.setdefault(split, []).append(made)
    if problems:
        raise DataError(
            f"{len(problems):,} unfit records: {listed(problems)}; fetch the files again, mend them, or name them in "
            "leave_out"
        )
    _check_left_out(of_split, config)
    # PubMedQA's one file makes two splits: what is left out of one stands in the other.
    checked.left_out = [
        {"split": split, "file": raw.file, "record": raw.name, "reason": left_out.reason}
        for split, every in of_split.items()
        for raw, left_out in every
        if (raw.file, raw.name) not in used
    ]
    _divide(checked, config)
    _check_counts(checked, config, original)
    checked.oddities = list(_oddities(checked.questions))
    _check_repeats(checked, config)
    return checked


def _check_left_out(of_split: Mapping[str, Sequence[tuple[Raw, LeftOut]]], config: BenchmarkConfig) -> None:
    there = {raw.place for every in of_split.values() for raw, left_out in every if left_out.reason == _BY_RECIPE}
    unknown = [place for place in config.leave_out if place not in there]
    if unknown:
        raise DataError(f"leave_out: no record is called {listed(unknown)}; write file:item, as messages do")


def _read(read: Read, split: str, raw: Raw) -> Question | LeftOut:
    if not isinstance(raw.fields, dict):
        raise Unfit("is not an object")
    made = read(split, raw)
    what = None if isinstance(made, LeftOut) else fault_of(made)
    if what:
        raise Unfit(what)
    return made


def _divide(checked: Checked, config: BenchmarkConfig) -> None:
    """Move what the recipe asks for from train to validation."""
    count, train = config.validation_from_train, checked.questions.get("train", [])
    if not count:
        return
    if count >= len(train):
        raise DataError(f"validation_from_train: {count:,} of train's {len(train):,} questions would leave none there")
    by_hash = sorted(train, key=lambda question: hash64(f"{config.seed}:{question['id']}"))
    chosen = {question["id"] for question in by_hash[:count]}
    checked.questions["validation"] = [question for question in train if question["id"] in chosen]
    checked.questions["train"] = [question for question in train if question["id"] not in chosen]


def _check_counts(checked: Checked, config: BenchmarkConfig, original: Original) -> None:
    problems = []
    for split in dict.fromkeys([*original.records, *checked.questions]):
        there = len(checked.questions.get(split, []))
        expected = getattr(config.expected, split)
        if expected is not None and there != expected:
            problems.append(f"{split} has {there:,} questions, not {expected:,} (expected.{split}={there} for these)")
        elif not there:
            problems.append(f"{split} has no questions")
    if problems:
        left_out = checked.counts(checked.left_out, "reason")
        aside = f"; left out: {left_out}" if left_out else ""
        raise DataError(f"{', '.join(config.inputs)}: {'; '.join(problems)}{aside}; give the whole original")


def _oddities(questions: Mapping[str, Sequence[Question]]) -> Iterator[dict[str, str]]:
    """What the original is known or found to hold and no question is left out for."""
    in_test = {asked(question): question["id"] for question in questions.get("test", [])}
    for split, every in questions.items():
        first: dict[Any, Question] = {}
        has_context = any(question["context"] for question in every)
        for question in every:
            line = {"split": split, "id": question["id"]}
            before = first.setdefault(asked(question), question)
            if before is not question:
                same = before["answer"].lower() == question["answer"].lower()
                yield line | {"oddity": "repeated" if same else "repeated_with_another_answer", "of": before["id"]}
            if split != "test" and asked(question) in in_test:
                yield line | {"oddity": "asked_in_test", "of": in_test[asked(question)]}
            if has_equal_options(question):
                yield line | {"oddity": "equal_options"}
            if has_context and not question["context"].strip():
                yield line | {"oddity": "no_context"}


def _check_repeats(checked: Checked, config: BenchmarkConfig) -> None:
    for split in checked.questions:
        repeats = [
            f"{line['id']} repeats {line['of']}"
            for line in checked.oddities
            if line["split"] == split and line["oddity"].startswith("repeated")
        ]
        allowed = getattr(config.repeats, split)
        if allowed is not None and len(repeats) > allowed:
            raise DataError(
                f"{split}: {len(repeats):,} questions are asked again with the same options, {allowed:,} may be: "
                f"{listed(repeats)}; remove them, or set repeats.{split}={len(repeats)} if the original holds them"
            )
