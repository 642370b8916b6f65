"""Fine-tuning by the train verb, on two ranks under FSDP2: exact gradients, LoRA, resume, a head; reading it again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from export.serving import STACK, chat, serving
from launch import ROOT, composer_script, done, recipe
from streaming import StreamingDataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.examples import ExamplesConfig
from medlm_recipes.config.export import ExportConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.model import LoraKeys, ModelKeys
from medlm_recipes.config.summaries import SummariesConfig
from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.evaluate import evaluate
from medlm_recipes.evaluation.summaries import score_summaries
from medlm_recipes.examples.conversion import convert_examples_to_mds
from medlm_recipes.examples.layout import LaidOut, layout_of
from medlm_recipes.examples.records import Question
from medlm_recipes.export.export import export
from medlm_recipes.models.building import build_model
from medlm_recipes.models.causal_lm import TrainedCausalLM
from medlm_recipes.models.lora import add_lora
from medlm_recipes.shards.rows import RowReader
from medlm_recipes.tokenization.chatml import END, START
from medlm_recipes.tokenization.training import train_tokenizer
from medlm_recipes.training.checkpoints import load_model
from medlm_recipes.training.model import model_of_run
from medlm_recipes.training.opening import run_manifest
from medlm_recipes.training.plan import plan_training
from medlm_recipes.training.run_folder import read_checkpoint, tokenizer_of

ROWS, LENGTH = 8, 64
STEP = ROWS * LENGTH
LORA = {"r": 4, "alpha": 8, "embeddings": True}
SUMMARIES = ["pain", "a drug", "the disease", "safety", "a trial", "patients", "dose of it", "the target"]
COMMON = ["optimizer.max_grad_norm=null", "log_interval=1", "guard.warmup=8"]


@pytest.fixture(scope="module")
def place(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with base/ (a small GPT-2), tokenizer/ (with ChatML), chats/, questions/ and summaries/ (shards)."""
    out = tmp_path_factory.mktemp("finetune")
    token_keys = {"out": str(out / "tokenizer"), "base": str(line / "tokenizer"), "special_tokens": [START, END]}
    train_tokenizer(TokenizerConfig(**token_keys), False)  # type: ignore[arg-type]
    torch.manual_seed(5)
    model = build_model(ModelKeys(name="gpt2", n_layer=2, n_head=2, n_embd=32), 800, 128, 0)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(10)
    model.save_pretrained(out / "base")
    folder = out / "said"
    folder.mkdir()
    chats = [
        {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Pain. " * (1 + number)}]}
        for number in range(ROWS)  # responses of many lengths, so that rows differ in their labels
    ]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, chats)))
    convert(out, [folder], "chat", "sft", "chats", pack=False)
    pairs = out / "pairs"
    pairs.mkdir()
    sources = [f"Patients ask for a long time about {word} and other things" for word in SUMMARIES]
    (pairs / "train.source").write_text("\n".join(sources))
    (pairs / "train.target").write_text("\n".join(SUMMARIES))
    convert(out, [pairs], "pairs", "sft", "summaries", pack=False)
    asked = [line / "world/finetune/questions"]
    convert(out, asked, "benchmark", "multiple_choice", "questions", validation_fraction=0.1)
    return out


def convert(out: Path, inputs: list[Path], form: str, task: str, name: str, **keys: Any) -> None:
    given = {"inputs": [str(one) for one in inputs], "format": form, "task": task, "sequence_length": LENGTH, **keys}
    convert_examples_to_mds(ExamplesConfig(tokenizer=str(out / "tokenizer"), out=str(out / name), **given), False)


def arguments(place: Path, run: str, shards: str, pretrained: Path, *overrides: str) -> list[str]:
    return [
        "yamls/quickstart/finetune.yaml",
        f"run={place / run}",
        f"shards={place / shards}",
        f"tokenizer={place / 'tokenizer'}",
        f"model.pretrained={pretrained}",
        *COMMON,
        *overrides,
    ]


def chatting(place: Path, run: str) -> list[str]:
    lora = [f"model.lora.{name}={value}" for name, value in LORA.items()]
    batch = [f"global_batch={ROWS}", "parallel.micro_batch=2", "max_duration=4ep", "budgets=[2ep]"]
    return arguments(place, run, "chats", place / "base", "task=sft", "scheduler.warmup=0.25dur", *batch, *lora)


def choosing(place: Path, run: str) -> list[str]:
    """From the fine-tuned chat model's checkpoint, whose adapters are merged."""
    checkpoint = place / "sft/checkpoints" / f"tok{4 * STEP}"
    lengths = ["max_duration=1ep", "budgets=[0.5ep]"]
    return arguments(place, run, "questions", checkpoint, "optimizer.lr=1e-3", *lengths)


def summarising(place: Path) -> list[str]:
    """Eighty times the same eight pairs."""
    batch = ["global_batch=8", "parallel.micro_batch=2", "max_duration=80ep", "budgets=[]", "optimizer.lr=5e-3"]
    return arguments(place, "pairs-run", "summaries", place / "base", "task=sft", *batch)


@pytest.fixture(scope="module")
def tuned(place: Path) -> Path:
    """place with the runs sft/ and mc/, and both -again/ as resumed from halfway: by one launch on two ranks."""
    jobs: list[Any] = []
    for run, given in (("sft", chatting), ("mc", choosing)):
        jobs += [given(place, run), {"copy": f"{place}/{run}", "as": f"{place}/{run}-again"}]
        jobs += [given(place, f"{run}-again")]
    jobs += [summarising(place)]
    said = done(composer_script(2, "tests/training/several.py", f"{place}/gradients.pt", json.dumps(jobs))).stdout
    assert f"resuming from {place}/sft-again/checkpoints/tok{2 * STEP}" in said
    assert f"resuming from {place}/mc-again/checkpoints/tok" in said
    return place


def last(run: Path) -> Path:
    return max((run / "checkpoints").iterdir(), key=lambda folder: int(folder.name.removeprefix("tok")))


def test_a_resumed_run_is_the_uninterrupted_one(tuned: Path) -> None:
    for run in ("sft", "mc"):
        metrics = [(tuned / folder / "metrics.jsonl").read_text() for folder in (run, f"{run}-again")]
        assert metrics[0] == metrics[1] and len(metrics[0].splitlines()) >= 4


def big_batch(place: Path) -> dict[str, torch.Tensor]:
    """Every row of chats/, which is the batch of each step."""
    stream = StreamingDataset(local=str(place / "chats/train/said"), batch_size=1, shuffle=False)
    facts = {"task": "sft", "end_of_text": 0}
    rows = [RowReader(facts).read(stream[at]) for at in range(stream.size)]
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def test_gradients_of_two_ranks_and_two_micro_batches_are_those_of_one_batch(tuned: Path) -> None:
    """The mean over all labels; rows of different numbers of them weigh alike in the mean of micro-batches' means."""
    kept = torch.load(tuned / "gradients.pt")
    keys = ModelKeys(name="hf", pretrained=str(tuned / "base"), mask_documents=True)
    bare = build_model(keys, 802, LENGTH, 0)
    add_lora(bare, LoraKeys(**LORA))  # type: ignore[arg-type]
    model = TrainedCausalLM(bare, keys, 0)
    model.load_state_dict(kept["weights"], strict=False)
    batch = big_batch(tuned)

    def difference(losses: list[torch.Tensor]) -> float:
        model.zero_grad()
        torch.stack(losses).mean().backward()
        own = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
        assert own.keys() == kept["gradients"].keys()
        return max((own[name] - one).abs().max().item() for name, one in kept["gradients"].items())

    assert difference([model(batch).loss]) < 1e-6
    parts = [{name: part[row : row + 2] for name, part in batch.items()} for row in range(0, ROWS, 2)]
    assert difference([model(part).loss for part in parts]) > 1e-4


def test_adapters_alone_are_trained_and_merged_when_they_are_read(tuned: Path) -> None:
    checkpoint = last(tuned / "sft")
    manifest = read_checkpoint(checkpoint)
    assert manifest.facts["task"] == "sft" and manifest.facts["form"]["converses"]
    trained = {name for name in torch.load(tuned / "gradients.pt")["gradients"] if "lora_" not in name}
    assert trained == {"model.transformer.wte.weight"}
    model, base = load_model(checkpoint), AutoModelForCausalLM.from_pretrained(tuned / "base")
    assert not [name for name, _ in model.named_parameters() if "lora" in name or "base_layer" in name]
    for name, one in base.named_parameters():
        ours = model.get_parameter(name)[: len(one)]
        moved = "attn.c_" in name or "mlp.c_" in name or "wte" in name
        assert torch.equal(ours, one) != (moved and "weight" in name), name
    assert (
        "chat_template" in (tokenizer_of(checkpoint) / "tokenizer_config.json").read_text()
        or (tokenizer_of(checkpoint) / "chat_template.jinja").is_file()
    )


@pytest.mark.skipif(not STACK.is_dir(), reason="build/serving is not there: make test installs the server's stack")
def test_an_exported_chat_model_answers_as_it_does_here(tuned: Path, tmp_path: Path) -> None:
    checkpoint, out = last(tuned / "sft"), tmp_path / "chat"
    done(recipe("export", "yamls/export/huggingface.yaml", f"checkpoint={checkpoint}", f"out={out}", "dtype=float32"))
    said = done(
        recipe("generate", "yamls/generate/answer.yaml", f"checkpoint={out}", 'prompts=["Why?"]', "max_new_tokens=12")
    ).stdout
    with serving(out, tmp_path / "log") as address:
        served = chat(address, out, "Why?", 12)
    assert served and said == f"> Why?\n{served.strip()}\n\n"


def test_a_head_starts_from_a_checkpoint_and_is_scored_as_it_was_trained(
    tuned: Path, line: Path, tmp_path: Path
) -> None:
    rows = [row for row in read_rows(tuned / "mc/metrics.jsonl") if row["split"] == "validation"]
    assert len(rows) == 2 and all(0 <= row["accuracy"] <= 1 and "bits_per_byte" not in row for row in rows)
    checkpoint = last(tuned / "mc")
    manifest = read_checkpoint(checkpoint)
    assert manifest.facts["started_from"]["tokens"] == 4 * STEP and manifest.facts["options"] == 4
    model = load_model(checkpoint)
    assert type(model).__name__ == "GPT2ForSequenceClassification" and model.config.num_labels == 1
    test = line / "world/finetune/questions/test.jsonl"
    given = [f"checkpoint={checkpoint}", f"benchmark={test}", f"out={tmp_path}/scores"]
    evaluate(load_config(EvaluateConfig, ROOT / "yamls/evaluate/biomedlm.yaml", given), dry_run=False)
    samples = [json.loads(text) for text in (tmp_path / "scores/samples.jsonl").read_text().splitlines()]
    asked = {record["id"]: record for record in map(json.loads, test.read_text().splitlines())}
    assert len(samples) == len(asked)
    layout = layout_of(manifest.facts, tokenizer_of(checkpoint))
    for sample in samples[:5]:  # evaluate reads what was trained on
        question = as_question(asked[sample["id"]])
        laid_out = layout.lay(question)
        assert isinstance(laid_out, LaidOut)
        with torch.no_grad():
            scores = [model(torch.from_numpy(ids).unsqueeze(0)).logits.item() for ids in laid_out.sequences]
        assert sample["log_likelihoods"] == pytest.approx(scores, abs=1e-5)


def as_question(record: dict[str, Any]) -> Question:
    return Question(record["id"], record["question"], record["options"], record["answer_idx"])


def test_a_fine_tuned_chat_model_is_exported_with_its_template(tuned: Path, tmp_path: Path) -> None:
    """Its adapters are in its weights: transformers alone gives what the checkpoint gives."""
    given = [f"checkpoint={last(tuned / 'sft')}", f"out={tmp_path}/hf", "dtype=float32"]
    export(load_config(ExportConfig, ROOT / "yamls/export/huggingface.yaml", given), dry_run=False)
    chat = [{"role": "user", "content": "Why?"}]
    prompt = AutoTokenizer.from_pretrained(tmp_path / "hf").apply_chat_template(chat, add_generation_prompt=True)
    batch = torch.tensor([prompt])
    with torch.no_grad():
        served = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")(batch).logits
        assert torch.equal(served, load_model(last(tuned / "sft"))(batch).logits)


def test_summaries_are_written_and_scored_by_rouge(tuned: Path, tmp_path: Path) -> None:
    """What was learnt by heart is written again; of the last two sources the summaries are other people's."""
    pairs = tmp_path / "test.source"
    pairs.write_text((tuned / "pairs/train.source").read_text())
    targets = [*SUMMARIES[:6], "wholly different words", "nothing alike"]
    (tmp_path / "test.target").write_text("\n".join(targets))
    given = [f"checkpoint={last(tuned / 'pairs-run')}", f"pairs={pairs}", f"out={tmp_path}/out", "max_new_tokens=16"]
    score_summaries(load_config(SummariesConfig, ROOT / "yamls/summaries/meqsum.yaml", given), dry_run=False)
    results = json.loads((tmp_path / "out/results.json").read_text())
    samples = [json.loads(text) for text in (tmp_path / "out/samples.jsonl").read_text().splitlines()]
    assert [sample["summary"] for sample in samples] == SUMMARIES and results["unfinished"] == 0
    assert [sample["rouge1"] for sample in samples] == [1.0] * 6 + [0.0] * 2
    score = results["scores"]["rougeL"]
    assert score["value"] == 0.75 and score["standard_error"] == pytest.approx((0.75 * 0.25 / 7) ** 0.5)
    with pytest.raises(DataError, match="was not fine-tuned on pairs"):
        score_summaries(SummariesConfig(str(last(tuned / "sft")), str(pairs), str(tmp_path / "no")), dry_run=False)


def config_of(place: Path, *overrides: str) -> TrainConfig:
    path, *given = choosing(place, "another")
    return load_config(TrainConfig, ROOT / path, [*given, *overrides])


def test_epochs_and_shares_become_tokens_in_the_plan(place: Path) -> None:
    """Of 259 questions in batches of 16 an epoch trains on 16 whole batches."""
    plan = plan_training(config_of(place, "max_duration=3ep", "budgets=[0.5ep]", "validation_interval=1ep"), 2)
    rows = plan.shards.facts["splits"]["train"]["questions"]["samples"]
    epoch = rows // 16 * 16 * 4 * LENGTH
    assert plan.row_tokens == 4 * LENGTH and plan.end == 3 * epoch and plan.budgets == [epoch // 2]
    assert (plan.config.max_duration, plan.config.validation_interval) == (f"{3 * epoch}tok", f"{epoch}tok")
    assert plan.config.scheduler.warmup == f"{round(0.1 * 3 * epoch)}tok"
    assert all(length.endswith("tok") for length in plan.config.durations())


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["task=classification"], "task: classification, but"),
        (["max_duration=2ep", "budgets=[3ep]"], "lies beyond max_duration"),
        (["max_duration=2ep", "scheduler.warmup=3ep"], "does not end before max_duration"),
        (["global_batch=4096", "parallel.micro_batch=1"], "holds only"),
    ],
)
def test_what_does_not_fit_the_shards_is_refused(place: Path, overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan_training(config_of(place, *overrides), 2)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["max_duration=3epochs"], "3ep for epochs"),
        (["max_duration=0ep"], "must be above 0"),
        (["scheduler.warmup=1.5dur"], "below 1"),
        (["model.pretrained=null"], "model.pretrained"),
        (["task=sft", "model.loss=plain"], "model.loss: plain: task sft needs fused"),
        (["model.lora.r=0"], "model.lora.r"),
        (["model.lora.r=4", "parallel.tensor_parallel=2"], "parallel.tensor_parallel"),
    ],
)
def test_impossible_recipes_are_refused(place: Path, overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(place, *overrides)
    assert words in str(caught.value)


def test_a_head_is_no_start_for_another_task(tuned: Path) -> None:
    config = config_of(tuned, f"model.pretrained={last(tuned / 'mc')}")
    plan = plan_training(config, 1)
    with pytest.raises(ConfigError, match="is a model for multiple_choice, which has no output layer"):
        model_of_run(config, plan, run_manifest(plan), None)
