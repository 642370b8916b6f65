"""A run's folder: made once, and found again only by the recipe that made it. Light: sweep reads it too."""

import shutil
from pathlib import Path
from typing import Any

from medlm_recipes.callbacks.checkpoint_names import CHECKPOINTS
from medlm_recipes.config.loading import load_config, resolved, to_yaml
from medlm_recipes.config.parallel import LAYOUT
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.manifest import Manifest, decisive, differences, hash_json
from medlm_recipes.remote import local_copy
from medlm_recipes.training.branch import START_FROM
from medlm_recipes.training.plan import TrainPlan
from medlm_recipes.training.run_folder import TASK, TOKENIZER

# Keys that may differ when a run is taken up again: where things stand and what is kept, not what is computed.
_FREE_ON_RESUME = (
    "run", "save_folder", "shards", "tokenizer", "cluster", "hardware", "log_interval", "keep_checkpoints", "guard",
    "validation_shards", "loggers", "preflight", "evaluate", "evaluate_at",
)  # fmt: skip


def run_manifest(plan: TrainPlan) -> Manifest:
    """What every checkpoint of the run says of itself; `facts` grow as it is saved."""
    facts = plan.shards.facts
    kept = ("tokenizer_sha256", "vocab_size", "end_of_text", "sequence_length", "labels", "options", "form")
    return Manifest(
        stage="train",
        config=resolved(plan.config),
        inputs={"shards": hash_json(plan.shards.__dict__)}
        | ({"trunk": hash_json(plan.trunk.__dict__)} if plan.trunk else {}),
        facts={TASK: plan.config.task} | {name: facts[name] for name in kept if name in facts},
    )


def open_run(run: Path, config: TrainConfig, plan: TrainPlan, manifest: Manifest) -> None:
    """Make the run's folder, or check that it is this recipe's and clear what a kill left half saved."""
    if (run / "config.yaml").is_file():
        before = resolved(load_config(TrainConfig, run / "config.yaml"))
        check_recipe(run, before, manifest.inputs, manifest)
        for interrupted in (run / CHECKPOINTS).glob("*.partial"):
            print(f"notice: {interrupted} was interrupted while it was saved; removed", flush=True)
            shutil.rmtree(interrupted)
        return
    if run.exists() and any(run.iterdir()):
        raise ConfigError(f"{run}: not empty and not a run of this package; choose another run")
    partial = run.with_name(run.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / CHECKPOINTS).mkdir(parents=True)
    shutil.copytree(local_copy(config.tokenizer), partial / TOKENIZER)
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
    kept = _spelled_alike(decisive(config, leave_out=_FREE_ON_RESUME))
    return kept | {"parallel": decisive(config["parallel"], leave_out=LAYOUT)}


def _spelled_alike(value: Any) -> Any:
    """With 200_000tok, as a recipe may have it, as 200000tok, as a run keeps it."""
    if isinstance(value, dict):
        return {name: _spelled_alike(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_spelled_alike(one) for one in value]
    if isinstance(value, str) and value.endswith("tok"):
        return value.replace("_", "")
    return value
