"""prepare_benchmark: the original files of a benchmark to checked questions, with hashes and counts."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medlm_recipes.config.benchmark import SPLITS, BenchmarkConfig
from medlm_recipes.config.loading import resolved
from medlm_recipes.evaluation.benchmark import STAGE
from medlm_recipes.evaluation.originals import bioasq, medmcqa, medqa, mmlu, pubmedqa
from medlm_recipes.evaluation.originals.checking import Checked, Question, check
from medlm_recipes.evaluation.originals.finding import find_files, read_original
from medlm_recipes.manifest import Manifest, decisive, hash_file, publish

LEFT_OUT = "left_out.jsonl"
ODDITIES = "oddities.jsonl"

_READERS = {
    "medqa": medqa.reader,
    "medmcqa": medmcqa.reader,
    "pubmedqa": pubmedqa.reader,
    "mmlu": mmlu.reader,
    "bioasq": bioasq.reader,
}


def prepare_benchmark(config: BenchmarkConfig, dry_run: bool) -> None:
    """Publish <split>.jsonl of every split, and left_out.jsonl and oddities.jsonl where there is such.

    Raises DataError for files that are missing, damaged or of another form, unfit records, and a split of
    another size than the recipe expects.
    """
    found = find_files(config)
    original = read_original(config, found)
    checked = check(original, _READERS[config.format](original))
    print("\n".join(_summary(config, checked)), flush=True)
    if dry_run:
        return
    # What the other paths name is among the inputs, with its hash.
    decides = decisive(resolved(config), leave_out=("inputs", "out", "test_labels"))
    with publish(config.out, Manifest(STAGE, decides, found.digests(), facts := {})) as folder:
        if folder is None:
            return
        facts["splits"] = {
            split: _facts(checked.questions[split], _write(folder / f"{split}.jsonl", checked.questions[split]))
            for split in _made(checked)
        }
        for name, lines, what in ((LEFT_OUT, checked.left_out, "reason"), (ODDITIES, checked.oddities, "oddity")):
            facts[Path(name).stem] = checked.counts(lines, what)
            if lines:
                _write(folder / name, lines)
    print(f"{config.out}: done")


def _made(checked: Checked) -> list[str]:
    return [split for split in SPLITS if split in checked.questions]


def _write(path: Path, lines: Sequence[Mapping[str, Any]]) -> str:
    """sha256 of the file that is written."""
    with open(path, "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return hash_file(path)


def _facts(questions: Sequence[Question], digest: str) -> dict[str, Any]:
    return {
        "questions": len(questions),
        "sha256": digest,
        "answers": _tally(question["answer_idx"] for question in questions),
        "options": _tally(str(len(question["options"])) for question in questions),
        "subjects": _tally(question["subject"] for question in questions if question["subject"]),
        "with_context": sum(bool(question["context"]) for question in questions),
        "with_explanation": sum(bool(question["explanation"]) for question in questions),
    }


def _tally(values: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _summary(config: BenchmarkConfig, checked: Checked) -> Iterator[str]:
    """Lines for people."""
    left_out, oddities = checked.counts(checked.left_out, "reason"), checked.counts(checked.oddities, "oddity")
    for split in _made(checked):
        questions = checked.questions[split]
        expected = getattr(config.expected, split)
        answers = ", ".join(f"{letter} {count:,}" for letter, count in _facts(questions, "")["answers"].items())
        asserted = "as expected" if expected is not None else "their number is not asserted"
        yield f"{split}: {len(questions):,} questions, {asserted}; answers: {answers}"
        for name, counts in ((LEFT_OUT, left_out), (ODDITIES, oddities)):
            if counts.get(split):
                yield f"  {name}: " + ", ".join(f"{what} {count:,}" for what, count in counts[split].items())
    absent = [split for split in SPLITS if split not in checked.questions]
    if absent:
        yield f"not made: {', '.join(absent)}"
