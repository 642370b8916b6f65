"""The train verb: a recipe to a Composer Trainer, fitted to its token budget."""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folder, tokens_of
from medlm_recipes.config.command import STOPPED
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.manifest import Manifest
from medlm_recipes.training.branch import IGNORED_AT_START
from medlm_recipes.training.opening import check_recipe, open_run, run_manifest
from medlm_recipes.training.plan import TrainPlan, describe, plan_training
from medlm_recipes.training.run_folder import load_path, read_checkpoint
from medlm_recipes.training.schedule_curve import draw_schedule, rate_table

Gate = Callable[[TrainConfig, int, int, int, int], None]
"""Raises ConfigError for a recipe that cannot run, by vocabulary, sequence length, ranks and bytes of a GPU."""
Scores = Callable[[TrainConfig, TrainPlan], Callable[[], list[Any]]]
"""Checks what is to be scored while training, raising ConfigError or DataError; what it returns makes the callbacks."""


def train(config: TrainConfig, dry_run: bool, gate: Gate, scores: Scores) -> None:
    """Train until `max_duration`; a run that was interrupted goes on from its newest whole checkpoint.

    Every rank of the `composer` launcher calls this; on GPUs each asks `gate` first. Raises ConfigError or
    DataError, on all ranks alike, for what the user can mend. A dry run writes nothing but the plot whose
    path it prints.
    """
    planned = config.hardware.ranks if dry_run else None
    world_size = int(os.environ.get("WORLD_SIZE") or planned or 1)
    plan = plan_training(config, world_size)
    config = plan.config
    scoring = scores(config, plan)
    if os.environ.get("RANK", "0") == "0":
        print(describe(config, plan, world_size), flush=True)
        if dry_run:
            print(f"\n{rate_table(config, plan)}\ndrawn in {draw_schedule(config, plan)}", flush=True)
    if not dry_run:
        _fit(config, plan, gate, scoring)


def _fit(config: TrainConfig, plan: TrainPlan, gate: Gate, scoring: Callable[[], list[Any]]) -> None:
    from composer.utils import dist

    from medlm_recipes.callbacks.mirror import Mirror
    from medlm_recipes.parallel.agreement import decide_together, join_ranks, succeed_together
    from medlm_recipes.parallel.fsdp import check_device, device_memory
    from medlm_recipes.shards.streaming import remove_stale_shared_memory
    from medlm_recipes.training.resume import choose_start
    from medlm_recipes.training.rollback import go_back

    run = Path(config.run)
    device = join_ranks()
    check_device(config.parallel, device)
    memory = device_memory(device)
    if memory:
        sizes = plan.vocab_size, plan.sequence_length, dist.get_world_size()
        succeed_together(lambda: gate(config, *sizes, memory))
    _silence_known_warnings()
    remove_stale_shared_memory()
    manifest = run_manifest(plan)
    mirror = Mirror(run, config.save_folder) if config.save_folder else None
    if mirror:
        mirror.fetch_run()
    decide_together(lambda: open_run(run, config, plan, manifest))
    start = choose_start(run, mirror)
    if start:
        saved = read_checkpoint(start)
        check_recipe(run, saved.config, saved.inputs, manifest)
    if mirror:  # now, so that a store that cannot be written to is found before the first step
        mirror.catch_up(start)
    if start and tokens_of(start) >= plan.end:
        if dist.get_global_rank() == 0:
            print(f"{run}: already trained to {config.max_duration} ({start}); nothing to do", flush=True)
        return
    while (needed := _train_from(start, config, plan, manifest, device, mirror, scoring())) is not None:
        start = go_back(run, config, plan, needed, mirror)


def _train_from(
    start: Path | None,
    config: TrainConfig,
    plan: TrainPlan,
    manifest: Manifest,
    device: Any,
    mirror: Any,
    scoring: list[Any],
) -> Any:
    """Train from `start`, or the beginning, to the end; or the guard's RollbackNeeded, when it asks for one."""
    from composer import Trainer
    from composer.utils import dist, reproducibility

    from medlm_recipes.callbacks.divergence import RollbackNeeded
    from medlm_recipes.callbacks.preemption import SaveOnSigterm
    from medlm_recipes.parallel.agreement import decide_together
    from medlm_recipes.training.components import components, settings
    from medlm_recipes.training.resume import choose_trunk
    from medlm_recipes.training.rollback import all_rollbacks, to_json

    run = Path(config.run)
    trunk = None if start else choose_trunk(config, plan)
    rollbacks = decide_together(lambda: all_rollbacks(run, plan))
    if rollbacks:
        manifest.facts["rollbacks"] = to_json(rollbacks)
    reproducibility.seed_all(config.seed)
    load = start or trunk
    trainer = Trainer(
        **components(config, plan, manifest, load, rollbacks, mirror, scoring),
        **settings(config, plan, device),
        load_path=load and load_path(load),
        load_ignore_keys=IGNORED_AT_START if trunk else None,
    )
    if load and dist.get_global_rank() == 0:
        print(f"{'resuming' if start else 'starting'} from {load}", flush=True)
    try:
        trainer.fit()
    except RollbackNeeded as needed:
        trainer.close()
        return needed.with_traceback(None)  # its frames would keep the trainer alive
    tokens = int(trainer.state.timestamp.token)
    trainer.close()
    if any(isinstance(callback, SaveOnSigterm) and callback.stopped for callback in trainer.state.callbacks):
        if dist.get_global_rank() == 0:
            print(f"{run}: stopped by SIGTERM at {tokens:,} tokens and saved; start it again to go on", flush=True)
        sys.exit(STOPPED)
    last = checkpoint_folder(run, tokens)
    if dist.get_global_rank() == 0:
        manifest.facts["checkpoint"] = str(last.relative_to(run))
        manifest.write(run)
        print(f"{run}: done, {tokens:,} tokens; last checkpoint {last}", flush=True)
    if mirror:
        mirror.catch_up(last)
    return None


def _silence_known_warnings() -> None:
    """Take out what the pinned libraries say at every start and nobody can act on."""
    for logger in ("composer.models.huggingface", "transformers.modeling_utils"):
        logging.getLogger(logger).setLevel(logging.ERROR)  # no tokenizer in the wrapper; loss_type unset
    # Streaming asks that copies of data be counted once; `train_loader` does.
    logging.getLogger("streaming.base.dataset").addFilter(lambda record: "`replication` arg" not in record.getMessage())
    warnings.filterwarnings("ignore", message="TypedStorage is deprecated")
    warnings.filterwarnings("ignore", message="Tensor parallelism .TP. is experimental")
    warnings.filterwarnings("ignore", message="Cannot split tensor of length")
    warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")  # by LearningRateOfStep, rightly
