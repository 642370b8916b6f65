"""The verb: from nothing but a recipe, on shards that are there, and one rehearsal of the real train verb."""

import json
from pathlib import Path

import pytest
from launch import ROOT, done, recipe, refused, verb

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.model import ModelKeys
from medlm_recipes.config.train import OptimizerKeys, PreflightConfig
from medlm_recipes.models.building import build_model
from medlm_recipes.preflight.check import FAIL, NOT_CHECKED, PASS, WARN
from medlm_recipes.preflight.checks import check_memory, weight_decay
from medlm_recipes.preflight.data import check_data, data_use, disk_of, loading_of
from medlm_recipes.preflight.facts import Facts, gather
from medlm_recipes.preflight.memory import MemoryReport
from medlm_recipes.preflight.memory_extrapolation import Peak
from medlm_recipes.preflight.memory_kinds import KINDS
from medlm_recipes.preflight.memory_verdict import GIB, judge, usable_memory
from medlm_recipes.preflight.preflight import examine
from medlm_recipes.preflight.report import Report


def examined(path: str, *overrides: str) -> Report:
    return examine(load_config(PreflightConfig, ROOT / path, overrides), rehearsed=False)


def outcomes(report: Report) -> dict[str, str]:
    return {check.name: check.outcome for check in report.checks}


def found(report: Report, name: str) -> str:
    return next(check.found for check in report.checks if check.name == name)


def on_line(line: Path, *overrides: str) -> Report:
    given = [f"shards={line}/shards", f"tokenizer={line}/tokenizer", "preflight.vocab_size=800", *overrides]
    return examined("yamls/quickstart/train.yaml", *given)


def test_a_recipe_alone_is_enough(tmp_path: Path) -> None:
    """The first command of docs/preflight.md: no shards, no tokenizer, no GPU."""
    out = f"preflight.out={tmp_path}/report"
    said = done(recipe("preflight", "yamls/train/biomedlm-2.7b.yaml", "cluster=a100-40gb-128", out)).stdout
    assert "128 x a100-40gb on 16 hosts" in said and "not checked shards" in said and "MEMORY    fits" in said
    report = json.loads((tmp_path / "report/preflight.json").read_text())
    assert report["verdict"] == "pass" and report["time"]["cost"] is None and not report["time"]["notes"]
    assert 25 < report["memory"]["peak_bytes"] / 2**30 < 26 and report["memory"]["largest_even_micro_batch"] == 8
    assert {check["name"]: check["outcome"] for check in report["checks"]}["shards"] == NOT_CHECKED
    page = (tmp_path / "report/preflight.html").read_text()
    assert "Nothing speaks against launching this" in page and "http" not in page
    done(recipe("preflight", "yamls/train/biomedlm-1.3b.yaml", out))  # takes the place of the first
    assert "1,269,878,784" in (tmp_path / "report/preflight.html").read_text()


@pytest.mark.parametrize(("gib", "outcome"), [(30, PASS), (36, WARN), (39, FAIL)])
def test_a_run_that_does_not_fit_fails(gib: float, outcome: str) -> None:
    peak = Peak("head", "model", dict.fromkeys(KINDS, gib * GIB / len(KINDS)))
    verdict = judge(peak.total, usable_memory("a100-40gb"))
    memory = MemoryReport("simulation", None, peak, {}, usable_memory("a100-40gb"), verdict, None, None, None)
    assert check_memory(memory, "").outcome == outcome


def test_a_failed_check_ends_with_2_and_says_which(tmp_path: Path) -> None:
    command = ["yamls/train/biomedlm-2.7b.yaml", "cluster=a100-40gb-128", "parallel.micro_batch=16"]
    refused(verb("preflight", *command, f"preflight.out={tmp_path}/report"), "batch", "parallel.micro_batch")
    assert json.loads((tmp_path / "report/preflight.json").read_text())["verdict"] == "fail"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    given = ["yamls/train/biomedlm-2.7b.yaml", "cluster=a100-40gb-128", f"preflight.out={tmp_path}/mine"]
    refused(verb("preflight", *given), "not a finished output of recipes/preflight.py")
    assert (tmp_path / "mine/thesis.txt").is_file()


def test_shards_that_are_there_are_read(line: Path) -> None:
    report = on_line(line)
    made = outcomes(report)
    assert (made["shards"], made["tokenizer"], made["initial loss"], made["data"]) == (PASS, PASS, PASS, WARN)
    source = report.data.sources[0]
    assert source.source == "pubmed-abstracts" and source.epochs > 4 and "repeated text" in found(report, "data")
    assert report.time is None and "cluster=NAME" in report.missing["time"]
    assert report.disk and report.disk.stored and report.disk.shards and report.disk.stored < report.disk.shards


def test_durations_may_be_passes_and_shares_of_the_run(line: Path, tmp_path: Path) -> None:
    """As in the recipes for fine-tuning, to the page with its curve."""
    given = ["max_duration=2ep", "scheduler.warmup=0.5dur", "budgets=[1ep]", f"preflight.out={tmp_path}/report"]
    shards = [f"shards={line}/shards", f"tokenizer={line}/tokenizer", "preflight.vocab_size=800"]
    done(verb("preflight", "yamls/quickstart/train.yaml", *shards, *given))
    rates = json.loads((tmp_path / "report/preflight.json").read_text())["rates"]
    assert rates.index(max(rates)) == pytest.approx(len(rates) / 2, abs=2) and rates[0] < rates[-1] < max(rates)
    assert "<polyline" in (tmp_path / "report/preflight.html").read_text()


def test_what_does_not_agree_with_the_shards_fails(line: Path, marked: Path) -> None:
    assert "vocab_size 800, the recipe states 900" in found(on_line(line, "preflight.vocab_size=900"), "shards")
    other = on_line(line, f"tokenizer={marked}/tokenizer")
    assert outcomes(other)["plan"] == FAIL and "made with the tokenizer" in found(other, "plan")
    assert outcomes(on_line(line, "tokenizer=nowhere"))["tokenizer"] == NOT_CHECKED
    assert outcomes(on_line(line, "data.mixture={blood: 1.0}"))["plan"] == FAIL


def test_the_data_that_a_recipe_states_is_held_against_its_budget() -> None:
    def stated(*overrides: str) -> tuple[PreflightConfig, Facts]:
        given = ["cluster=a100-80gb-128", *overrides]
        config = load_config(PreflightConfig, ROOT / "yamls/train/meditron-70b.yaml", given)
        return config, gather(config)

    config, facts = stated("preflight.train_tokens.replay=4_000_000tok")
    epochs = {source.source: source.epochs for source in data_use(facts).sources}
    assert epochs["replay"] == pytest.approx(1.04, abs=0.01)
    assert check_data(data_use(facts), "text").outcome == PASS
    disk = disk_of(config, facts.plan, 68_976_648_192)
    assert (disk.saved, disk.standing) == (49, 8) and disk.checkpoint == 12 * 68_976_648_192
    loading = loading_of(config, facts.plan, 16_000.0)
    assert (loading.tokens, loading.bytes) == (1_000, 2_000)
    mixture = "data.mixture={guidelines: 0.01, pubmed-abstracts: 0.12, pubmed-papers: 0.86, replay: 0.01}"
    repeated = check_data(data_use(stated(mixture)[1]), "text")
    assert repeated.outcome == WARN and "guidelines 4.5 times" in repeated.found


def test_a_base_is_known_by_its_config(line: Path, tmp_path: Path) -> None:
    keys = ModelKeys(name="llama", n_layer=2, n_head=4, n_kv_head=2, n_embd=64, n_ffn=128)
    model = build_model(keys, 800, 256, 0)
    model.save_pretrained(tmp_path / "base")
    unstated = ["model.name=hf", "model.n_layer=null", "model.n_head=null", "model.n_embd=null"]
    base = [*unstated, f"model.pretrained={tmp_path}/base"]
    report = on_line(line, *base)
    assert outcomes(report)["pretrained"] == PASS and outcomes(report)["initial loss"] == NOT_CHECKED
    assert report.run.parameters == pytest.approx(model.num_parameters(), rel=0.01)
    assert report.host_bytes == 4 * report.run.parameters
    absent = on_line(line, *unstated, "model.pretrained=nowhere")
    assert outcomes(absent)["pretrained"] == NOT_CHECKED and "nowhere" in found(absent, "pretrained")
    adapters = on_line(line, *base, "model.lora={r: 4, alpha: 8}")
    assert "adapters" in adapters.missing["memory"] and outcomes(adapters)["memory"] == NOT_CHECKED


@pytest.mark.parametrize(
    ("keys", "outcome"),
    [
        (OptimizerKeys(lr=1.6e-4, decoupled_weight_decay=1.6e-5), PASS),
        (OptimizerKeys(lr=3e-4, coupled_weight_decay=0.1), PASS),
        (OptimizerKeys(lr=3e-4, coupled_weight_decay=3e-5), WARN),
        (OptimizerKeys(lr=3e-4, decoupled_weight_decay=0.0), PASS),
    ],
)
def test_a_weight_decay_in_the_other_form_is_noticed(keys: OptimizerKeys, outcome: str) -> None:
    assert weight_decay(keys).outcome == outcome


def test_facts_that_nobody_states_are_asked_for() -> None:
    command = ["yamls/train/biomedlm-2.7b.yaml", "preflight.vocab_size=null", "--dry-run"]
    refused(verb("preflight", *command), "preflight.vocab_size: missing", "shards=FOLDER")


def test_a_rehearsal_runs_the_recipe_and_finds_what_breaks_it(line: Path, tmp_path: Path) -> None:
    given = [f"shards={line}/shards", f"tokenizer={line}/tokenizer", "preflight.vocab_size=800"]
    command = ["yamls/quickstart/train.yaml", *given, f"preflight.out={tmp_path}/report", "preflight.rehearse=true"]
    said = done(recipe("preflight", *command)).stdout
    assert "two steps over 2 CPU ranks on rows of its shards" in " ".join(said.split())
    assert "resumed to the same digits" in " ".join(said.split())
