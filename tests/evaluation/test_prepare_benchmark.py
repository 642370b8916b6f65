"""The original forms of the benchmarks to one form; what is refused, left out and only counted."""

import json
from pathlib import Path
from typing import Any

import pytest
from evaluation.originals_made import BIOASQ, MEDMCQA, MEDQA, PUBMEDQA, lines, prepare, rounds, table, written
from launch import recipe, refused

from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.benchmark import FIELDS, fault_of, hash_benchmark, read_benchmark
from medlm_recipes.manifest import hash_file, read_manifest

ONLY_TEST = ["files.train=[]", "files.validation=[]"]


def medqa(folder: Path, *test: dict[str, Any]) -> Path:
    """The 4-option files, two questions in train and one in dev."""
    for split, records in (
        ("train", [MEDQA | {"question": "Which organ?"}, MEDQA | {"question": "Which vessel?"}]),
        ("dev", [MEDQA | {"question": "Which nerve?"}]),
        ("test", test or [MEDQA]),
    ):
        lines(folder / f"phrases_no_exclude_{split}.jsonl", *records)
    return folder


def facts(out: Path) -> dict[str, Any]:
    return read_manifest(out, "prepare_benchmark").facts


def test_medqa_becomes_three_splits_with_hashes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare("medqa", medqa(tmp_path / "in"), out)
    assert sorted(path.name for path in out.iterdir()) == [
        *("manifest.json", "test.jsonl", "train.jsonl", "validation.jsonl")
    ]
    [question] = read_benchmark(out)
    assert question == {
        **{"id": "test-1", "question": "Which drug?", "context": "", "options": MEDQA["options"], "answer_idx": "A"},
        **{"answer": "Aspirin", "subject": "step1", "explanation": ""},
    }
    assert tuple(question) == FIELDS
    assert [one["id"] for one in read_benchmark(out, "train")] == ["train-1", "train-2"]
    assert [one["question"] for one in read_benchmark(out, "validation")] == ["Which nerve?"]
    manifest = read_manifest(out, "prepare_benchmark")
    assert str(tmp_path) not in json.dumps(manifest.__dict__)
    assert manifest.inputs["phrases_no_exclude_test.jsonl"] == hash_file(tmp_path / "in/phrases_no_exclude_test.jsonl")
    assert manifest.facts["splits"]["test"]["sha256"] == hash_benchmark(out) == hash_file(out / "test.jsonl")
    assert manifest.facts["splits"]["train"]["questions"] == 2 and manifest.facts["oddities"] == {}
    before = (out / "manifest.json").read_bytes()
    prepare("medqa", tmp_path / "in", out)  # made already, from the same
    assert (out / "manifest.json").read_bytes() == before


def test_the_five_options_are_those_of_the_folder_us(tmp_path: Path) -> None:
    five = MEDQA | {"options": {**MEDQA["options"], "E": "Digoxin"}, "answer_idx": "E", "answer": "Digoxin"}
    for country in ("US", "Taiwan"):
        for split in ("train", "dev", "test"):
            lines(tmp_path / "in" / country / f"{split}.jsonl", five)
    with pytest.raises(DataError, match=r"files.train: 'train.jsonl' is (US|Taiwan).*give the folder"):
        prepare("medqa-5", tmp_path / "in", tmp_path / "out")
    prepare("medqa-5", tmp_path / "in/US", tmp_path / "out")
    [question] = read_benchmark(tmp_path / "out")
    assert len(question["options"]) == 5 and question["answer"] == "Digoxin"
    assert facts(tmp_path / "out")["oddities"] == {"train": {"asked_in_test": 1}, "validation": {"asked_in_test": 1}}


@pytest.mark.parametrize("ending", ["", "\n\n"])
def test_medmcqa_counts_its_labels_from_one_or_from_zero(tmp_path: Path, ending: str) -> None:
    """The authors' .json files hold an object a line; the same in the hub's numbers gives the same questions."""
    for first, name in ((1, "authors"), (0, "hub")):
        test = [MEDMCQA | {"id": f"m{label}", "cop": label + first} for label in range(4)]
        lines(tmp_path / name / "dev.json", *test)
        lines(
            tmp_path / name / "train.json", *(MEDMCQA | {"id": f"t{label}", "cop": label + first} for label in (0, 3))
        )
        (tmp_path / name / "dev.json").open("a").write(ending)
        prepare("medmcqa", tmp_path / name, tmp_path / f"{name}-out", "repeats.test=3")
    questions = read_benchmark(tmp_path / "authors-out")
    assert questions == read_benchmark(tmp_path / "hub-out")
    assert [one["answer_idx"] for one in questions] == ["A", "B", "C", "D"]
    assert [one["answer"] for one in questions] == ["Antegrade", "Retrograde", "Both", "None"]
    assert (questions[0]["subject"], questions[0]["explanation"]) == ("Physiology", "Both ways.")
    assert written(tmp_path / "hub-out", "oddities.jsonl")[-1] == {
        **{"split": "test", "id": "m3", "oddity": "repeated_with_another_answer", "of": "m0"}
    }


@pytest.mark.parametrize(
    ("labels", "overrides", "message"),
    [
        ([2, 3], [], "cop is never 0 and never 4.*first_label=1"),
        ([0, 4], [], "cop is 0 in dev.json:m0 and 4 in dev.json:m1"),
        ([-1, -1], [], "none of its 2 records has a label"),
        ([None, None], [], "none of its 2 records has a label"),
        ([0, 3, -1], [], "dev.json:m2: cop is -1, not one of 0 to 3"),
        ([1, 4, "4"], [], "dev.json:m2: cop is '4'"),
        ([1, 4, True], [], "dev.json:m2: cop is True"),
        ([0, 1], ["first_label=1"], "dev.json:m0: cop is 0, not one of 1 to 4"),
    ],
)
def test_labels_that_tell_nothing_or_lie_outside(
    tmp_path: Path, labels: list[Any], overrides: list[str], message: str
) -> None:
    lines(tmp_path / "dev.json", *(MEDMCQA | {"id": f"m{at}", "cop": label} for at, label in enumerate(labels)))
    with pytest.raises(DataError, match=message):
        prepare("medmcqa", tmp_path, tmp_path / "out", "files.train=[]", *overrides)
    assert not (tmp_path / "out").exists()


def test_labels_that_tell_nothing_can_be_told(tmp_path: Path) -> None:
    lines(tmp_path / "dev.json", MEDMCQA | {"cop": 2})
    prepare("medmcqa", tmp_path, tmp_path / "out", "files.train=[]", "first_label=0")
    assert read_benchmark(tmp_path / "out")[0]["answer"] == "Both"


def pubmedqa(folder: Path, decisions: dict[str, str], labels: dict[str, str]) -> Path:
    folder.mkdir()
    items = {name: PUBMEDQA | {"QUESTION": f"Is it {name}?", "final_decision": one} for name, one in decisions.items()}
    (folder / "ori_pqal.json").write_text(json.dumps(items, indent=4))
    (folder / "test_ground_truth.json").write_text(json.dumps(labels))
    return folder


def test_pubmedqa_is_split_by_the_official_labels(tmp_path: Path) -> None:
    folder = pubmedqa(tmp_path / "in", {"11": "yes", "12": "no", "13": "maybe", "14": "yes"}, {"14": "yes", "12": "no"})
    prepare("pubmedqa", folder, tmp_path / "out")
    assert [one["id"] for one in read_benchmark(tmp_path / "out", "train")] == ["11", "13"]
    test = read_benchmark(tmp_path / "out")
    assert [(one["id"], one["answer_idx"], one["answer"]) for one in test] == [("12", "B", "no"), ("14", "A", "yes")]
    assert test[0]["options"] == {"A": "yes", "B": "no", "C": "maybe"}
    assert test[0]["context"] == "They were looked at.\nSome died." and test[0]["explanation"] == "Leaves die."
    assert facts(tmp_path / "out")["left_out"] == {}  # each is in the other split
    prepare("pubmedqa", folder, tmp_path / "labelled", "section_labels=true", "files.train=[]")
    assert read_benchmark(tmp_path / "labelled")[0]["context"] == "METHODS: They were looked at.\nRESULTS: Some died."
    assert facts(tmp_path / "labelled")["left_out"] == {"test": {"not_in_test": 2}}
    assert [line["record"] for line in written(tmp_path / "labelled", "left_out.jsonl")] == ["11", "13"]


def test_pubmedqa_must_agree_with_the_official_labels(tmp_path: Path) -> None:
    for labels, message in (
        ({"11": "no"}, "ori_pqal.json:11: final_decision is 'yes', but test_ground_truth.json says 'no'"),
        ({"11": "yes", "99": "no"}, "names items that no file of test has: 99"),
    ):
        folder = pubmedqa(tmp_path / message[:4], {"11": "yes", "12": "no"}, labels)
        with pytest.raises(DataError, match=message):
            prepare("pubmedqa", folder, tmp_path / "out")
    twice = tmp_path / "twice"
    pubmedqa(twice, {"11": "yes"}, {"11": "yes"})
    item = json.dumps(PUBMEDQA)
    (twice / "ori_pqal.json").write_text(f'{{"11": {item}, "11": {item}}}')
    with pytest.raises(DataError, match="has the key '11' twice"):
        prepare("pubmedqa", twice, tmp_path / "out")
    (twice / "test_ground_truth.json").unlink()
    with pytest.raises(DataError, match=r"test_labels: no file 'test_ground_truth\.json'"):
        prepare("pubmedqa", twice, tmp_path / "out")


ROW = ["Where is the\nheart?", "Thorax", 'The "neck"', "Leg, upper", "Arm", "A"]
SUBJECTS = "subjects=[anatomy,virology]"


def mmlu(folder: Path, test: list[list[str]]) -> Path:
    for subject in ("anatomy", "virology", "astronomy"):
        for split, rows in (("dev", [ROW]), ("val", [[*ROW[:5], "D"]]), ("test", test)):
            table(folder / split / f"{subject}_{split}.csv", *rows)
    return folder


def test_mmlu_takes_its_subjects_from_the_names_of_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder = mmlu(tmp_path / "in", [ROW, [f"{ROW[0]} And now?", *ROW[1:5], "B"]])
    prepare("mmlu_medical", folder, out, SUBJECTS)
    test = read_benchmark(out)
    assert [one["id"] for one in test] == ["anatomy-test-1", "anatomy-test-2", "virology-test-1", "virology-test-2"]
    assert test[1]["options"] == {"A": "Thorax", "B": 'The "neck"', "C": "Leg, upper", "D": "Arm"}
    assert (test[0]["question"], test[1]["answer"], test[2]["subject"]) == (ROW[0], 'The "neck"', "virology")
    assert len(read_benchmark(out, "train")) == 2 and read_benchmark(out, "validation")[0]["answer_idx"] == "D"
    assert facts(out)["left_out"]["test"] == {"other_subject": 2}
    assert facts(out)["splits"]["test"]["subjects"] == {"anatomy": 2, "virology": 2}
    # As the hub's loader that MediTron was scored with, which read the first row as a header.
    prepare("mmlu_medical", folder, tmp_path / "less", SUBJECTS, "first_rows=false", "files.train=[]", *ONLY_TEST)
    assert [one["id"] for one in read_benchmark(tmp_path / "less")] == ["anatomy-test-2", "virology-test-2"]
    assert facts(tmp_path / "less")["left_out"] == {"test": {"first_row": 2, "other_subject": 2}}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([*ROW[:5], "E"], "answer is 'E', not one of A, B, C, D"),
        ([*ROW[:5], "AB"], "answer is 'AB'"),
        ([*ROW[:4], "A"], "has 3 choices instead of 4"),
        ([*ROW[:4], " ", "A"], "option D is empty"),
        (["", *ROW[1:]], "no text in question"),
    ],
)
def test_rows_of_mmlu_that_are_none(tmp_path: Path, row: list[str], message: str) -> None:
    table(tmp_path / "anatomy_test.csv", ROW, row)
    with pytest.raises(DataError, match=f"1 unfit records: test: anatomy_test.csv:2: {message}"):
        prepare("mmlu_medical", tmp_path, tmp_path / "out", "subjects=[anatomy]", *ONLY_TEST)


def test_mmlu_without_one_of_its_subjects(tmp_path: Path) -> None:
    table(tmp_path / "anatomy_test.csv", ROW)
    with pytest.raises(DataError, match=r"test: has no questions of anatomi; did you mean anatomy\?"):
        prepare("mmlu_medical", tmp_path, tmp_path / "out", "subjects=[anatomy,anatomi]", *ONLY_TEST)


def test_bioasq_asks_its_yes_no_questions_once(tmp_path: Path) -> None:
    """A year's training file holds the golden files of the years before, and rounds repeat questions."""
    other = BIOASQ | {"id": "b2", "body": "Is it new?", "exact_answer": ["No "], "snippets": []}
    listing = BIOASQ | {"id": "b3", "type": "list", "exact_answer": [["x"]]}
    folder = tmp_path / "in"
    rounds(folder / "7B1_golden.json", BIOASQ, listing)
    rounds(folder / "7B2_golden.json", other, BIOASQ)
    rounds(folder / "trainining7b.json", BIOASQ, BIOASQ | {"id": "b4", "body": "is  it SAFE?", "exact_answer": "Yes"})
    out = tmp_path / "out"
    prepare("bioasq", folder, out)
    test = read_benchmark(out)
    assert [(one["id"], one["answer"]) for one in test] == [("b1", "yes"), ("b2", "no")]
    assert test[0]["context"] == "It was safe.\nNo event." and test[0]["explanation"] == "Yes, it is."
    assert [one["id"] for one in read_benchmark(out, "train")] == ["b4"]
    assert facts(out)["left_out"] == {"test": {"given_twice": 1, "type_list": 1}, "train": {"in_test": 1}}
    assert written(out, "left_out.jsonl")[0] == {
        **{"split": "train", "file": "trainining7b.json", "record": "b1", "reason": "in_test"}
    }
    assert facts(out)["oddities"] == {"test": {"no_context": 1}, "train": {"asked_in_test": 1}}
    rounds(folder / "7B3_golden.json", BIOASQ | {"exact_answer": "no"})
    with pytest.raises(DataError, match=r"7B3_golden.json:b1: has the id of 7B1_golden.json:b1"):
        prepare("bioasq", folder, tmp_path / "again")
    rounds(folder / "7B3_golden.json", BIOASQ | {"id": "b5", "exact_answer": "maybe"})
    with pytest.raises(DataError, match=r"7B3_golden\.json:b5: exact_answer is 'maybe', not yes or no"):
        prepare("bioasq", folder, tmp_path / "again")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer_idx": "E"}, "answer_idx 'E' is not one of A, B, C, D"),
        ({"answer": "Insulin"}, "answer is not the text of option A"),
        ({"options": MEDQA["options"] | {"C": ""}}, "option C is empty"),
        ({"options": ["Aspirin"]}, "options is "),
        ({"question": None}, "question is None"),
        ({"question": "half \ud800"}, "a text holds half a character"),
    ],
)
def test_unfit_records_are_named_and_counted(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    bad = [MEDQA | change] * 7
    with pytest.raises(DataError) as caught:
        prepare("medqa", medqa(tmp_path / "in", MEDQA, *bad), tmp_path / "out")
    assert f"7 unfit records: test: phrases_no_exclude_test.jsonl:2: {message}" in str(caught.value)
    assert str(caught.value).count(message) == 5 and "(and 2 more)" in str(caught.value)
    assert not (tmp_path / "out").exists()
    places = ",".join(f"phrases_no_exclude_test.jsonl:{number}" for number in range(2, 9))
    with pytest.raises(DataError, match=r"leave_out: no record is called here\.jsonl:1; write"):
        prepare("medqa", tmp_path / "in", tmp_path / "out", f"leave_out=[{places},here.jsonl:1]")
    prepare("medqa", tmp_path / "in", tmp_path / "out", f"leave_out=[{places}]", "expected.test=1")
    assert facts(tmp_path / "out")["left_out"] == {"test": {"by_recipe": 7}}


def test_counts_and_splits_are_asserted(tmp_path: Path) -> None:
    folder, out = medqa(tmp_path / "in"), tmp_path / "out"
    message = refused(recipe("prepare_benchmark", "yamls/benchmark/medqa.yaml", f"inputs={folder}", f"out={out}"))
    for words in ("train has 2 questions, not 10,178", "test has 1 questions, not 1,273 (expected.test=1 for these)"):
        assert words in message
    counts = ["expected.train=2", "expected.validation=1", "expected.test=1"]
    prepare("medqa", folder, out, *counts, dry_run=True)
    assert not out.exists()
    (folder / "phrases_no_exclude_dev.jsonl").unlink()
    with pytest.raises(
        DataError, match=r"files.validation: no file 'phrases_no_exclude_dev.jsonl'.*files.validation=\[\]"
    ):
        prepare("medqa", folder, out, *counts)
    prepare("medqa", folder, out, *counts, "files.validation=[]")
    with pytest.raises(DataError, match="has no validation split; it has train, test"):
        read_benchmark(out, "validation")
    with pytest.raises(DataError, match="given twice, for train and for test"):
        prepare("medqa", folder, out, "files.validation=[]", "files.train=phrases_no_exclude_test.jsonl")
    with pytest.raises(ConfigError, match="names no split"):
        prepare("medqa", folder, out, "files.test=[]", *ONLY_TEST)


def test_repeats_are_refused_or_counted(tmp_path: Path) -> None:
    again = MEDQA | {"question": "which  DRUG?", "options": {**MEDQA["options"], "A": "Insulin", "D": "Aspirin"}}
    again |= {"answer_idx": "D"}
    odd = MEDQA | {"question": "Odd?", "options": {**MEDQA["options"], "B": "Insulin"}}
    folder = medqa(tmp_path / "in", MEDQA, again, odd)
    with pytest.raises(DataError, match=r"test: 1 questions are asked again .*: test-2 repeats test-1.*repeats.test=1"):
        prepare("medqa", folder, tmp_path / "out", "repeats.test=0")
    prepare("medqa", folder, tmp_path / "out", "repeats.test=1")
    assert len(read_benchmark(tmp_path / "out")) == 3  # none is dropped
    assert facts(tmp_path / "out")["oddities"] == {"test": {"equal_options": 1, "repeated": 1}}


def test_some_of_train_can_be_validation(tmp_path: Path) -> None:
    lines(tmp_path / "in/train.json", *(MEDMCQA | {"id": f"t{at}", "cop": 4, "question": f"{at}?"} for at in range(30)))
    lines(tmp_path / "in/dev.json", MEDMCQA | {"cop": 4})
    prepare("medmcqa", tmp_path / "in", tmp_path / "out", "validation_from_train=10", "expected.train=20")
    train, validation = (
        [one["id"] for one in read_benchmark(tmp_path / "out", split)] for split in ("train", "validation")
    )
    assert (len(train), len(validation)) == (20, 10) and len({*train, *validation}) == 30
    assert validation == sorted(validation, key=lambda name: int(name[1:])) != [f"t{at}" for at in range(10)]
    with pytest.raises(DataError, match="30 of train's 30 questions would leave none"):
        prepare("medmcqa", tmp_path / "in", tmp_path / "other", "validation_from_train=30")
    with pytest.raises(ConfigError, match="validation_from_train: the recipe has a validation split already"):
        prepare("medqa", tmp_path / "in", tmp_path / "other", "validation_from_train=1")


def test_a_prepared_folder_that_was_changed_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare("medqa", medqa(tmp_path / "in"), out)
    with open(out / "test.jsonl", "a") as stream:
        stream.write(json.dumps(MEDQA) + "\n")
    with pytest.raises(DataError, match=r"test.jsonl: is not what .*manifest.json says"):
        read_benchmark(out)
    with pytest.raises(DataError, match="not a finished output"):
        read_benchmark(tmp_path / "in")
    assert fault_of({}) == "no text in id"
