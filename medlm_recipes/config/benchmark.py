"""Keys of prepare_benchmark."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, each, key, not_empty, one_of, optional_section, section, within

FORMATS = ("medqa", "medmcqa", "pubmedqa", "mmlu", "bioasq")
SPLITS = ("train", "validation", "test")


@dataclass
class SplitFiles:
    train: list[str] = key("files of the train split; empty: there is none", [], check=each(not_empty))
    validation: list[str] = key("files of the validation split", [], check=each(not_empty))
    test: list[str] = key("files of the test split", [], check=each(not_empty))


@dataclass
class HubSplits:
    config: str | None = key("configuration of the dataset; null: its default", None, check=not_empty)
    revision: str | None = key(
        "commit, tag or branch; null: the newest commit. The manifest records the commit", None, check=not_empty
    )
    train: str | None = key("the dataset's split that becomes train; null: none", None, check=not_empty)
    validation: str | None = key("the same for validation", None, check=not_empty)
    test: str | None = key("the same for test", None, check=not_empty)


@dataclass
class SplitCounts:
    train: int | None = key("of the train split; null: not asserted", None, check=at_least(0))
    validation: int | None = key("of the validation split", None, check=at_least(0))
    test: int | None = key("of the test split", None, check=at_least(0))


@dataclass
class BenchmarkConfig:
    format: str = key(
        "form of the original: medqa (JSON lines with options by letter), medmcqa (JSON lines with opa to opd and "
        "cop), pubmedqa (ori_pqal.json), mmlu (a csv a subject), bioasq (golden JSON, of which the yes/no questions)",
        check=one_of(*FORMATS),
    )
    inputs: list[str] = key(
        "folders, files or globs of the original distribution; source hub: a dataset's id (owner/name), or a folder "
        "downloaded from there",
        check=not_empty,
    )
    out: str = key("folder to write: train.jsonl, validation.jsonl, test.jsonl, manifest.json", check=not_empty)
    source: str = key(
        "original: the files that the authors distribute; hub: a dataset of the Hugging Face hub",
        "original",
        check=one_of("original", "hub"),
    )
    files: SplitFiles = section(
        SplitFiles,
        "source original: names or patterns (test.jsonl, US/test.jsonl, 7B*_golden.json) of the files below inputs "
        "that make each split; a name without * must be one file",
    )
    hub: HubSplits | None = optional_section("source hub: which splits of the dataset")
    expected: SplitCounts = section(
        SplitCounts, "questions that each split must have; checked for the splits that are made"
    )
    repeats: SplitCounts = section(
        SplitCounts,
        "how many questions of a split, asked again with the same options, may stand there; null: any number, "
        "counted and listed in oddities.jsonl",
    )
    leave_out: list[str] = key(
        "unfit records to do without, called file:item as the message about them does; expected counts without them",
        [],
        check=each(not_empty),
    )
    validation_from_train: int = key(
        "so many questions of train, chosen by a hash of their ids, become validation", 0, check=at_least(0)
    )
    seed: int = key("seed of that choice", 17)
    first_label: int | None = key(
        "format medmcqa: what cop is for option A: 1 in the authors' files, 0 on the hub; null: told by the file, "
        "which has a 0 or a 4 somewhere",
        None,
        check=lambda value: value is None or within(0, 1)(value),
    )
    test_labels: str = key(
        "format pubmedqa: name of the file below inputs, or path of the one, that says which items are the test's",
        "test_ground_truth.json",
        check=not_empty,
    )
    section_labels: bool = key(
        "format pubmedqa: each part of the abstract begins with its label (BACKGROUND: ...)", False
    )
    subjects: list[str] = key("format mmlu: the subjects; every one must be in every split", [])
    first_rows: bool = key(
        "format mmlu: false leaves out the first question of every subject, as the hub's lukaemon/mmlu does, which "
        "reads it as a header",
        True,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.source == "hub" and self.hub is None:
            yield "hub", f"must name the dataset's splits for source hub; format {self.format} may have none there"
        if self.source == "hub" and len(self.inputs) > 1:
            yield "inputs", "source hub takes one dataset"
        if not self.made():
            yield ("hub" if self.source == "hub" else "files"), "names no split, so there is nothing to make"
        elif self.validation_from_train and "train" not in self.made():
            yield "validation_from_train", "there is no train split to take questions from"
        if self.validation_from_train and "validation" in self.made():
            yield "validation_from_train", "the recipe has a validation split already; name no files for it"
        if self.format == "mmlu" and not self.subjects:
            yield "subjects", "must name the subjects for format mmlu"

    def made(self) -> list[str]:
        """The splits that the inputs give."""
        given = self.hub if self.source == "hub" else self.files
        return [split for split in SPLITS if given and getattr(given, split)]
