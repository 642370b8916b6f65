"""The train verb: a recipe to a Composer Trainer, fitted to its token budget."""

import logging
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

from medlm_recipes.config.loading import load_config, resolved, to_yaml
from medlm_recipes.config.parallel import LAYOUT
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.manifest import Manifest, decisive, differences, hash_json
from medlm_recipes.token_math import parse_tokens
from medlm_recipes.training.branch import IGNORED_AT_START, START_FROM, first_start
from medlm_recipes.training.plan import TrainPlan, describe, plan_training
from medlm_recipes.training.run_folder import (
    CHECKPOINTS,
    TOKENIZER,
    checkpoint_folder,
    load_path,
    read_checkpoint,
    whole_checkpoints,
)
from medlm_recipes.training.schedule_curve import draw_schedule, rate_table

# Keys that may differ when a run is taken up again: where things stand and what is kept, not what is computed.
_FREE_ON_RESUME = (
    "run", "shards", "tokenizer", "cluster", "hardware", "log_interval", "keep_checkpoints", "guard",
    "validation_shards", "loggers",
)  # fmt: skip


def train(config: TrainConfig, dry_run: bool) -> None:
    """Train until `max_duration`; a run that was interrupted goes on from its newest whole checkpoint.

    Every rank of the `composer` launcher calls this. Raises ConfigError or DataError, on all ranks
    alike, for what the user can mend. A dry run writes nothing but the plot whose path it prints.
    """
    planned = config.hardware.ranks if dry_run else None
    world_size = int(os.environ.get("WORLD_SIZE") or planned or 1)
    plan = plan_training(config, world_size)
    if os.environ.get("RANK", "0") == "0":
        print(describe(config, plan, world_size), flush=True)
        if dry_run:
            print(f"\n{rate_table(config, plan)}\ndrawn in {draw_schedule(config, plan)}", flush=True)
    if not dry_run:
        _fit(config, plan)


def _fit(config: TrainConfig, plan: TrainPlan) -> None:
    import torch
    from composer.utils import dist, get_device

    from medlm_recipes.parallel.agreement import decide_together
    from medlm_recipes.parallel.fsdp import check_device
    from medlm_recipes.shards.streaming import remove_stale_shared_memory
    from medlm_recipes.training.resume import choose_start
    from medlm_recipes.training.rollback import go_back

    run = Path(config.run)
    device = get_device("gpu" if torch.cuda.is_available() else "cpu")
    dist.initialize_dist(device)
    check_device(config.parallel, device)
    _silence_known_warnings()
    remove_stale_shared_memory()
    manifest = run_manifest(config, plan)
    decide_together(lambda: _open_run(run, config, plan, manifest))
    start = choose_start(run)
    if start and int(start.name[3:]) >= plan.end:
        if dist.get_global_rank() == 0:
            print(f"{run}: already trained to {config.max_duration} ({start}); nothing to do", flush=True)
        return
    while (needed := _train_from(start, config, plan, manifest, device)) is not None:
        start = go_back(run, config, plan, needed)


def _train_from(start: Path | None, config: TrainConfig, plan: TrainPlan, manifest: Manifest, device: Any) -> Any:
    """Train from `start`, or the beginning, to the end; or the guard's RollbackNeeded, when it asks for one."""
    from composer import Trainer
    from composer.utils import dist, reproducibility

    from medlm_recipes.callbacks.divergence import RollbackNeeded
    from medlm_recipes.callbacks.preemption import EXIT_CODE, SaveOnSigterm
    from medlm_recipes.parallel.agreement import decide_together
    from medlm_recipes.training.rollback import all_rollbacks, to_json

    run = Path(config.run)
    trunk = None if start else decide_together(lambda: first_start(config, plan.trunk))
    rollbacks = decide_together(lambda: all_rollbacks(run, plan))
    if rollbacks:
        manifest.facts["rollbacks"] = to_json(rollbacks)
    reproducibility.seed_all(config.seed)
    load = start or trunk
    trainer = Trainer(
        **_components(config, plan, manifest, load, rollbacks),
        **_settings(config, plan, device),
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
        sys.exit(EXIT_CODE)
    if dist.get_global_rank() == 0:
        last = checkpoint_folder(run, tokens)
        manifest.facts = read_checkpoint(last).facts | {"checkpoint": str(last.relative_to(run))}
        manifest.write(run)
        print(f"{run}: done, {tokens:,} tokens; last checkpoint {last}", flush=True)
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


def _components(
    config: TrainConfig, plan: TrainPlan, manifest: Manifest, load: Path | None, rollbacks: list[Any]
) -> dict[str, Any]:
    """Model, data, optimizer, schedule and callbacks, built from the recipe."""
    from composer.core import Evaluator

    from medlm_recipes.callbacks.budgets import AtTokens, BudgetCheckpoints
    from medlm_recipes.callbacks.divergence import DivergenceGuard
    from medlm_recipes.callbacks.initial_loss import InitialLossCheck
    from medlm_recipes.callbacks.learning_rate import LearningRateOfStep
    from medlm_recipes.callbacks.perplexity import PerplexityTracker
    from medlm_recipes.callbacks.preemption import SaveOnSigterm
    from medlm_recipes.callbacks.seeds import SeedsOfStep
    from medlm_recipes.optim.adamw import build_optimizer
    from medlm_recipes.optim.schedule import build_schedule
    from medlm_recipes.parallel.gradients import ClipGradients
    from medlm_recipes.parallel.tensor import TensorParallel
    from medlm_recipes.shards.streaming import train_loader, validation_loader
    from medlm_recipes.training.loggers import build_loggers
    from medlm_recipes.training.model import model_of_run
    from medlm_recipes.training.rollback import SlowedSchedule, of_trunk, windows_of

    def at_tokens(every: str | None, at_stop: bool = False) -> AtTokens:
        interval = parse_tokens(every) if every else None
        return AtTokens([*plan.budgets, plan.end], interval, plan.step_tokens, at_stop=at_stop)

    facts = plan.shards.facts
    run = Path(config.run)
    model = model_of_run(config, plan, manifest, load)
    gradients = ClipGradients(config.optimizer.max_grad_norm)
    return {
        "model": model,
        "optimizers": build_optimizer(model, config.optimizer),
        "schedulers": SlowedSchedule(build_schedule(config.scheduler, config.optimizer.lr, plan.end), rollbacks),
        "algorithms": [TensorParallel(), gradients],
        "train_dataloader": train_loader(
            config.shards,
            plan.sources,
            config.global_batch,
            config.data,
            windows_of(rollbacks),
            config.parallel.tensor_parallel,
        ),
        "eval_dataloader": [
            Evaluator(
                label=stream.label,
                dataloader=validation_loader(
                    stream.shards, stream.source, config.parallel.micro_batch, config.parallel.tensor_parallel
                ),
                eval_interval=at_tokens(config.validation_interval),
            )
            for stream in plan.validation
        ],
        "loggers": build_loggers(config.loggers, run),
        "callbacks": [
            LearningRateOfStep(),
            SeedsOfStep(config.seed),
            *([] if load or config.model.pretrained else [InitialLossCheck(model.config.vocab_size)]),
            PerplexityTracker(
                run,
                [*plan.budgets, plan.end],
                config.log_interval,
                {stream.label: stream.bytes_per_token for stream in plan.validation},
                gradients,
                model.flops_per_token(plan.sequence_length),
            ),
            DivergenceGuard(
                config.guard,
                run,
                gradients,
                {source: facts["splits"]["train"][source]["samples"] for source in plan.sources},
                plan.step_tokens,
                len(rollbacks) - len(of_trunk(plan)),
            ),
            SaveOnSigterm(),
            BudgetCheckpoints(
                run / CHECKPOINTS,
                at_tokens(config.checkpoint_interval, at_stop=True),
                manifest,
                sharded=config.parallel.fsdp,
                keep=config.keep_checkpoints,
            ),
        ],
    }


def _settings(config: TrainConfig, plan: TrainPlan, device: Any) -> dict[str, Any]:
    from composer.devices import DeviceGPU

    from medlm_recipes.parallel.fsdp import parallelism

    automatic = "amp_bf16" if isinstance(device, DeviceGPU) else "fp32"
    precision = config.parallel.precision
    return {
        "device": device,
        "max_duration": f"{plan.end}tok",
        "step_schedulers_every_batch": False,  # LearningRateOfStep does
        "precision": automatic if precision == "auto" else precision,
        "parallelism_config": parallelism(config.parallel, device),
        "device_train_microbatch_size": config.parallel.micro_batch,
        "seed": config.seed,
        "progress_bar": sys.stderr.isatty(),
        "save_metrics": False,
    }


def run_manifest(config: TrainConfig, plan: TrainPlan) -> Manifest:
    """What every checkpoint of the run says of itself; `facts` grow as it is saved."""
    facts = plan.shards.facts
    kept = ("tokenizer_sha256", "vocab_size", "end_of_text", "sequence_length")
    return Manifest(
        stage="train",
        config=resolved(config),
        inputs={"shards": hash_json(plan.shards.__dict__)}
        | ({"trunk": hash_json(plan.trunk.__dict__)} if plan.trunk else {}),
        facts={name: facts[name] for name in kept},
    )


def _open_run(run: Path, config: TrainConfig, plan: TrainPlan, manifest: Manifest) -> None:
    """Make the run's folder, or check that it is this recipe's and clear what a kill left half saved."""
    if (run / "config.yaml").is_file():
        before = resolved(load_config(TrainConfig, run / "config.yaml"))
        whole = whole_checkpoints(run)
        check_recipe(run, before, read_checkpoint(whole[0]).inputs if whole else manifest.inputs, manifest)
        for interrupted in (run / CHECKPOINTS).glob("*.partial"):
            print(f"notice: {interrupted} was interrupted while it was saved; removed", flush=True)
            shutil.rmtree(interrupted)
        return
    if run.exists() and any(run.iterdir()):
        raise ConfigError(f"{run}: not empty and not a run of this package; choose another run")
    partial = run.with_name(run.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / CHECKPOINTS).mkdir(parents=True)
    shutil.copytree(config.tokenizer, partial / TOKENIZER)
    (partial / "config.yaml").write_text(to_yaml(config))
    if plan.trunk:
        (partial / START_FROM).mkdir()
        plan.trunk.write(partial / START_FROM)
    partial.replace(run)


def check_recipe(run: Path, config: dict[str, Any], inputs: dict[str, str], manifest: Manifest) -> None:
    """Raise ConfigError, naming what differs, unless a run's `config` and `inputs` are those of `manifest`."""
    different = differences(computed(config) | inputs, computed(manifest.config) | manifest.inputs)
    if different:
        raise ConfigError(
            f"{run}: holds a run of another recipe ({'; '.join(different[:5])}); "
            "choose another run or remove the folder"
        )


def computed(config: dict[str, Any]) -> dict[str, Any]:
    """The keys of a resolved train recipe that decide what is computed."""
    kept = decisive(config, leave_out=_FREE_ON_RESUME)
    return kept | {"parallel": decisive(config["parallel"], leave_out=LAYOUT)}
