"""Composer's loggers that a recipe asks for besides the run's own files."""

import importlib.util
from pathlib import Path
from typing import Any

from medlm_recipes.config.train import LoggerKeys
from medlm_recipes.errors import ConfigError


def build_loggers(keys: LoggerKeys, run: Path) -> list[Any]:
    """The loggers of `keys`; secrets stay in the environment. Raises ConfigError when a package is missing."""
    from composer.loggers import MLFlowLogger, TensorboardLogger, WandBLogger

    loggers: list[Any] = []
    if keys.tensorboard:
        _require("tensorboard", "tensorboard")
        loggers.append(TensorboardLogger(log_dir=str(run / "tensorboard"), flush_interval=100))
    if keys.wandb_project:
        _require("wandb_project", "wandb")
        loggers.append(WandBLogger(project=keys.wandb_project, name=run.name, init_kwargs={"dir": str(run)}))
    if keys.mlflow_experiment:
        _require("mlflow_experiment", "mlflow")
        loggers.append(MLFlowLogger(experiment_name=keys.mlflow_experiment, run_name=run.name))
    return loggers


def _require(key: str, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"loggers.{key}: the package {package} is not installed; run pip install -e '.[loggers]'")
