"""Keys of train."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlm_recipes.config.cluster import HardwareKeys, profile_layer
from medlm_recipes.config.evaluate import named_evaluations
from medlm_recipes.config.fields import (
    REQUIRED,
    at_least,
    each,
    key,
    one_of,
    positive,
    remote_url,
    section,
    tokens_or_epochs,
    within,
)
from medlm_recipes.config.guard import GuardKeys
from medlm_recipes.config.mixture import check_mixture
from medlm_recipes.config.model import ModelKeys
from medlm_recipes.config.parallel import ParallelKeys
from medlm_recipes.config.preflight import PreflightKeys
from medlm_recipes.config.schedule import SchedulerKeys
from medlm_recipes.token_math import in_units, parse_tokens

TASKS = ("text", "sft", "multiple_choice", "classification")
HEADED = ("multiple_choice", "classification")
"""Tasks of a model that ends in a head instead of a vocabulary."""


@dataclass
class OptimizerKeys:
    """DecoupledAdamW; the weight decay is given once, in the form that its paper uses."""

    lr: float = key("peak learning rate", check=positive)
    betas: list[float] = key("decay rates of the two moments", [0.9, 0.95], check=each(within(0, 1)))
    eps: float = key("term added to the denominator", 1e-8, check=positive)
    decoupled_weight_decay: float | None = key(
        "share of a weight taken away a step at the peak lr, not multiplied by lr (BioMedLM: 1.6e-5)",
        None,
        check=at_least(0),
    )
    coupled_weight_decay: float | None = key(
        "PyTorch's AdamW form, multiplied by lr (Llama, Meditron: 0.1); converted once to the decoupled form",
        None,
        check=at_least(0),
    )
    max_grad_norm: float | None = key("clip the gradient of all ranks together to this L2 norm", 1.0, check=positive)

    def problems(self) -> Iterator[tuple[str, str]]:
        if len(self.betas) != 2:
            yield "betas", f"{self.betas} must be two numbers"
        given = [decay for decay in (self.decoupled_weight_decay, self.coupled_weight_decay) if decay is not None]
        if len(given) != 1:
            yield "decoupled_weight_decay", "give exactly one of decoupled_weight_decay and coupled_weight_decay"
        elif self.decoupled_weight_decay is not None and self.decoupled_weight_decay > self.lr:
            yield (
                "decoupled_weight_decay",
                f"{self.decoupled_weight_decay} is above lr {self.lr}: each step would take more from a weight than "
                f"lr gives it; a paper's AdamW value is written coupled_weight_decay: {self.decoupled_weight_decay}",
            )


@dataclass
class DataKeys:
    shuffle_seed: int = key("seed of the order of samples", 17)
    num_canonical_nodes: int = key(
        "fixes the order of samples for any number of nodes that divides it or that it divides", 2, check=at_least(1)
    )
    workers: int = key("dataloader processes a rank", 0, check=at_least(0))
    predownload: int = key("samples a rank prefetches from a remote", 1_000, check=at_least(1))
    mixture: dict[str, Any] | None = key(
        "source -> its share of the tokens trained on (shares sum to 1), or source -> its tokens (like 420_000_000tok: "
        "what a run of the targets' sum takes; another run takes them in that ratio). Every train source of the shards "
        "is named, 0 leaves one out; null: every source once a pass",
        None,
        check=check_mixture,
    )


@dataclass
class LoggerKeys:
    """Besides metrics.jsonl, which is always written; each needs its package: pip install -e '.[loggers]'."""

    tensorboard: bool = key("write TensorBoard events to <run>/tensorboard", False)
    wandb_project: str | None = key("Weights & Biases project to log to; its key is read from the environment", None)
    mlflow_experiment: str | None = key("MLflow experiment to log to, at MLFLOW_TRACKING_URI", None)


@dataclass
class TrainConfig:
    run: str = key(
        "folder to write: config.yaml, tokenizer/, checkpoints/, metrics.jsonl, events.jsonl, perplexity.png, "
        "manifest.json"
    )
    save_folder: str | None = key(
        "URL of a folder in an object store (s3://bucket/path, gs://, oci://) that the run is copied to at every "
        "checkpoint, and that a launch whose `run` is not there goes on from",
        None,
        check=remote_url,
    )
    task: str = key(
        "what the shards hold. text, by convert_text_to_mds: every token is learnt; by convert_examples_to_mds: sft "
        "(the responses are learnt), multiple_choice (a linear head over the last token scores every option) or "
        "classification (it gives the label)",
        "text",
        check=one_of(*TASKS),
    )
    shards: str = key("folder written by convert_text_to_mds or convert_examples_to_mds")
    tokenizer: str = key("folder of the tokenizer that made the shards; checked by its hash, kept in the run")
    validation_shards: list[str] = key(
        "folders written by convert_text_to_mds whose validation streams are measured besides those of shards, and "
        "never trained on: general text beside medical, say",
        [],
    )
    start_from: str | None = key(
        "checkpoint folder of another run (<run>/checkpoints/tok<N>) to go on from: weights, optimizer, place in the "
        "data and token count; a cooldown branched off a trunk, say. Only schedule, duration, budgets and intervals "
        "may differ from that run",
        None,
    )
    cluster: str | None = key(
        "profile of the hardware, a file of yamls/cluster by its name or a path; its parallel keys go over the "
        "recipe's, command-line overrides over both",
        None,
    )
    model: ModelKeys = section(ModelKeys, "what is trained")
    optimizer: OptimizerKeys = section(OptimizerKeys, "how weights are updated")
    scheduler: SchedulerKeys = section(SchedulerKeys, "learning rate against tokens")
    parallel: ParallelKeys = section(ParallelKeys, "how the work is laid over ranks")
    hardware: HardwareKeys = section(HardwareKeys, "what the run is planned for; filled in by cluster")
    data: DataKeys = section(DataKeys, "how shards are read")
    guard: GuardKeys = section(GuardKeys, "what is done when training diverges")
    preflight: PreflightKeys = section(PreflightKeys, "what preflight is told besides; train knows override alone")
    loggers: LoggerKeys = section(LoggerKeys, "where metrics go besides the run folder")
    global_batch: int = key("sequences in one optimizer update over all ranks", check=at_least(1))
    max_duration: str = key(
        "token budget of the run, or passes over the data (3ep); here and below epochs become tokens, in whole steps, "
        "once the shards are read",
        check=tokens_or_epochs,
    )
    budgets: list[str] = key(
        "token budgets (or 1ep) to validate and checkpoint at; the end of the run is always one",
        [],
        check=each(tokens_or_epochs),
    )
    evaluate: dict[str, list[str]] = key(
        "scored while training: a name -> an evaluate recipe and key=value laid over it, like likelihood: "
        "[yamls/evaluate/likelihood.yaml, benchmark=FOLDER]; its results are <run>/evaluations/<name>/tok<N>. Empty: "
        "nothing is",
        {},
        check=named_evaluations,
    )
    evaluate_at: list[str] = key(
        "which of budgets and max_duration to score at; empty: all of them", [], check=each(tokens_or_epochs)
    )
    checkpoint_interval: str | None = key("also checkpoint every so many tokens", None, check=tokens_or_epochs)
    keep_checkpoints: int | None = key(
        "how many of the checkpoints that are no budget's stay, the newest; null: all", None, check=at_least(1)
    )
    validation_interval: str | None = key("also validate every so many tokens", None, check=tokens_or_epochs)
    log_interval: int = key("steps between rows of training loss in metrics.jsonl", 10, check=at_least(1))
    seed: int = key("seed of the initial weights and of dropout", 17)

    @staticmethod
    def layer(recipe: Path, given: dict[str, Any]) -> dict[str, Any]:
        return profile_layer(recipe, given)

    def durations(self) -> list[str]:
        """Every duration that the recipe gives."""
        lengths = (
            self.max_duration, *self.budgets, *self.evaluate_at, self.checkpoint_interval, self.validation_interval,
        )  # fmt: skip
        parts = (self.scheduler.warmup, self.scheduler.cooldown)
        return [length for length in (*lengths, *parts) if length is not None]

    def problems(self) -> Iterator[tuple[str, str]]:
        if all(in_units(length, "ep", "dur") == "tok" for length in self.durations()):
            yield from self._problems_of_length()  # otherwise they are looked for once all are tokens
        if self.task != "text" and self.model.pretrained is None:
            yield "model.pretrained", f"missing; task {self.task} trains on weights that were trained on text"
        if self.task == "sft" and self.model.loss != "fused":
            yield "model.loss", f"{self.model.loss}: task sft needs fused, which keeps packed examples apart"
        yield from self._problems_of_scores()
        for name, what in self.parallel.problems_with_model(self.model):
            yield f"parallel.{name}", what
        if self.global_batch % self.parallel.micro_batch:
            yield (
                "parallel.micro_batch",
                f"{self.parallel.micro_batch} does not divide global_batch {self.global_batch}",
            )

    def _problems_of_scores(self) -> Iterator[tuple[str, str]]:
        if self.evaluate_at and not self.evaluate:
            yield "evaluate_at", "of no use without evaluate"
        if not self.evaluate:
            return
        if self.task in HEADED:
            yield "evaluate", f"task {self.task} is scored by its validation stream; use recipes/evaluate.py besides"
        if self.parallel.fsdp and self.parallel.fsdp_version == 1:
            yield "evaluate", "a model under parallel.fsdp_version 1 cannot be scored while training; set it to 2"
        if self.parallel.tensor_parallel > 1:
            yield "evaluate", "a model under parallel.tensor_parallel cannot be scored while training; leave one out"

    def _problems_of_length(self) -> Iterator[tuple[str, str]]:
        end = parse_tokens(self.max_duration)
        saved = {parse_tokens(budget) for budget in self.budgets} | {end}
        for budget in self.evaluate_at:
            if parse_tokens(budget) not in saved:
                yield "evaluate_at", f"{budget} is none of budgets, nor max_duration"
        for budget in self.budgets:
            if parse_tokens(budget) > end:
                yield "budgets", f"{budget} lies beyond max_duration {self.max_duration}"
        for name, what in self.scheduler.problems_in_run(self.optimizer.lr, self.max_duration):
            yield f"scheduler.{name}", what


@dataclass
class PreflightConfig(TrainConfig):
    """A train recipe before its shards are made: what train requires and preflight can do without is empty."""

    run: str = key("as for train; may be left out", "")
    shards: str = key("as for train; left out, or not there yet, the keys of preflight tell what they will hold", "")
    tokenizer: str = key("as for train; may be left out", "")

    @staticmethod
    def layer(recipe: Path, given: dict[str, Any]) -> dict[str, Any]:
        left_out = {name: "" for name in ("run", "shards", "tokenizer") if given.get(name) == REQUIRED}
        return left_out | profile_layer(recipe, given)
