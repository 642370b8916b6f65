"""Whether the data lasts, and what the run asks of disks and dataloaders."""

import json
from dataclasses import dataclass
from pathlib import Path

from medlm_recipes.config.train import TrainConfig
from medlm_recipes.preflight.check import NOT_CHECKED, PASS, WARN, Check
from medlm_recipes.preflight.facts import UNKNOWN, Facts
from medlm_recipes.remote import is_remote, local_copy
from medlm_recipes.shards.conversion import read_shards
from medlm_recipes.token_math import parse_tokens, tokens_at_budget
from medlm_recipes.tokenization.encoding import smallest_dtype
from medlm_recipes.training.plan import TrainPlan
from medlm_recipes.training.sources import SourceUse, notices, uses

SAVED_BYTES = 12
"""Of a parameter in a checkpoint: the weight and AdamW's two moments in fp32 (BioMedLM 2.7B: 31 GB)."""


@dataclass(frozen=True)
class DataUse:
    """known_from: SHARDS, RECIPE or UNKNOWN. pass_tokens, passes: of all sources together; None when unknown."""

    known_from: str
    sources: list[SourceUse]
    pass_tokens: int | None
    passes: float | None


@dataclass(frozen=True)
class Disk:
    """Bytes. saved: checkpoints over the whole run. standing: those there at once, with the one being written.

    shards: of the train and validation rows unpacked, None when unknown; stored: as they lie there, compressed.
    """

    checkpoint: int
    saved: int
    standing: int
    shards: int | None
    stored: int | None

    @property
    def needed(self) -> int:
        """On the file system of `run`."""
        return self.checkpoint * self.standing


@dataclass(frozen=True)
class Loading:
    """What the dataloaders of one host must deliver each second; bytes are those of rows, unpacked."""

    tokens: float
    rows: float
    bytes: float


def data_use(facts: Facts) -> DataUse:
    plan = facts.plan
    if not plan.rows:
        return DataUse(UNKNOWN, [], None, None)
    found = uses(plan.shards.facts["splits"]["train"], plan.rows, plan.row_tokens, plan.end)
    return DataUse(facts.data_from, found, plan.pass_tokens, plan.end / plan.pass_tokens)


def check_data(use: DataUse, task: str) -> Check:
    """Up to four epochs repeated text is nearly as good as fresh (Muennighoff et al. 2023); examples are repeated."""
    if use.passes is None:
        return Check("data", NOT_CHECKED, "no shards, and the recipe does not state preflight.train_tokens")
    found = [notice.removeprefix("notice: ") for notice in notices(use.sources)]
    if found and task == "text":
        return Check("data", WARN, "; ".join(found))
    most = max(source.epochs for source in use.sources)
    return Check("data", PASS, f"no source is seen more than {most:.2f} times (by {use.known_from})")


def disk_of(config: TrainConfig, plan: TrainPlan, parameters: int) -> Disk:
    saved, standing = _checkpoints(config, plan)
    rows = sum(counts["samples"] for split in plan.shards.facts["splits"].values() for counts in split.values())
    unpacked = rows * plan.row_tokens * _token_bytes(plan) or None
    return Disk(parameters * SAVED_BYTES, saved, standing, unpacked, _stored(config))


def _checkpoints(config: TrainConfig, plan: TrainPlan) -> tuple[int, int]:
    """How many the run saves, and how many stand at once at most, one of them half written."""
    budgets, others = _events(plan, config.checkpoint_interval)
    kept = len(others) if config.keep_checkpoints is None else min(len(others), config.keep_checkpoints)
    return len(budgets | others), min(len(budgets) + kept + 1, len(budgets | others))


def _events(plan: TrainPlan, interval: str | None) -> tuple[set[int], set[int]]:
    """The tokens at the ends of the steps that reach budgets, and of the others that reach multiples of an interval."""
    budgets = {tokens_at_budget(budget, plan.step_tokens) for budget in [*plan.budgets, plan.end]}
    if interval is None:
        return budgets, set()
    every = parse_tokens(interval)
    counts = range(plan.start // every + 1, plan.end // every + 1)
    return budgets, {tokens_at_budget(every * count, plan.step_tokens) for count in counts} - budgets


def validation_share(config: TrainConfig, plan: TrainPlan) -> tuple[int, int, float]:
    """How often the run validates, tokens each time, and what that takes of the time of training.

    A token's forward pass is a third of a training step on it, or a quarter where blocks run twice.
    """
    splits = [read_shards(stream.shards).facts["splits"]["validation"][stream.source] for stream in plan.validation]
    tokens = sum(counts["samples"] for counts in splits) * plan.row_tokens
    times = sum(len(events) for events in _events(plan, config.validation_interval))
    forward = 1 / (4 if config.parallel.activation_checkpointing else 3)
    return times, tokens, times * tokens * forward / (plan.end - plan.start)


def _token_bytes(plan: TrainPlan) -> int:
    """Of a token in a row: the smallest integer that holds the vocabulary, as shards are written."""
    return smallest_dtype(plan.vocab_size).itemsize


def _stored(config: TrainConfig) -> int | None:
    """Bytes of the shards' files by their indexes; None when they are not there."""
    if not config.shards:
        return None
    folder = local_copy(config.shards, lambda name: ".mds" not in name) if is_remote(config.shards) else config.shards
    total = 0
    for index in Path(folder).rglob("index.json"):
        for shard in json.loads(index.read_text())["shards"]:
            total += (shard["zip_data"] or shard["raw_data"])["bytes"]
    return total or None


def host_bytes(config: TrainConfig, parameters: int) -> int:
    """Memory of a host that fp32 weights take while they are made or read: by rank 0, or by each of its ranks."""
    ranks = 1 if config.parallel.spreads_weights else config.hardware.devices_per_node
    return 4 * parameters * ranks


def loading_of(config: TrainConfig, plan: TrainPlan, tokens_per_second: float) -> Loading:
    """Ranks that share matrices read the same rows, each for itself."""
    tokens = tokens_per_second * config.parallel.tensor_parallel / config.hardware.nodes
    return Loading(tokens, tokens / plan.row_tokens, tokens * _token_bytes(plan))
