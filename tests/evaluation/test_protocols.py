"""Every protocol from a model's folder to its results, on models of a few thousand weights."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from evaluation.protocol_models import medqa, pubmedqa, save_head, save_model, save_speaker
from launch import ROOT
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from lm_eval.utils import hash_string
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.corpus.document import read_documents
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.benchmark import read_benchmark
from medlm_recipes.evaluation.evaluate import evaluate
from medlm_recipes.evaluation.task import read_task

Read = tuple[dict[str, Any], list[dict[str, Any]]]
TASKS = "yamls/evaluate/tasks"
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>answer\n{% endif %}"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with model/, medqa/ and pubmedqa/."""
    folder = tmp_path_factory.mktemp("made")
    save_model(folder / "model")
    medqa(folder)
    pubmedqa(folder)
    return folder


def evaluated(recipe: str, *overrides: Any) -> Read:
    config = load_config(EvaluateConfig, ROOT / f"yamls/evaluate/{recipe}.yaml", [str(one) for one in overrides])
    evaluate(config, dry_run=False)
    return read(Path(config.out))


def read(out: Path) -> Read:
    samples = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    return json.loads((out / "results.json").read_text()), samples


def as_meditron(question: dict[str, Any]) -> str:
    """`format_mcq` of Meditron's benchmarks.py."""
    asked = question["question"] if question["question"][-1] in "?." else question["question"] + "?"
    return f"Question: {asked}\n\nOptions:\n" + "\n".join(f"{key}. {text}" for key, text in question["options"].items())


def log_likelihood(model: Any, tokenizer: Any, context: str, answer: str) -> float:
    prompt, whole = tokenizer.encode(context), tokenizer.encode(context + answer)
    with torch.no_grad():
        logs = model(input_ids=torch.tensor([whole])).logits[0].log_softmax(-1)
    return sum(logs[at - 1, whole[at]].item() for at in range(len(prompt), len(whole)))


@pytest.fixture(scope="module")
def topk(made: Path) -> Path:
    """Meditron's three draws of three demonstrations."""
    out = made / "topk"
    evaluated("meditron-topk", f"checkpoint={made}/model", f"benchmark={made}/medqa", f"out={out}")
    return out


def test_top_token_asks_as_meditron_did(made: Path, topk: Path) -> None:
    """Prompts put together by hand in the published layout, with the demonstrations that `datasets` would draw."""
    results, samples = read(topk)
    model = AutoModelForCausalLM.from_pretrained(made / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(made / "model")
    system = read_task(f"{TASKS}/meditron_topk_medqa.yaml")["description"]
    assert system.startswith("You are a medical doctor taking the US Medical Licensing") and system[-1] == "\n"
    questions, training = read_benchmark(made / "medqa"), read_benchmark(made / "medqa", "train")
    for seed in (1234, 432, 32):
        shuffled = datasets.Dataset.from_list([{"at": at} for at in range(6)]).shuffle(seed=seed)
        drawn = [training[at] for at in shuffled["at"][:3]]
        shown = "\n\n".join(f"{as_meditron(one)}\nThe answer is: {one['answer_idx']}" for one in drawn)
        own = [sample for sample in samples if sample["seed"] == seed]
        assert [sample["id"] for sample in own] == [question["id"] for question in questions]
        for question, sample in list(zip(questions, own, strict=True))[:4]:
            prompt = f"{system}{shown}\n\n{as_meditron(question)}\nThe answer is:"
            assert sample["prompt_hash"] == hash_string(prompt)
            expected = [log_likelihood(model, tokenizer, prompt, f" {letter}") for letter in "ABCD"]
            assert sample["log_likelihoods"] == pytest.approx(expected, abs=1e-4)
            assert sample["prediction"] == "ABCD"[expected.index(max(expected))]
    score = results["scores"]["acc"]
    by_seed = [sum(sample["acc"] for sample in samples if sample["seed"] == seed) / 12 for seed in (1234, 432, 32)]
    assert list(score["seeds"].values()) == pytest.approx(by_seed)
    assert score["value"] == pytest.approx(sum(by_seed) / 3)
    assert score["seeds_std"] == pytest.approx(torch.tensor(by_seed).double().std().item())
    assert results["protocol"] == "meditron-topk" and results["metric"] == "acc" and results["valid"]
    assert {name: own["n"] for name, own in results["subjects"].items()} == {"step1": 6, "step2": 6}
    assert str(made) not in json.dumps(results)


def test_the_stock_command_asks_and_scores_the_same(
    made: Path, topk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped YAMLs as they are, by lm-eval's own evaluator and hf backend, in a folder with `benchmark/`."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark/test.jsonl").symlink_to(made / "medqa/test.jsonl")
    (tmp_path / "benchmark/train.jsonl").symlink_to(topk / "demonstrations-432.jsonl")
    place = [f"checkpoint={made}/model", f"benchmark={made}/medqa"]
    _, likelihood = evaluated("likelihood", *place, f"out={tmp_path}/likelihood")
    ours = {
        "likelihood": likelihood,
        "meditron_topk_medqa": [sample for sample in read(topk)[1] if sample["seed"] == 432],
    }
    manager = TaskManager(include_path=str(ROOT / TASKS), include_defaults=False)
    monkeypatch.chdir(tmp_path)
    for name, shots in (("likelihood", 0), ("meditron_topk_medqa", 3), ("meditron_sc_cot_medqa", None)):
        stock = simple_evaluate(
            model="hf",
            model_args=f"pretrained={made}/model",
            device="cpu",
            tasks=[name],
            num_fewshot=shots,
            task_manager=manager,
            bootstrap_iters=0,
            limit=None if name in ours else 1,
            gen_kwargs=None if name in ours else "max_gen_toks=4",
        )
        assert stock is not None
        found = sorted(stock["samples"][name], key=lambda sample: sample["doc_id"])
        if name not in ours:
            assert len(found[0]["resps"][0]) == 5 and "exact_match,majority" in stock["results"][name]
            continue
        for one, two in zip(found, ours[name], strict=True):
            assert one["prompt_hash"] == two["prompt_hash"]
            assert [reply[0] for reply in one["filtered_resps"]] == pytest.approx(two["log_likelihoods"], abs=1e-4)
            assert (one["acc"], one.get("acc_norm")) == (two["acc"], two.get("acc_norm"))


def test_batches_change_no_score(made: Path, tmp_path: Path) -> None:
    place = [f"checkpoint={made}/model", f"benchmark={made}/medqa", "shots=2", "seeds=7"]
    by_size = [
        evaluated("meditron-topk", *place, f"out={tmp_path}/{size}", f"batch_size={size}") for size in (1, 5, 64)
    ]
    for results, samples in by_size[1:]:
        assert results == by_size[0][0]
        for one, two in zip(samples, by_size[0][1], strict=True):
            assert one["prediction"] == two["prediction"]
            assert one["log_likelihoods"] == pytest.approx(two["log_likelihoods"], abs=1e-4)


def test_what_does_not_fit_loses_demonstrations_but_never_its_question(tmp_path: Path) -> None:
    model = save_model(tmp_path / "short", positions=256)
    benchmark = medqa(tmp_path, long_question=True)
    place = [f"checkpoint={model}", f"benchmark={benchmark}", "seeds=7"]
    results, samples = evaluated("meditron-topk", *place, f"out={tmp_path}/three")
    whole, alone = evaluated("meditron-topk", *place, f"out={tmp_path}/none", "shots=0")
    assert results["too_long"] == whole["too_long"] == {"questions": 1, "ids": ["test-8"]}
    assert results["unanswered"] == pytest.approx(1 / 12) and results["valid"]
    kept = {sample["demonstrations"] for sample in samples if not sample["too_long"]}
    assert kept < {0, 1, 2}, "the model must be too short for three"
    dropped = sum(3 - sample["demonstrations"] for sample in samples if not sample["too_long"])
    assert results["demonstrations_dropped"] == {"prompts": 11, "demonstrations": dropped}
    left_out = samples[7]
    assert left_out["too_long"] and left_out["prediction"] is None and left_out["acc"] == 0
    system = read_task(f"{TASKS}/meditron_topk_medqa.yaml")["description"]
    questions, training = read_benchmark(benchmark), read_benchmark(benchmark, "train")
    order = datasets.Dataset.from_list([{"at": at} for at in range(6)]).shuffle(seed=7)["at"][:3]
    for question, sample in zip(questions, samples, strict=True):
        last = [training[at] for at in order][3 - sample["demonstrations"] :]  # the first were dropped
        shown = "".join(f"{as_meditron(one)}\nThe answer is: {one['answer_idx']}\n\n" for one in last)
        assert sample["prompt_hash"] == hash_string(f"{system}{shown}{as_meditron(question)}\nThe answer is:")
    assert all(sample["demonstrations"] == 0 for sample in alone)


def test_chains_of_thought_are_sampled_read_and_voted_on(made: Path, tmp_path: Path) -> None:
    prompt = read_task(f"{TASKS}/meditron_cot_medqa.yaml")["description"]
    prompts = [f"{prompt}{as_meditron(one)}\nLet's think step by step.\n" for one in read_benchmark(made / "medqa")]
    speaker = save_speaker(tmp_path / "speaker", prompts, "It is known. The answer is C.")
    place = [f"checkpoint={speaker}", f"benchmark={made}/medqa", "max_gen_toks=24", "max_unparsed=0.5"]
    results, samples = evaluated("meditron-cot", *place, f"out={tmp_path}/cot")
    assert {sample["prompt_hash"] for sample in samples} == {hash_string(one) for one in prompts}
    assert {tuple(sample["letters"]) for sample in samples} == {("C",)} and results["unparsed_rate"] == 0
    assert results["scores"]["acc"]["value"] == 3 / 12
    results, samples = evaluated("meditron-sc-cot", *place, f"out={tmp_path}/sc")
    assert all(len(sample["texts"]) == len(sample["letters"]) == 5 for sample in samples)
    assert len({text for sample in samples for text in sample["texts"]}) > 1, "nothing was sampled"
    unread = sum(sample["letters"].count(None) for sample in samples)
    assert results["unparsed_rate"] == unread / 60 < 0.5
    assert results["settings"]["generation"]["repeats"] == 5 and results["settings"]["generation"]["temperature"] == 0.8
    for sample in samples:
        votes = [letter for letter in sample["letters"] if letter]
        assert sample["parsed"] == bool(votes)
        assert sample["prediction"] == (
            max(votes, key=lambda one: (votes.count(one), -votes.index(one))) if votes else None
        )
        assert sample["acc"] == (sample["prediction"] == sample["target"])
    evaluated("meditron-sc-cot", *place, f"out={tmp_path}/again")
    assert (tmp_path / "again/samples.jsonl").read_text() == (tmp_path / "sc/samples.jsonl").read_text()


def test_a_model_that_babbles_has_no_valid_score(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = [f"checkpoint={made}/model", f"benchmark={made}/pubmedqa", "max_gen_toks=12"]
    task = f"task={TASKS}/meditron_cot_pubmedqa.yaml"
    for _ in range(2):  # the second time the results are there, and no better
        with pytest.raises(DataError, match=r"marked invalid: 100.0% of the generated texts hold no readable answer"):
            evaluated("meditron-cot", *place, task, f"out={tmp_path}/babble")
    results, samples = read(tmp_path / "babble")
    assert (
        results["valid"] is False and results["unparsed_rate"] == 1.0 and "max_unparsed" in results["invalid_because"]
    )
    assert results["scores"]["acc"]["value"] == 0 and results["scores"]["acc"]["standard_error"] > 0.05
    assert results["scores"]["acc"]["interval_by"] == "wilson"
    assert all(len(sample["texts"]) == 1 and not sample["parsed"] for sample in samples)
    assert results["chance"] == pytest.approx(1 / 3)
    accepted, _ = evaluated("meditron-cot", *place, task, f"out={tmp_path}/taken", "max_unparsed=1")
    assert accepted["valid"]


def test_chat_puts_the_instruction_into_the_template(made: Path, tmp_path: Path) -> None:
    model = save_model(tmp_path / "chat", chat_template=CHATML)
    place = [f"benchmark={made}/medqa", "chat=true", "shots=0", "seeds=1"]
    _, samples = evaluated("meditron-topk", f"checkpoint={model}", *place, f"out={tmp_path}/out")
    system = read_task(f"{TASKS}/meditron_topk_medqa.yaml")["description"]
    question = as_meditron(read_benchmark(made / "medqa")[0]) + "\nThe answer is:"
    expected = f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>answer\n"
    assert samples[0]["prompt_hash"] == hash_string(expected)
    loaded, tokenizer = AutoModelForCausalLM.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    # Letters follow the template directly, without a space; lm-eval scores a last line break with what follows it.
    own = [log_likelihood(loaded, tokenizer, expected.rstrip(), f"\n{letter}") for letter in "ABCD"]
    assert samples[0]["log_likelihoods"] == pytest.approx(own, abs=1e-4)
    with pytest.raises(ConfigError, match="no chat template"):
        evaluated("meditron-topk", f"checkpoint={made}/model", *place, f"out={tmp_path}/none")


def test_a_fine_tuned_head_chooses(made: Path, tmp_path: Path) -> None:
    scorer, labeller = save_head(tmp_path / "scorer", ["score"]), save_head(tmp_path / "label", ["maybe", "no", "yes"])
    tokenizer = AutoTokenizer.from_pretrained(scorer)
    results, samples = evaluated(
        "biomedlm", f"checkpoint={scorer}", f"benchmark={made}/medqa", f"out={tmp_path}/a", "batch_size=5"
    )
    assert results["protocol"] == "biomedlm"
    model = AutoModelForSequenceClassification.from_pretrained(scorer).eval()
    for question, sample in zip(read_benchmark(made / "medqa"), samples, strict=True):
        for text, found in zip(question["options"].values(), sample["log_likelihoods"], strict=True):
            ids = torch.tensor([tokenizer.encode(f"{question['question']} {text}")])
            assert model(input_ids=ids).logits.item() == pytest.approx(found, abs=1e-4)
    _, samples = evaluated("biomedlm", f"checkpoint={labeller}", f"benchmark={made}/pubmedqa", f"out={tmp_path}/b")
    model = AutoModelForSequenceClassification.from_pretrained(labeller).eval()
    for question, sample in zip(read_benchmark(made / "pubmedqa"), samples, strict=True):
        ids = torch.tensor([tokenizer.encode(f"{question['context']}\n{question['question']}")])
        logs = model(input_ids=ids).logits[0].log_softmax(-1)
        expected = [logs[["maybe", "no", "yes"].index(text)].item() for text in question["options"].values()]
        assert sample["log_likelihoods"] == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ConfigError, match="its head knows maybe, no, yes; the benchmark also has Aspirin"):
        evaluated("biomedlm", f"checkpoint={labeller}", f"benchmark={made}/medqa", f"out={tmp_path}/c")
    with pytest.raises(ConfigError, match="has no head"):
        evaluated("biomedlm", f"checkpoint={made}/model", f"benchmark={made}/medqa", f"out={tmp_path}/d")
    with pytest.raises(ConfigError, match="has a fine-tuned head"):
        evaluated("likelihood", f"checkpoint={scorer}", f"benchmark={made}/medqa", f"out={tmp_path}/e")


def test_questions_that_stand_in_the_training_data_are_scored_apart(
    made: Path, line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    texts = [document.text for document in read_documents(line / "documents", "train", "pubmed-abstracts")][:3]
    questions = [
        {"question": text, "options": {"A": f"one {at}", "B": f"two {at}"}, "answer_idx": "A", "answer": f"one {at}"}
        for at, text in enumerate([" ".join(texts[0].split()[:40]), "Which of these was never written down anywhere?"])
    ]
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(question) + "\n" for question in questions))
    place = [f"checkpoint={made}/model", f"benchmark={path}", f"shards={line}/shards"]
    results, samples = evaluated("likelihood", *place, f"out={tmp_path}/out")
    found = results["contaminated"]
    assert found["share"] == 0.5 and found["ids"] == ["1"]
    assert found["contaminated"]["value"] == samples[0]["acc"] and found["clean"]["value"] == samples[1]["acc"]
    assert results["hashes"]["shards"]
    assert len(list((tmp_path / "cache/medlm-recipes/contamination").iterdir())) == 1  # for the run's other checkpoints


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        ("meditron-topk", ["shots=0"], "seeds: .* nothing is drawn with shots: 0"),
        ("meditron-topk", ["shots=7"], "has only 6 questions that the benchmark does not ask"),
        ("meditron-topk", ["benchmark={made}/medqa/test.jsonl"], "is one file and has no training questions"),
        ("meditron-topk", ["demonstrations={made}/medqa/test.jsonl"], "has only 0 questions"),
        ("meditron-cot", ["shots=2"], "is zero-shot"),
        ("likelihood", ["demonstrations=x"], "of no use with shots: 0"),
        ("likelihood", ["seeds=[1,1]"], "names a seed twice"),
        ("likelihood", ["task={made}/gone.yaml"], "no such file"),
        ("likelihood", ["task={made}/open.yaml", "benchmark={made}/pubmedqa"], "leaves out the context of question"),
        ("likelihood", ["task={made}/undefined.yaml"], "cannot be put into words .* 'cop' is undefined"),
        ("likelihood", ["task={made}/code.yaml"], "not YAML"),
        ("likelihood", ["task={made}/bare.yaml"], "has no doc_to_choice"),
    ],
)
def test_unfit_recipes_are_refused(made: Path, tmp_path: Path, recipe: str, overrides: list[str], message: str) -> None:
    text = (ROOT / TASKS / "likelihood.yaml").read_text()
    lines = {"doc_to_text": 'doc_to_text: "{{question}}"', "doc_to_choice": ""}
    own = "\n".join(line for line in text.splitlines() if not line.startswith("doc_to_text"))
    (made / "open.yaml").write_text(f"{own}\n{lines['doc_to_text']}\n")
    (made / "undefined.yaml").write_text(f"{own}\ndoc_to_text: '{{{{cop}}}}'\n")
    (made / "code.yaml").write_text(f"{own}\ndoc_to_text: !function code.text\n")
    (made / "bare.yaml").write_text("\n".join(line for line in text.splitlines() if not line.startswith("doc_to_ch")))
    place = [f"checkpoint={made}/model", f"benchmark={made}/medqa", f"out={tmp_path}/out"]
    with pytest.raises(ConfigError, match=message):
        evaluated(recipe, *place, *(one.format(made=made) for one in overrides))
    assert not (tmp_path / "out").exists()
