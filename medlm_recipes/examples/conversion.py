"""The verb convert_examples_to_mds: files of examples to MDS streams of rows to fine-tune on."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from medlm_recipes.config.examples import ExamplesConfig
from medlm_recipes.config.loading import resolved
from medlm_recipes.corpus.cleaning.decontamination import CONTAMINATED
from medlm_recipes.corpus.document import Reject
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.json_lines import read_json_lines
from medlm_recipes.corpus.split import split_of
from medlm_recipes.errors import DataError
from medlm_recipes.examples.contamination import Contamination, benchmark_files, item_of, read_items
from medlm_recipes.examples.files import Sources, companions, find_sources
from medlm_recipes.examples.layout import LaidOut, Layout
from medlm_recipes.examples.reading import label_of, read_examples
from medlm_recipes.examples.records import Question, texts
from medlm_recipes.examples.writing import RowForm, StreamWriter
from medlm_recipes.manifest import Manifest, decisive, hash_file, publish
from medlm_recipes.progress import track
from medlm_recipes.shards.conversion import SPLITS, TOKENIZER_FOLDER, copy_tokenizer
from medlm_recipes.shards.tasks import row_tokens
from medlm_recipes.tokenization.loading import tokenizer_hash

REJECTED = "rejected"


@dataclass(frozen=True)
class Survey:
    """What a first look at the inputs tells. labels: of a classification. options: most of a question."""

    labels: list[str]
    options: int
    contamination: Contamination


def convert_examples_to_mds(config: ExamplesConfig, dry_run: bool) -> None:
    """Read, check, lay out and publish the examples of `config`.

    Rows are those of `shards.tasks`. Raises DataError for unfit inputs or tokenizer, and when nothing is
    left of a source.
    """
    sources = find_sources(config.inputs, config.format)
    against = benchmark_files(config.decontaminate)
    files = [one for of_source in sources.values() for file in of_source.values() for one in companions(file)]
    survey = _survey(config, sources, against)
    layout = _layout(config, survey)
    print(
        f"{len(sources)} sources for {config.task}, compared with {len(survey.contamination.items):,} test and "
        f"validation items; rows of {survey.options} x {config.sequence_length} tokens"
        + (f"; labels {', '.join(survey.labels)}" if survey.labels else "")
    )
    if dry_run:
        return
    tokenizer = tokenizer_hash(config.tokenizer)
    manifest = Manifest(
        stage="convert_examples_to_mds",
        config=decisive(resolved(config), leave_out=("inputs", "tokenizer", "out", "decontaminate"))
        | {"decontaminate": _compared(config)},
        inputs={file.name: hash_file(file.path) for file in files}
        | {f"against/{file.name}": hash_file(file.path) for file in against}
        | {"tokenizer": tokenizer},
    )
    with publish(config.out, manifest) as folder:
        if folder is None:
            return
        manifest.facts = _facts(config, survey, layout, tokenizer) | _convert(config, sources, survey, layout, folder)
        copy_tokenizer(Path(config.tokenizer), folder / TOKENIZER_FOLDER)
    _print_result(manifest.facts)
    print(f"{config.out}: done")


def _compared(config: ExamplesConfig) -> dict[str, Any]:
    """How examples are compared; with what stands in the manifest's inputs."""
    keys = config.decontaminate
    return {"words": keys.words, "share": keys.share} if keys else {}


def _survey(config: ExamplesConfig, sources: Sources, against: list[InputFile]) -> Survey:
    labels = _labels(config, sources)
    options = 1
    items = list(read_items(against))
    for files in sources.values():
        for split, file in files.items():
            for example in read_examples(file, config.format, labels):
                if isinstance(example, Reject):
                    continue
                if config.task == "multiple_choice" and isinstance(example, Question):
                    options = max(options, len(example.options))
                if split != "train":
                    items.append(item_of(file.name, example))
    return Survey(
        labels if config.task == "classification" else [], options, Contamination(items, config.decontaminate)
    )


def _labels(config: ExamplesConfig, sources: Sources) -> list[str]:
    """Those of the recipe, or of the train files, sorted; empty where no format or task has any."""
    if config.labels or (config.format != "classification" and config.task != "classification"):
        return config.labels
    found: set[str] = set()
    for files in sources.values():
        if config.format == "classification":
            read = read_json_lines(files["train"], lambda record: (label_of(record),))
            found |= {one[0] for one in read if isinstance(one, tuple) and one[0] is not None}
        else:
            for example in read_examples(files["train"], config.format, []):
                if isinstance(example, Question):
                    found |= set(example.options.values())
    if not 2 <= len(found) <= len(ascii_uppercase):
        raise DataError(
            f"{', '.join(config.inputs)}: a classification has 2 to {len(ascii_uppercase)} labels, but the train files "
            f"{len(found)} ({', '.join(sorted(found)[:5])}...); give labels=[...], or task=multiple_choice where "
            "questions have options of their own"
        )
    return sorted(found)


def _layout(config: ExamplesConfig, survey: Survey) -> Layout:
    return Layout(
        config.task,
        config.tokenizer,
        config.sequence_length,
        prompt=config.prompt,
        separator=config.separator,
        labels=survey.labels,
        converses=config.task == "sft" and config.format != "pairs",
    )


def _convert(config: ExamplesConfig, sources: Sources, survey: Survey, layout: Layout, folder: Path) -> dict[str, Any]:
    """Write every source's streams and rejects; their counts, for the manifest. Raises DataError, see above."""
    (folder / REJECTED).mkdir()
    form = RowForm(
        config.task,
        str(layout.backend.dtype),
        config.sequence_length,
        survey.options,
        layout.backend.end_of_text,
        config.pack,
    )
    rejected: Counter[str] = Counter()
    splits: dict[str, dict[str, Any]] = {split: {} for split in SPLITS}
    for source, files in sources.items():
        with ExitStack() as stack:
            streams = {split: stack.enter_context(StreamWriter(folder / split / source, form)) for split in SPLITS}
            rejects = stack.enter_context(open(folder / REJECTED / f"{source}.jsonl", "wb"))
            for split, size, item in track(_laid_out(config, files, survey, layout), source, "example"):
                if isinstance(item, Reject):
                    rejected[item.reason] += 1
                    rejects.write(item.to_line())
                else:
                    streams[split].add(item, size)
        counts = {split: stream.counts for split, stream in streams.items() if stream.counts.samples}
        if "train" not in counts:
            raise DataError(
                f"{files['train'].path}: no example is left to train on; rejected until here: {_in_words(rejected)}"
            )
        for split, of_split in counts.items():
            splits[split][source] = asdict(of_split)
    return {"rejected": dict(sorted(rejected.items())), "splits": splits}


def _laid_out(
    config: ExamplesConfig, files: dict[str, InputFile], survey: Survey, layout: Layout
) -> Iterator[tuple[str, int, LaidOut | Reject]]:
    """Split, bytes of its texts, and what becomes of every record of a source's train and validation files."""
    for split in SPLITS:
        for example in read_examples(files[split], config.format, survey.labels) if split in files else ():
            if isinstance(example, Reject):
                yield split, 0, example
                continue
            text = "\n".join(texts(example))
            goes_to = split
            if "validation" not in files:
                goes_to = split_of(example.id, config.seed, config.validation_fraction)
            is_contaminated = split == "train" and survey.contamination.holds(example)
            item = CONTAMINATED if is_contaminated else layout.lay(example)
            if isinstance(item, str):
                yield goes_to, 0, Reject(files[split].name, example.id, item, text)
            else:
                yield goes_to, len(text.encode()), item


def _facts(config: ExamplesConfig, survey: Survey, layout: Layout, tokenizer: str) -> dict[str, Any]:
    """What the shards are, for those who read them."""
    return {
        "task": config.task,
        "tokenizer_sha256": tokenizer,
        "vocab_size": layout.backend.size,
        "end_of_text": layout.backend.end_of_text,
        "sequence_length": config.sequence_length,
        "dtype": str(layout.backend.dtype),
        **({"options": survey.options} if config.task == "multiple_choice" else {}),
        **({"labels": survey.labels} if config.task == "classification" else {}),
        **({"form": layout.form()} if config.task == "sft" else {}),
        "compared_with": len(survey.contamination.items),
    }


def _print_result(facts: dict[str, Any]) -> None:
    positions = row_tokens(facts)
    for split in SPLITS:
        for source, counts in facts["splits"][split].items():
            print(
                f"  {split}/{source}: {counts['documents']:,} examples, {counts['tokens']:,} tokens, "
                f"{counts['learnt']:,} learnt, {counts['samples']:,} rows, "
                f"{1 - counts['tokens'] / (counts['samples'] * positions):.1%} filling, {counts['cut']:,} cut"
            )
    print(f"  rejected: {_in_words(facts['rejected'])}")


def _in_words(rejected: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(rejected.items())) or "none"
