"""Files of examples to rows: every form that is read, what is rejected and why, and what the manifest says of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launch import ROOT, SHARED, recipe
from streaming import StreamingDataset

from medlm_recipes.config.examples import ExamplesConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.corpus.document import Reject
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.examples.conversion import convert_examples_to_mds
from medlm_recipes.examples.reading import read_examples
from medlm_recipes.manifest import Manifest, read_manifest
from medlm_recipes.tokenization.chatml import END, START
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.tokenization.training import train_tokenizer

Record = Mapping[str, Any]
Convert = Callable[..., tuple[Path, Manifest]]

QUESTION = {
    "id": "q1",
    "question": "Which of these drugs lowers the pressure of the blood in most of the patients who take it?",
    "context": "A trial of two drugs.",
    "options": {"A": "aspirin", "B": "lisinopril", "C": "insulin", "D": "heparin"},
    "answer_idx": "B",
    "answer": "lisinopril",
    "explanation": "Lisinopril inhibits an enzyme.",
}
CHOICE = {
    "id": "c1",
    "sent1": "The drug for pain is",
    "sent2": "",
    "ending0": "aspirin",
    "ending1": "insulin",
    "label": 0,
}
LABELLED = {"id": "s1", "sentence1": "Does it help?", "sentence2": "It helped all patients.", "label": "yes"}
CHAT = {"messages": [{"role": "user", "content": "Does it help?"}, {"role": "assistant", "content": "Yes."}]}


def write(folder: Path, name: str, records: Sequence[Record | str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def tokenizer(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The line's, with ChatML's tokens."""
    out = tmp_path_factory.mktemp("tokenizer") / "out"
    train_tokenizer(TokenizerConfig(out=str(out), base=str(line / "tokenizer"), special_tokens=[START, END]), False)
    return out


@pytest.fixture
def convert(tokenizer: Path, tmp_path: Path) -> Convert:
    def run(inputs: Path | list[Path], form: str, task: str, **keys: Any) -> tuple[Path, Manifest]:
        places = [str(place) for place in (inputs if isinstance(inputs, list) else [inputs])]
        given = {"inputs": places, "format": form, "task": task, "tokenizer": str(tokenizer), "sequence_length": 128}
        config = ExamplesConfig(**given | {"out": str(tmp_path / "out")} | keys)
        convert_examples_to_mds(config, dry_run=False)
        return Path(config.out), read_manifest(config.out, "convert_examples_to_mds")

    return run


def rows(out: Path, source: str, split: str = "train") -> list[dict[str, Any]]:
    """As streaming itself reads them."""
    stream = StreamingDataset(local=str(out / split / source), batch_size=1, shuffle=False)
    return [stream[at] for at in range(stream.size)]


def texts(out: Path, tokens: Any) -> list[str]:
    return load_tokenizer(out / "tokenizer").batch_decode([ids[ids != 0] for ids in np.atleast_2d(tokens)])


def test_multiple_choice_has_a_sequence_an_option_and_the_right_ones_number(convert: Convert, tmp_path: Path) -> None:
    more = CHOICE | {"id": "c2", "sent2": "For pain it is", "ending2": "heparin", "label": "2"}
    folder = write(write(tmp_path / "medqa", "train.json", [CHOICE, more]), "dev.json", [CHOICE | {"sent1": "It is"}])
    out, manifest = convert(folder, "multiple_choice", "multiple_choice")
    first, second = rows(out, "medqa")
    assert first["tokens"].shape == (3, 128) and (first["label"], second["label"]) == (0, 2)
    assert texts(out, first["tokens"]) == ["The drug for pain is aspirin", "The drug for pain is insulin", ""]
    assert texts(out, second["tokens"])[2] == "The drug for pain is\nFor pain it is heparin"
    facts = manifest.facts
    assert (facts["task"], facts["options"], facts["sequence_length"]) == ("multiple_choice", 3, 128)
    assert facts["splits"]["train"]["medqa"]["samples"] == 2 and facts["splits"]["validation"]["medqa"]["samples"] == 1


def test_classification_puts_the_context_before_the_question_and_numbers_the_labels(
    convert: Convert, tmp_path: Path
) -> None:
    other = LABELLED | {"id": "s2", "sentence1": "Did it harm anybody?", "label": "no"}
    out, manifest = convert(write(tmp_path / "qa", "train.json", [LABELLED, other]), "classification", "classification")
    first, second = rows(out, "qa")
    assert texts(out, first["tokens"]) == ["It helped all patients.\nDoes it help?"]
    assert manifest.facts["labels"] == ["no", "yes"] and (first["label"], second["label"]) == (1, 0)


def test_a_prepared_benchmark_serves_every_task(convert: Convert, tmp_path: Path) -> None:
    folder = write(tmp_path / "bench", "train.jsonl", [QUESTION])
    out, _ = convert(folder, "benchmark", "multiple_choice", out=str(tmp_path / "mc"))
    assert rows(out, "bench")[0]["label"] == 1
    _, manifest = convert(folder, "benchmark", "classification", out=str(tmp_path / "class"))
    assert manifest.facts["labels"][3] == "lisinopril"
    out, _ = convert(folder, "benchmark", "sft")
    (row,) = rows(out, "bench")
    assert texts(out, row["tokens"][row["loss"] == 1]) == ["<|im_start|>answer\nThe answer is: B<|im_end|>\n"]


def test_chats_and_pairs_are_packed_or_stand_alone(convert: Convert, tmp_path: Path) -> None:
    write(tmp_path / "sums", "train.source", ["A long question about pain", "Another one"])
    write(tmp_path / "sums", "train.target", ["pain", "other"])
    out, _ = convert(tmp_path / "sums", "pairs", "sft", separator=" =>")
    (row,) = rows(out, "sums")
    assert row["begins"].sum() == 3 and row["loss"].sum() == (row["tokens"][row["loss"] == 1] >= 0).sum()
    assert "".join(texts(out, row["tokens"][row["loss"] == 1])) == " pain other"
    chats = write(tmp_path / "chats", "train.jsonl", [CHAT, CHAT])
    convert(chats, "chat", "sft", pack=False, out=str(tmp_path / "alone"))
    assert [row["begins"].sum() for row in rows(tmp_path / "alone", "chats")] == [2, 2]


def test_every_record_is_kept_or_rejected_with_its_reason(convert: Convert, tmp_path: Path) -> None:
    bad: dict[str, Record | str] = {
        "not_json": "{",
        "not_an_object": "[]",
        "no_options": QUESTION | {"options": ["a", "b"]},
        "fewer_than_two_options": QUESTION | {"options": {"A": "a"}},
        "answer_is_no_option": QUESTION | {"answer_idx": "E"},
        "no_question": QUESTION | {"question": " "},
        "no_explanation": QUESTION | {"explanation": None},
        "spells_control_token": QUESTION | {"explanation": "<|im_start|>"},
        "no_room_for_the_response": QUESTION | {"explanation": "pain " * 300},
    }
    folder = write(tmp_path / "bench", "train.jsonl", [QUESTION, *bad.values()])
    out, manifest = convert(folder, "benchmark", "sft", prompt=prompt(chain_of_thought=True))
    assert manifest.facts["rejected"] == dict.fromkeys(sorted(bad), 1)
    kept = [json.loads(line) for line in (out / "rejected/bench.jsonl").read_text().splitlines()]
    assert [reject["reason"] for reject in kept] == list(bad) and all(reject["file"] for reject in kept)
    assert manifest.facts["splits"]["train"]["bench"]["documents"] == 1


def prompt(**keys: Any) -> Any:
    from medlm_recipes.config.examples import PromptKeys

    return PromptKeys(**keys)


@pytest.mark.parametrize(
    ("form", "record", "reason"),
    [
        ("multiple_choice", CHOICE | {"label": 2}, "answer_is_no_option"),
        ("multiple_choice", CHOICE | {"label": "x"}, "no_label"),
        ("multiple_choice", CHOICE | {"ending0": ""}, "no_options"),
        ("classification", LABELLED | {"label": None}, "no_label"),
        ("classification", LABELLED | {"label": "perhaps"}, "unknown_label"),
        ("chat", {"messages": []}, "no_messages"),
        ("chat", {"messages": [{"role": "user"}]}, "message_without_content"),
        ("chat", {"messages": [{"role": "tool", "content": "x"}]}, "unknown_role"),
        ("chat", {"messages": CHAT["messages"][:1]}, "no_answer_at_the_end"),
        ("chat", {"messages": CHAT["messages"][1:]}, "no_question"),
    ],
)
def test_unsound_records_have_a_reason(tmp_path: Path, form: str, record: Record, reason: str) -> None:
    from medlm_recipes.corpus.inputs import InputFile

    path = write(tmp_path, "train.jsonl", [record]) / "train.jsonl"
    (item,) = read_examples(InputFile(path, "train.jsonl"), form, ["yes", "no"])
    assert isinstance(item, Reject) and item.reason == reason


def test_what_is_longer_than_a_row_is_cut_on_its_left_and_counted(convert: Convert, tmp_path: Path) -> None:
    long = QUESTION | {"context": "pain and more pain " * 100}
    folder = write(tmp_path / "bench", "train.jsonl", [long, QUESTION | {"id": "q2"}])
    out, manifest = convert(folder, "benchmark", "multiple_choice")
    assert manifest.facts["splits"]["train"]["bench"]["cut"] == 1
    for text, option in zip(texts(out, rows(out, "bench")[0]["tokens"]), QUESTION["options"].values(), strict=True):
        assert text.endswith(f"who take it? {option}") and "pain" in text and not text.startswith("pain and")


def test_train_examples_that_stand_in_a_test_set_are_rejected(convert: Convert, tmp_path: Path) -> None:
    other = QUESTION | {
        "id": "q2",
        "question": "What is it that raises the sugar of the blood without insulin?",
    }
    turned = {"A": "heparin", "B": "insulin", "C": "lisinopril", "D": "aspirin"}
    short = {"id": "s", "question": "Which drug?", "options": turned, "answer_idx": "C", "context": ""}
    folder = write(tmp_path / "bench", "train.jsonl", [QUESTION | {"id": "q0"}, other, short])
    write(folder, "test.jsonl", [QUESTION | {"options": turned, "answer_idx": "C", "context": ""}])
    _, manifest = convert(folder, "benchmark", "multiple_choice")
    assert manifest.facts["rejected"] == {"contaminated": 1} and manifest.facts["compared_with"] == 1
    against = write(tmp_path / "other", "medqa.jsonl", [{"question": "which DRUG?", "options": QUESTION["options"]}])
    keys = {"decontaminate": decontaminate(against), "out": str(tmp_path / "more")}
    convert(folder, "benchmark", "multiple_choice", **keys)
    more = read_manifest(tmp_path / "more", "convert_examples_to_mds")
    assert more.facts["rejected"] == {"contaminated": 2}  # too short for runs of words, but the very question
    assert "against/medqa.jsonl" in more.inputs


def decontaminate(folder: Path) -> Any:
    from medlm_recipes.config.cleaning import DecontaminateKeys

    return DecontaminateKeys(against=[str(folder)])


def test_a_share_of_the_examples_is_held_out_where_there_is_no_validation_file(
    convert: Convert, tmp_path: Path
) -> None:
    records = [CHOICE | {"id": str(number), "sent1": f"Question {number}"} for number in range(60)]
    _, manifest = convert(
        write(tmp_path / "medqa", "train.json", records), "multiple_choice", "multiple_choice", validation_fraction=0.3
    )
    counts = [manifest.facts["splits"][split]["medqa"]["documents"] for split in ("train", "validation")]
    assert sum(counts) == 60 and 8 <= counts[1] <= 30


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared samples are not here")
def test_real_questions_and_their_contamination(convert: Convert, tmp_path: Path) -> None:
    """MedQA's own questions, against themselves and against MedMCQA's."""
    real = (SHARED / "benchmarks/medqa_usmle_4_options_first300.jsonl").read_text().splitlines()
    folder = write(write(tmp_path / "medqa", "train.jsonl", real), "test.jsonl", real[:100])
    medmcqa = decontaminate(SHARED / "benchmarks/medmcqa_dev_first800.jsonl")
    _, manifest = convert(folder, "benchmark", "multiple_choice", sequence_length=512, decontaminate=medmcqa)
    assert manifest.facts["rejected"] == {"contaminated": 100} and manifest.facts["compared_with"] == 900
    assert manifest.facts["splits"]["train"]["medqa"]["samples"] == 200


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["task=sft", "format=multiple_choice", "labels=[a,b]"], "labels: ['a', 'b'] have a meaning"),
        (["task=classification", "format=multiple_choice"], "task: classification cannot be learnt from format"),
        (["prompt.conclusion=The end."], "prompt.conclusion: 'The end.' names neither"),
        (["prompt.system=Be brief."], "prompt: puts questions into words for task sft"),
        (["prompt.conclusion='{wrong}'"], "prompt.conclusion"),
    ],
)
def test_impossible_recipes_are_refused(overrides: list[str], words: str) -> None:
    given = ["inputs=[x]", "tokenizer=x", "out=x", *overrides]
    with pytest.raises(ConfigError) as caught:
        load_config(ExamplesConfig, ROOT / "yamls/examples/medqa.yaml", given)
    assert words in str(caught.value)


def test_unfit_folders_are_refused(convert: Convert, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no folder and no file"):
        convert(tmp_path / "nowhere", "benchmark", "sft")
    folder = write(tmp_path / "bench", "test.jsonl", [QUESTION])
    with pytest.raises(DataError, match="has no train file"):
        convert(folder, "benchmark", "sft")
    write(folder, "train.jsonl", ["{"])
    with pytest.raises(DataError, match="no example is left to train on; rejected until here: not_json 1"):
        convert(folder, "benchmark", "sft")
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="another input is called bench too"):
        convert([folder, folder], "benchmark", "sft")
    write(tmp_path / "pairs", "train.source", ["a", "b"])
    write(tmp_path / "pairs", "train.target", ["a"])
    with pytest.raises(DataError, match=r"has 2 lines, but .*train.target 1"):
        convert(tmp_path / "pairs", "pairs", "sft")


def test_the_verb_makes_nothing_twice_and_says_what_it_made(
    tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "bench", "train.jsonl", [QUESTION])
    given = [f"inputs={folder}", f"tokenizer={tokenizer}", f"out={tmp_path}/out"]
    said = recipe("convert_examples_to_mds", "yamls/examples/medqa.yaml", *given).stdout
    assert "train/bench: 1 examples" in said and "rejected: none" in said and "out: done" in said
    config = load_config(ExamplesConfig, ROOT / "yamls/examples/medqa.yaml", given)
    convert_examples_to_mds(config, dry_run=False)
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"another config .sequence_length: 512, now 64"):
        convert_examples_to_mds(replace(config, sequence_length=64), dry_run=False)
