"""lm-eval task files: which question becomes which prompt, and what is asked of the model.

A file says everything in lm-eval's own keys, so that the stock `lm_eval` command reads it too;
`metadata.protocol` names the protocol that it stands for.
"""

from pathlib import Path
from typing import Any

import yaml

from medlm_recipes.errors import ConfigError

OUTPUTS = ("multiple_choice", "generate_until")
HEADED = "biomedlm"
"""The protocol whose scores come from a fine-tuned head."""


def read_task(path: str) -> dict[str, Any]:
    """A task of multiple-choice questions in its test split, with what it includes laid under it.

    Raises ConfigError when a file is missing or is something else.
    """
    task = _load(Path(path))
    if task.get("output_type") not in OUTPUTS or task.get("test_split") != "test":
        raise ConfigError(
            f"task: {path}: output_type is {task.get('output_type')!r} and test_split {task.get('test_split')!r}; here "
            f"an lm-eval task with output_type: {' or '.join(OUTPUTS)} and test_split: test is needed"
        )
    missing = [name for name in ("task", "doc_to_text", "doc_to_target") if not task.get(name)]
    missing += ["doc_to_choice"] if not generates(task) and not task.get("doc_to_choice") else []
    missing += ["generation_kwargs"] if generates(task) and not task.get("generation_kwargs") else []
    if missing:
        raise ConfigError(f"task: {path}: has no {', '.join(missing)}")
    return task


def protocol_of(task: dict[str, Any]) -> str:
    """The protocol that a task names in its metadata; its own name when it names none."""
    return (task.get("metadata") or {}).get("protocol") or task["task"]


def generates(task: dict[str, Any]) -> bool:
    """Whether the model writes texts, from which answers are read, rather than weighs the options."""
    return task["output_type"] == "generate_until"


def generation_of(task: dict[str, Any], max_gen_toks: int | None) -> dict[str, Any]:
    """lm-eval's generation keywords of a task; `max_gen_toks` comes before the task's own."""
    keywords = dict(task["generation_kwargs"])
    return keywords | {"max_gen_toks": max_gen_toks or keywords.get("max_gen_toks", 256)}  # lm-eval's default


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"task: {path}: no such file; lm-eval task YAMLs stand under yamls/evaluate/tasks/")
    try:
        task = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"task: {path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(task, dict):
        raise ConfigError(f"task: {path}: not an lm-eval task: its top level must be `key: value` lines")
    under: dict[str, Any] = {}
    includes = task.pop("include", [])
    for name in [includes] if isinstance(includes, str) else includes:
        under |= _load(path.parent / name)
    return under | task
