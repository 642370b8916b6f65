"""Keys of convert_examples_to_mds."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.config.cleaning import DecontaminateKeys
from medlm_recipes.config.fields import at_least, key, not_empty, one_of, optional_section, section, within

# form of the inputs -> what can be learnt from it
_TASKS = {
    "benchmark": ("multiple_choice", "classification", "sft"),
    "multiple_choice": ("multiple_choice", "sft"),
    "classification": ("classification", "sft"),
    "pairs": ("sft",),
    "chat": ("sft",),
}


@dataclass
class PromptKeys:
    """The text of a question as a conversation."""

    system: str | None = key("message of the role system that begins a conversation; null: none", None)
    instruction: str = key("stands behind the question and its options; empty: nothing", "")
    options: bool = key("name the options, a line each, as `A. text`", True)
    conclusion: str = key(
        "the answer: {letter} is the right option's letter, {answer} its text", "The answer is: {letter}"
    )
    chain_of_thought: bool = key(
        "the answer is the record's explanation and then the conclusion; records without one are rejected as "
        "no_explanation",
        False,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        try:
            given = self.conclusion.format(letter="A", answer="B")
        except (KeyError, IndexError, ValueError) as error:
            yield "conclusion", f"{self.conclusion!r}: {error!r} is neither {{letter}} nor {{answer}}"
            return
        if given == self.conclusion:
            yield (
                "conclusion",
                f"{self.conclusion!r} names neither {{letter}} nor {{answer}}; all answers would be alike",
            )


@dataclass
class ExamplesConfig:
    inputs: list[str] = key(
        "folders, each a source of examples by its name, with a file a split: train, validation (or valid, val, dev) "
        "and test, the last for decontamination alone; or single files, which are all train",
        check=not_empty,
    )
    format: str = key(
        "form of the files, JSON lines but for pairs. benchmark: as prepare_benchmark writes them (question, context, "
        "options, answer_idx, explanation); multiple_choice: BioMedLM's (sent1, sent2, ending0.., label); "
        "classification: BioMedLM's (sentence1, sentence2, label); pairs: the lines of NAME.source and NAME.target; "
        "chat: messages with role and content",
        check=one_of(*_TASKS),
    )
    task: str = key(
        "what is learnt: multiple_choice (which option is right), classification (a label), sft (the response)",
        check=one_of("multiple_choice", "classification", "sft"),
    )
    tokenizer: str = key("folder of the tokenizer; task sft of conversations needs ChatML's tokens and template in it")
    out: str = key(
        "folder to write: <split>/<source>/ MDS streams, tokenizer/, rejected/, manifest.json", check=not_empty
    )
    sequence_length: int = key(
        "tokens of a row. What is longer is cut on its left: the context, never the response or option",
        1024,
        check=at_least(8),
    )
    pack: bool = key("sft: several examples a row, which do not see each other; false: one", True)
    labels: list[str] = key("classification: the labels, in the order of the head's outputs; empty: those of train", [])
    separator: str = key("pairs: stands between a source and its target", "\nSummary:")
    prompt: PromptKeys = section(PromptKeys, "sft: the text of a question as a conversation")
    validation_fraction: float = key(
        "sources without a validation file: share of the examples that go there, chosen by a hash of their id",
        0.0,
        check=within(0, 0.5),
    )
    decontaminate: DecontaminateKeys | None = optional_section(
        "further benchmarks to compare with. Train examples that stand in the inputs' own test or validation files are "
        "rejected in any case"
    )
    seed: int = key("seed of the hash", 17)

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.task not in _TASKS[self.format]:
            yield "task", f"{self.task} cannot be learnt from format {self.format}: {' or '.join(_TASKS[self.format])}"
        if self.labels and self.task != "classification":
            yield "labels", f"{self.labels} have a meaning for task classification only, not for {self.task}"
        if len(set(self.labels)) != len(self.labels):
            yield "labels", f"{self.labels} name one twice"
        if self.prompt != PromptKeys() and (self.task != "sft" or self.format in ("pairs", "chat")):
            yield "prompt", f"puts questions into words for task sft; format {self.format} for {self.task} has its own"
