"""What a train recipe amounts to, before anything heavy is imported."""

from dataclasses import dataclass, replace
from pathlib import Path

from medlm_recipes.config.train import HEADED, TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.manifest import Manifest
from medlm_recipes.models.shape import Shape, shape_of
from medlm_recipes.optim.learning_rate import final_share
from medlm_recipes.remote import local_copy
from medlm_recipes.shards.conversion import read_shards
from medlm_recipes.shards.mixture import rows_a_pass
from medlm_recipes.shards.tasks import differs_in_labels, row_tokens, task_of
from medlm_recipes.token_math import (
    duration_in_tokens,
    in_words,
    initial_loss,
    padded_vocabulary,
    parse_tokens,
    steps_to,
    tokens_at_budget,
    tokens_per_step,
)
from medlm_recipes.training.branch import check_branch, read_trunk
from medlm_recipes.training.sources import notices, scaled, table, uses

_MOST_COUNTED = 1 << 24  # integers that fp32 holds: Composer sums the samples of shared batches in it


@dataclass
class ValidationStream:
    """A stream that validation measures; label names it in metrics and is its source's name unless two have it.

    bytes_per_token: of its text; None where rows are examples, of which not every token is learnt.
    """

    label: str
    shards: str
    source: str
    bytes_per_token: float | None


@dataclass
class TrainPlan:
    """The derived numbers of a run. Tokens throughout; `budgets` are where checkpoints will stand.

    config: the recipe with every duration in tokens.
    """

    config: TrainConfig
    shards: Manifest
    rows: dict[str, int]  # that a pass takes of each source, in the order in which the dataset numbers samples
    validation: list[ValidationStream]
    sequence_length: int
    vocab_size: int
    step_tokens: int
    end: int
    budgets: list[int]
    trunk: Manifest | None  # of the checkpoint that the run goes on from, if any

    @property
    def start(self) -> int:
        """Tokens that the weights have seen before this run's first step."""
        return self.trunk.facts["tokens"] if self.trunk else 0

    @property
    def row_tokens(self) -> int:
        """Tokens of a row: of a sequence, or of all the options of a question."""
        return row_tokens(self.shards.facts)

    @property
    def weighs_labels(self) -> bool:
        """Whether the loss of a step is the mean over its labels, of which rows have different numbers."""
        return differs_in_labels(self.shards.facts)

    @property
    def sources(self) -> list[str]:
        """Those that are trained on."""
        return list(self.rows)

    @property
    def pass_tokens(self) -> int:
        """Train tokens of one pass over the data; what rows are filled up with counts."""
        return sum(self.rows.values()) * self.row_tokens

    @property
    def padding(self) -> float:
        """Share of a pass that is filling, for which there is no loss."""
        counts = self.shards.facts["splits"]["train"]
        filled = sum(
            rows * max(0.0, 1 - counts[source]["tokens"] / (counts[source]["samples"] * self.row_tokens))
            for source, rows in self.rows.items()
        )
        return filled / sum(self.rows.values())


def plan_training(config: TrainConfig, world_size: int) -> TrainPlan:
    """Read the shards' manifest and check the recipe against it and the number of ranks.

    Raises DataError for unfit shards, ConfigError when the batch cannot be laid over the ranks or the
    run cannot go on from start_from.
    """
    shards = read_shards(config.shards, local_copy(config.tokenizer))
    splits = shards.facts["splits"]
    _check_task(config, shards)
    check_ranks(config, world_size)
    step_tokens = tokens_per_step(config.global_batch, row_tokens(shards.facts))
    if config.parallel.tensor_parallel > 1 and step_tokens > _MOST_COUNTED:
        raise ConfigError(
            f"global_batch: a step of {step_tokens:,} tokens is more than the {_MOST_COUNTED:,} that Composer counts "
            "exactly under parallel.tensor_parallel; lower global_batch or set parallel.tensor_parallel=1"
        )
    rows = rows_a_pass(
        {source: counts["samples"] for source, counts in splits["train"].items()}, config.data, config.global_batch
    )
    steps = sum(rows.values()) // config.global_batch
    if not steps:
        raise ConfigError(
            f"global_batch: one step takes {step_tokens:,} tokens, but {config.shards} holds only "
            f"{sum(rows.values()) * row_tokens(shards.facts):,}; lower global_batch or give more text"
        )
    config = in_tokens(config, steps * step_tokens)
    plan = TrainPlan(
        config=config,
        shards=shards,
        rows=rows,
        validation=_validation_streams(config, shards),
        sequence_length=shards.facts["sequence_length"],
        vocab_size=shards.facts["vocab_size"],
        step_tokens=step_tokens,
        end=parse_tokens(config.max_duration),
        budgets=sorted(parse_tokens(budget) for budget in config.budgets),
        trunk=read_trunk(config),
    )
    if plan.trunk:
        check_branch(config, shards, plan.trunk)
    return plan


def _check_task(config: TrainConfig, shards: Manifest) -> None:
    found = task_of(shards.facts)
    if found != config.task:
        raise ConfigError(
            f"task: {config.task}, but {config.shards} was made for {found}; give other shards or that task"
        )


def in_tokens(config: TrainConfig, epoch: int) -> TrainConfig:
    """The recipe with its durations in tokens, checked once more; an `epoch` has so many, in whole steps."""
    end = duration_in_tokens(config.max_duration, epoch)

    def tokens(length: str | None, whole: int | None = None) -> str | None:
        return None if length is None else f"{duration_in_tokens(length, epoch, whole)}tok"

    scheduler = replace(
        config.scheduler,
        warmup=tokens(config.scheduler.warmup, end),
        cooldown=tokens(config.scheduler.cooldown, end),
    )
    found = replace(
        config,
        max_duration=f"{end}tok",
        budgets=[f"{duration_in_tokens(budget, epoch)}tok" for budget in config.budgets],
        evaluate_at=[f"{duration_in_tokens(budget, epoch)}tok" for budget in config.evaluate_at],
        checkpoint_interval=tokens(config.checkpoint_interval),
        validation_interval=tokens(config.validation_interval),
        scheduler=scheduler,
    )
    problems = [f"{name}: {what}" for name, what in found.problems()]
    if problems:
        raise ConfigError("; ".join(problems))
    return found


def _validation_streams(config: TrainConfig, shards: Manifest) -> list[ValidationStream]:
    length = shards.facts["sequence_length"]
    streams: list[ValidationStream] = []
    for folder in [config.shards, *config.validation_shards]:
        facts = read_shards(folder, local_copy(config.tokenizer)).facts
        if task_of(facts) != config.task and (config.task in HEADED or task_of(facts) in HEADED):
            raise ConfigError(
                f"validation_shards: {folder} was made for {task_of(facts)}, which a model for {config.task} cannot do"
            )
        if facts.get("labels") != shards.facts.get("labels"):
            raise ConfigError(
                f"validation_shards: {folder} has the labels {facts.get('labels')}, but {config.shards} "
                f"{shards.facts.get('labels')}; convert its examples again with labels={shards.facts.get('labels')}"
            )
        if facts["sequence_length"] != length:
            raise ConfigError(
                f"validation_shards: {folder} has rows of {facts['sequence_length']} tokens, but {config.shards} of "
                f"{length}; convert its documents again with sequence_length={length}"
            )
        for source, counts in sorted(facts["splits"]["validation"].items()):
            if counts["samples"]:
                taken = {stream.label for stream in streams}
                label = f"{Path(folder).name}-{source}" if source in taken else source
                is_text = task_of(facts) == "text"
                streams.append(
                    ValidationStream(label, folder, source, counts["bytes"] / counts["tokens"] if is_text else None)
                )
    return streams


def check_ranks(config: TrainConfig, world_size: int) -> None:
    """Raise ConfigError when the recipe cannot be laid over so many ranks."""
    keys = config.parallel
    for name in ("replicas", "tensor_parallel"):
        if world_size % getattr(keys, name):
            raise ConfigError(
                f"parallel.{name}: {getattr(keys, name)} does not divide the {world_size} ranks of this launch; change "
                f"it (parallel.{name}=1) or launch on another number of ranks"
            )
    data_ranks = keys.data_ranks(world_size)
    share, rest = divmod(config.global_batch, data_ranks)
    if rest or share % keys.micro_batch:
        raise ConfigError(
            f"global_batch: {config.global_batch} sequences over {data_ranks} ranks is "
            f"{config.global_batch / data_ranks:g} a rank, which is not a multiple of "
            f"parallel.micro_batch {keys.micro_batch}; change one of them"
        )


def describe(config: TrainConfig, plan: TrainPlan, world_size: int) -> str:
    """The derived numbers for people."""
    keys, parallel = config.model, config.parallel
    shape = shape_of(keys, plan.vocab_size, plan.sequence_length)
    data_ranks = parallel.data_ranks(world_size)
    accumulation = config.global_batch // data_ranks // parallel.micro_batch
    budgets = ", ".join(
        f"{in_words(budget)} (step {steps_to(budget, plan.step_tokens):,}, "
        f"tok{tokens_at_budget(budget, plan.step_tokens)})"
        for budget in [*plan.budgets, plan.end]
    )
    validation = ", ".join(stream.label for stream in plan.validation)
    found = uses(plan.shards.facts["splits"]["train"], plan.rows, plan.row_tokens, plan.end)
    lines = [
        *_hardware(config, world_size),
        f"model       {shape.words if shape else 'of the shape that its config states'}, vocabulary "
        f"{plan.vocab_size:,}, sequence {plan.sequence_length}; {_initial(config, plan)}",
        f"batch       {config.global_batch} {_rows(config)} = {plan.step_tokens:,} tokens a step = {data_ranks} ranks "
        f"x {parallel.micro_batch} micro-batch x {accumulation} accumulation",
        f"duration    {plan.end:,} tokens = {steps_to(plan.end, plan.step_tokens):,} steps, "
        f"{_flops(shape, plan)}{_from(config, plan)}",
        f"schedule    {_schedule(config, plan)}",
        f"data        {plan.end / plan.pass_tokens:.2f} passes of {plan.pass_tokens:,} tokens"
        + (f"; {plan.padding:.1%} of them fill rows up and have no loss" if plan.padding else "")
        + scaled(config.data.mixture, plan.end),
        *table(found),
        f"validation  {validation or 'none: the shards have no validation stream'}",
        f"budgets     {budgets}",
        *(notices(found) if config.task == "text" else ()),  # examples are meant to be seen again and again
    ]
    return "\n".join(lines)


def _rows(config: TrainConfig) -> str:
    return "questions" if config.task == "multiple_choice" else "sequences"


def _hardware(config: TrainConfig, world_size: int) -> list[str]:
    keys = config.hardware
    if keys.ranks is None:
        return []
    line = (
        f"cluster     {keys.cluster}: {keys.nodes} hosts x {keys.devices_per_node} {keys.device} = {keys.ranks} ranks"
    )
    return [line if keys.ranks == world_size else f"{line}; notice: this launch has {world_size}"]


def _initial(config: TrainConfig, plan: TrainPlan) -> str:
    if config.model.pretrained:
        lora = config.model.lora
        adapters = f", adapters of rank {lora.r} beside them" if lora else ""
        return f"weights of {config.model.pretrained}{adapters}{_learnt(config, plan)}"
    rows = padded_vocabulary(plan.vocab_size, config.model.pad_vocab_to_multiple_of)
    assert config.model.n_embd
    return f"initial loss about {initial_loss(rows, config.model.n_embd):.2f}"


def _learnt(config: TrainConfig, plan: TrainPlan) -> str:
    """What a fine-tuned model is to give."""
    facts = plan.shards.facts
    if config.task == "multiple_choice":
        return f"; a head scores up to {facts['options']} options a question"
    if config.task == "classification":
        return f"; a head tells {', '.join(facts['labels'])}"
    return "; responses alone are learnt" if config.task == "sft" else ""


def _flops(shape: Shape | None, plan: TrainPlan) -> str:
    return f"{(plan.end - plan.start) * shape.flops_per_token:.3g} FLOPs" if shape else "FLOPs are told at the start"


def _from(config: TrainConfig, plan: TrainPlan) -> str:
    if plan.trunk is None:
        return ""
    return f"; from step {plan.start // plan.step_tokens:,}, {plan.start:,} tokens, of {config.start_from}"


def _schedule(config: TrainConfig, plan: TrainPlan) -> str:
    """The schedule in one line, its lengths in steps as papers give them."""
    keys, peak = config.scheduler, config.optimizer.lr
    warmup = f"warm-up {steps_to(parse_tokens(keys.warmup), plan.step_tokens):,} steps" if keys.warmup else "no warm-up"
    parts = [f"{keys.name}, lr {peak:g}", warmup]
    if keys.cooldown:
        steps = steps_to(parse_tokens(keys.cooldown), plan.step_tokens)
        parts.append(f"{keys.cooldown_shape} cooldown of {steps:,} steps")
    if keys.name != "constant":
        parts.append(f"to {peak * final_share(keys, peak):g}")
    return ", ".join(parts)
