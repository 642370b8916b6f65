"""Scores of the weights in training, as the evaluate verb gives them of the checkpoint that was just sealed."""

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from composer.core import Callback, Precision, State, get_precision_context
from composer.loggers import Logger
from composer.utils import dist

from medlm_recipes.callbacks.budgets import AtTokens
from medlm_recipes.callbacks.checkpoint_names import checkpoint_folder
from medlm_recipes.callbacks.events import append_event
from medlm_recipes.callbacks.metrics import FILE_NAME as METRICS
from medlm_recipes.callbacks.metrics import SCORED
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError, RecipeError
from medlm_recipes.evaluation.evaluate import Asked, evaluation_manifest, report, score
from medlm_recipes.evaluation.results import METRIC
from medlm_recipes.evaluation.subject import identity, language_model
from medlm_recipes.evaluation.while_training import evaluation_folder
from medlm_recipes.manifest import FILE_NAME, Manifest, read_manifest, stands
from medlm_recipes.models.generation import set_generation
from medlm_recipes.parallel.agreement import decide_together
from medlm_recipes.remote import local_copy
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.training.plan import TrainPlan


class ScoresAtBudgets(Callback):
    """Scores the live model at the steps that reach one of `budgets` (tokens), once their checkpoints are sealed.

    Every rank answers its share, in eval mode and the run's precision; a model that FSDP2 shards is never
    put together. Rank 0 publishes what the evaluate verb would, and adds a row to metrics.jsonl. What
    cannot be scored is a notice and an event, never the end of the run. A launch that resumes at a
    budget makes up for scores that the one before was killed over. Stands behind BudgetCheckpoints.

    Raises ConfigError for prompts in chat form where the tokenizer has no template.
    """

    def __init__(self, config: TrainConfig, plan: TrainPlan, asked: dict[str, Asked], budgets: list[int]) -> None:
        self.run = Path(config.run)
        self.end = plan.end
        self.asked = asked
        self.at = AtTokens(budgets, None, plan.step_tokens)
        self.lockstep = config.parallel.fsdp and dist.get_world_size() > 1
        self.tokenizer = load_tokenizer(local_copy(config.tokenizer))
        for name, one in asked.items():
            if one.config.chat and not self.tokenizer.chat_template:
                raise ConfigError(f"evaluate.{name}: chat: true: {config.tokenizer} has no chat template; leave it out")

    def fit_start(self, state: State, logger: Logger) -> None:
        self._score_all(state, logger)

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        assert state.max_duration is not None
        stopped = state.timestamp >= state.max_duration and int(state.timestamp.token) < self.end
        if not stopped:  # by SIGTERM, which leaves seconds; the launch that resumes will score
            self._score_all(state, logger)

    def _score_all(self, state: State, logger: Logger) -> None:
        tokens = int(state.timestamp.token)
        checkpoint = checkpoint_folder(self.run, tokens)
        # A branch begins where its trunk has the checkpoint.
        if not self.at.reaches_budget(tokens) or not decide_together(checkpoint.is_dir):
            return
        for name, asked in self.asked.items():
            try:
                results = self._score(state, name, asked, checkpoint)
                if results is not None:
                    self._record(state, logger, name, results)
            except RecipeError as error:
                if dist.get_global_rank() == 0:
                    print(f"notice: {name} was not scored at {checkpoint.name}: {error}", flush=True)
                    event = {"kind": "not_scored", "tokens": tokens, "evaluation": name, "error": str(error)}
                    append_event(self.run, event)

    def _score(self, state: State, name: str, asked: Asked, checkpoint: Path) -> dict[str, Any] | None:
        """The results on rank 0; None on the others and when they stand already. Raises DataError of invalid ones."""
        dtype = _dtype(asked.config.dtype, state.precision)
        folder = name if dtype == asked.config.dtype else f"{name}-{dtype}"
        out = evaluation_folder(self.run, folder, int(state.timestamp.token))
        config = replace(asked.config, dtype=dtype, checkpoint=str(checkpoint), out=str(out))
        asked = replace(asked, config=config)
        manifest: Manifest | None = decide_together(lambda: _still_to_make(asked))
        if manifest is None:
            return None
        model = getattr(state.model, "module", state.model).model  # the Hugging Face model, under DDP too
        before = deepcopy(model.generation_config)
        set_generation(model, self.tokenizer)
        try:
            with get_precision_context(state.precision), torch.no_grad():
                subject = language_model(model, self.tokenizer, config, self.lockstep)
                results = score(subject, asked, config.out, manifest, int(state.timestamp.token))
        finally:
            model.generation_config = before
        if results is not None:
            report(results, config.out)
        return results

    def _record(self, state: State, logger: Logger, name: str, results: dict[str, Any]) -> None:
        found = results["scores"][METRIC]
        row = {
            "tokens": int(state.timestamp.token),
            "step": int(state.timestamp.batch),
            "split": SCORED,
            "source": name,
            "metric": METRIC,
            "value": found["value"],
            "standard_error": found["standard_error"],
        }
        with open(self.run / METRICS, "a") as stream:
            stream.write(json.dumps(row) + "\n")
        logger.log_metrics({f"metrics/{name}/{METRIC}": found["value"]})


def _dtype(asked: str, precision: Precision) -> str:
    """What the results say of their precision: as asked where the verb would compute in that of training."""
    verb = {"auto": "bf16" if torch.cuda.is_available() else "fp32"}.get(asked, asked)
    return asked if verb == precision.value else precision.value


def _still_to_make(asked: Asked) -> Manifest | None:
    """The manifest of results that do not stand yet.

    Those of a checkpoint that has been replaced, by a rollback or a damaged one made again, are removed.
    Raises DataError where others stand.
    """
    out = Path(asked.config.out)
    manifest = evaluation_manifest(asked.config, identity(asked.config.checkpoint))
    if (out / FILE_NAME).is_file():
        old = read_manifest(out, manifest.stage).inputs["checkpoint"]
        if old != manifest.inputs["checkpoint"]:
            print(f"notice: {out} was of a checkpoint that has been replaced; removed", flush=True)
            shutil.rmtree(out)
    return None if stands(out, manifest) else manifest
