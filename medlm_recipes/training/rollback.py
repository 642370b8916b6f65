"""Going back to a good checkpoint, and what a run remembers of it.

`<run>/rollbacks.json` holds each rollback: the checkpoint, the batches passed over from there on, the
factor on the learning rate. The order of data and the learning rate of any step follow from it and
the token count, so that a run killed at any moment, or resumed from an older checkpoint, takes the
same steps. Checkpoints' manifests carry it too: a branch goes on with its trunk's.
"""

import gc
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from composer.core import State
from composer.optim import ComposerScheduler
from composer.utils import dist

from medlm_recipes.callbacks.checkpoint_names import CHECKPOINTS, checkpoint_folders, tokens_of
from medlm_recipes.callbacks.divergence import Place, RollbackNeeded
from medlm_recipes.callbacks.events import append_event
from medlm_recipes.callbacks.mirror import Mirror
from medlm_recipes.config.guard import GuardKeys
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import RecipeError
from medlm_recipes.manifest import write_json
from medlm_recipes.parallel.agreement import decide_together
from medlm_recipes.shards.windows import Window, place, span
from medlm_recipes.training.plan import TrainPlan
from medlm_recipes.training.resume import choose_start

FILE_NAME = "rollbacks.json"


@dataclass(frozen=True)
class Rollback:
    """One rollback: why, at which step, to which tokens, what it passes over and how it slows down."""

    kind: str
    step: int
    to_tokens: int
    lr_factor: float
    windows: list[Window]


def read_rollbacks(run: Path) -> list[Rollback]:
    """A run's own rollbacks, oldest first."""
    path = run / FILE_NAME
    return _from_json(json.loads(path.read_text())) if path.is_file() else []


def of_trunk(plan: TrainPlan) -> list[Rollback]:
    """Those of the run that this one branched off."""
    return _from_json(plan.trunk.facts.get("rollbacks", [])) if plan.trunk else []


def all_rollbacks(run: Path, plan: TrainPlan) -> list[Rollback]:
    return [*of_trunk(plan), *read_rollbacks(run)]


def _from_json(rows: list[dict[str, Any]]) -> list[Rollback]:
    return [Rollback(**row | {"windows": [Window(**window) for window in row["windows"]]}) for row in rows]


def to_json(rollbacks: list[Rollback]) -> list[dict[str, Any]]:
    return [asdict(rollback) for rollback in rollbacks]


def windows_of(rollbacks: list[Rollback]) -> list[Window]:
    return [window for rollback in rollbacks for window in rollback.windows]


def lr_scale(rollbacks: list[Rollback], tokens: int) -> float:
    """Factor on the learning rate of the step that begins at `tokens`."""
    scale = 1.0
    for rollback in rollbacks:
        if rollback.to_tokens <= tokens:
            scale *= rollback.lr_factor
    return scale


class SlowedSchedule(ComposerScheduler):
    """A schedule times what the rollbacks have made of it."""

    def __init__(self, schedule: ComposerScheduler, rollbacks: list[Rollback]) -> None:
        self.schedule = schedule
        self.rollbacks = rollbacks

    def __call__(self, state: State, ssr: float = 1.0) -> float:
        return lr_scale(self.rollbacks, int(state.timestamp.token)) * self.schedule(state, ssr)


def go_back(
    run: Path, config: TrainConfig, plan: TrainPlan, needed: RollbackNeeded, mirror: Mirror | None
) -> Path | None:
    """Make the newest sound checkpoint from before the trouble the newest of all; all ranks call this together.

    Returns it, or None for the checkpoint that a branch began from. What follows from going back is
    recorded; later checkpoints are kept under `abandoned-<n>/`. Raises RecipeError when there is
    nothing to go back to.
    """
    # The closed Trainer's model must make room, and its dataset let go of the shards' folders on every rank.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    dist.barrier()
    target = choose_start(run, mirror, at_most=needed.first.tokens)
    decide_together(lambda: _record(run, config, plan, needed, target))
    if mirror:
        mirror.withdraw_after(tokens_of(target) if target else plan.start)
    return target


def _record(run: Path, config: TrainConfig, plan: TrainPlan, needed: RollbackNeeded, target: Path | None) -> None:
    step, cause = needed.last.steps + 1, needed.finding
    if target is None and plan.trunk is None:
        raise RecipeError(
            f"{run}: {cause.kind} at step {step:,} ({cause.what}), and no checkpoint from before it to go back to; set "
            "checkpoint_interval lower than that, or mend the cause: events.jsonl names the samples. Nothing was saved"
        )
    to_tokens = tokens_of(target) if target else plan.start
    own, before = read_rollbacks(run), of_trunk(plan)
    windows = passed_over(plan, config.guard, needed, to_tokens, windows_of([*before, *own]))
    rollback = Rollback(cause.kind, step, to_tokens, config.guard.rollback_lr_factor, windows)
    # First the checkpoints, then the record: a kill between the two leaves a run that meets its trouble again.
    _set_aside(run, to_tokens, len(own) + 1)
    write_json(run / FILE_NAME, to_json([*own, rollback]))
    scale = lr_scale([*before, *own, rollback], to_tokens)
    row = {"step": step, "tokens": step * plan.step_tokens, "kind": "rolled_back", "cause": cause.kind}
    append_event(run, row | {"to_tokens": to_tokens, "passed_over": asdict(rollback)["windows"], "lr_scale": scale})
    where = target or config.start_from
    print(f"guard: back to {where}, passing over {_in_words(windows)}; learning rate x {scale:g}", flush=True)


def passed_over(
    plan: TrainPlan, keys: GuardKeys, needed: RollbackNeeded, to_tokens: int, windows: list[Window]
) -> list[Window]:
    """The bad batches and the margin around them, in the data's full order, none before the checkpoint's place."""
    batches = plan.pass_tokens // plan.step_tokens + 1

    def full(at: Place, taken: int) -> int:
        return place(windows, at.epoch, taken, batches)

    first, last = needed.first, needed.last
    # Batches of the first bad one's pass that the checkpoint has seen; none if it stands in an earlier pass.
    seen = max(0, first.batch - (first.steps - to_tokens // plan.step_tokens))
    begin = max(full(first, seen), full(first, first.batch) - keys.rollback_margin)
    return span((first.epoch, begin), (last.epoch, full(last, last.batch) + keys.rollback_margin))


def _set_aside(run: Path, tokens: int, number: int) -> None:
    aside = run / CHECKPOINTS / f"abandoned-{number}"
    for folder in checkpoint_folders(run):
        if tokens_of(folder) > tokens:
            aside.mkdir(exist_ok=True)
            folder.replace(aside / folder.name)


def _in_words(windows: list[Window]) -> str:
    return ", ".join(
        f"batches {one.begin:,} to {'the end' if one.end is None else f'{one.end - 1:,}'} of pass {one.epoch + 1}"
        for one in windows
    )
