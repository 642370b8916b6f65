"""What a preflight starts from: the shards' manifest, or what the recipe states until they are there."""

from dataclasses import dataclass, replace
from pathlib import Path

from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError, RecipeError
from medlm_recipes.manifest import Manifest
from medlm_recipes.preflight.check import FAIL, NOT_CHECKED, PASS, WARN, Check
from medlm_recipes.remote import is_remote, local_copy
from medlm_recipes.shards.conversion import TOKENIZER_FOLDER, read_shards
from medlm_recipes.shards.mixture import rows_a_pass
from medlm_recipes.token_math import parse_tokens, tokens_per_step
from medlm_recipes.training.branch import read_trunk
from medlm_recipes.training.plan import TrainPlan, check_ranks, in_tokens, plan_training

SHARDS, RECIPE, UNKNOWN = "the shards", "the recipe", "nothing"


@dataclass
class Facts:
    """ranks: that the run is planned for. plan: of the shards, or of what the recipe says that they will hold.

    data_from: SHARDS, RECIPE (preflight.train_tokens) or UNKNOWN, which leaves plan.rows empty. laid_out:
    whether the batch lies evenly on the ranks. checks: what came to light on the way.
    """

    ranks: int
    plan: TrainPlan
    data_from: str
    laid_out: bool
    checks: list[Check]


def gather(config: TrainConfig) -> Facts:
    """Raises ConfigError when neither shards nor recipe tell vocabulary and sequence length."""
    ranks = config.hardware.ranks or 1
    checks = [_check_batch(config, ranks)]
    laid_out = checks[0].outcome != FAIL
    shards = _read_shards(config, checks)
    plan = None
    if shards and laid_out:
        plan = _planned(config, ranks, checks)
    data_from = SHARDS if shards else RECIPE if config.preflight.train_tokens else UNKNOWN
    if shards is None:
        shards = _stated(config)
    return Facts(ranks, plan or _plan_of(config, shards, checks), data_from, laid_out, checks)


def _check_batch(config: TrainConfig, ranks: int) -> Check:
    try:
        check_ranks(config, ranks)
    except ConfigError as error:
        return Check("batch", FAIL, str(error))
    data_ranks = config.parallel.data_ranks(ranks)
    accumulation = config.global_batch // data_ranks // config.parallel.micro_batch
    over = f"{data_ranks} {'rank' if data_ranks == 1 else 'ranks'}"
    laid = f"{config.global_batch} sequences = {over} x {config.parallel.micro_batch} x {accumulation}"
    if config.hardware.ranks is None:
        return Check("batch", WARN, f"{laid}: planned for one rank, for want of a profile; name one: cluster=NAME")
    return Check("batch", PASS, f"{laid} (micro-batch, accumulation)")


def _read_shards(config: TrainConfig, checks: list[Check]) -> Manifest | None:
    if not config.shards:
        checks.append(Check("shards", NOT_CHECKED, "no shards given"))
        return None
    if not is_remote(config.shards) and not Path(config.shards).is_dir():
        checks.append(Check("shards", NOT_CHECKED, f"no shards: {config.shards} is not there"))
        return None
    try:
        shards = read_shards(config.shards)
    except RecipeError as error:
        checks.append(Check("shards", FAIL, str(error)))
        return None
    facts, keys = shards.facts, config.preflight
    wrong = [
        f"{name} {facts[name]:,}, the recipe states {stated:,}"
        for name, stated in (("vocab_size", keys.vocab_size), ("sequence_length", keys.sequence_length))
        if stated not in (None, facts[name])
    ]
    outcome = Check("shards", FAIL, f"{config.shards}: {'; '.join(wrong)} (preflight.*)") if wrong else None
    found = f"{config.shards}: rows of {facts['sequence_length']:,} tokens, vocabulary {facts['vocab_size']:,}"
    checks.append(outcome or Check("shards", PASS, found))
    return shards


def _planned(config: TrainConfig, ranks: int, checks: list[Check]) -> TrainPlan | None:
    """The plan that train would make, which holds tokenizer, shards and recipe against each other."""
    there = config.tokenizer and (is_remote(config.tokenizer) or Path(config.tokenizer).is_dir())
    kept = config if there else replace(config, tokenizer=str(local_copy(config.shards) / TOKENIZER_FOLDER))
    try:
        plan = plan_training(kept, ranks)
    except RecipeError as error:
        checks.append(Check("plan", FAIL, str(error)))
        return None
    if there:
        checks.append(Check("tokenizer", PASS, f"{config.tokenizer}: made the shards, by its hash"))
    else:
        why = f"{config.tokenizer} is not there" if config.tokenizer else "none given"
        checks.append(Check("tokenizer", NOT_CHECKED, f"{why}; the one that the shards keep was taken"))
    return plan


def _stated(config: TrainConfig) -> Manifest:
    """The manifest that the shards will have, as far as the recipe states it."""
    keys = config.preflight
    missing = [name for name in ("vocab_size", "sequence_length") if getattr(keys, name) is None]
    if missing:
        raise ConfigError(
            f"preflight.{missing[0]}: missing; there are no shards to tell it yet: give "
            + " and ".join(f"preflight.{name}=N" for name in missing)
            + ", or shards=FOLDER"
        )
    length = keys.sequence_length
    assert length
    for source, tokens in (keys.train_tokens or {}).items():
        if parse_tokens(tokens) < length:
            raise ConfigError(f"preflight.train_tokens: {source} has {tokens}, less than one row of {length} tokens")
    train = {
        source: {"documents": 0, "tokens": parse_tokens(tokens), "samples": parse_tokens(tokens) // length}
        for source, tokens in (keys.train_tokens or {}).items()
    }
    facts = {"vocab_size": keys.vocab_size, "sequence_length": length, "end_of_text": 0}
    return Manifest("convert_text_to_mds", {}, {}, facts | {"splits": {"train": train, "validation": {}}})


def _plan_of(config: TrainConfig, shards: Manifest, checks: list[Check]) -> TrainPlan:
    """A plan without shards to read, or of shards that the recipe does not fit."""
    facts = shards.facts
    rows, trunk = {}, None
    counts = {source: counts["samples"] for source, counts in facts["splits"]["train"].items()}
    try:
        rows = rows_a_pass(counts, config.data, config.global_batch) if counts else {}
    except ConfigError as error:
        checks.append(Check("mixture", FAIL, str(error)))
    try:
        trunk = read_trunk(config)
    except RecipeError as error:
        checks.append(Check("start_from", FAIL, str(error)))
    step_tokens = tokens_per_step(config.global_batch, facts["sequence_length"])
    epoch = sum(rows.values()) // config.global_batch * step_tokens
    if not epoch and config.max_duration.endswith("ep"):
        raise ConfigError(
            f"max_duration: {config.max_duration} are passes over data that is not there; give shards=FOLDER, or "
            "preflight.train_tokens with the tokens of each source"
        )
    config = in_tokens(config, epoch)
    return TrainPlan(
        config=config,
        shards=shards,
        rows=rows,
        validation=[],
        sequence_length=facts["sequence_length"],
        vocab_size=facts["vocab_size"],
        step_tokens=step_tokens,
        end=parse_tokens(config.max_duration),
        budgets=sorted(parse_tokens(budget) for budget in config.budgets),
        trunk=trunk,
    )
