"""The divergence guard: loss and gradient norm of every step, judged and answered by all ranks together."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from medlm_recipes.callbacks.events import append_event
from medlm_recipes.callbacks.judgement import Finding, Measures, StepJudge, ValidationJudge
from medlm_recipes.config.guard import POLICIES, GuardKeys
from medlm_recipes.errors import RecipeError
from medlm_recipes.parallel.agreement import gather_numbers
from medlm_recipes.parallel.gradients import ClipGradients

_MOST_ROWS_WITH_SAMPLES = 100  # of bad steps in a row: a run that only warns of a lasting fault must not fill the disk


@dataclass(frozen=True)
class Place:
    """Where a run stands before a step: steps and tokens done, pass over the data, batches of it trained on."""

    steps: int
    tokens: int
    epoch: int
    batch: int


class RollbackNeeded(Exception):
    """Raised out of `Trainer.fit`, on all ranks alike, before the bad step's update."""

    def __init__(self, finding: Finding, first: Place, last: Place) -> None:
        super().__init__(finding.what)
        self.finding = finding
        self.first = first
        self.last = last


class DivergenceGuard(Callback):
    """Answers trouble as `GuardKeys` says.

    Must stand beside `gradients`, an algorithm, which runs before it at the same event. Costs one
    collective of three numbers a rank a step. A skipped step's gradients are dropped, so that
    DecoupledAdamW leaves weights, moments and its step count alone; Composer's clock goes on, and
    with it the learning rate, the data and the token budget. State: the recent good steps, the
    trouble in hand and the best validations; what a rollback changes is kept by `training.rollback`.

    run: folder of events.jsonl. sources: samples of each, in the order in which the dataset numbers
    them. rollbacks: how many the run has had. Raises RollbackNeeded, or RecipeError to stop.
    """

    def __init__(
        self,
        keys: GuardKeys,
        run: Path,
        gradients: ClipGradients,
        sources: dict[str, int],
        step_tokens: int,
        rollbacks: int,
    ) -> None:
        self.keys = keys
        self.run = run
        self.gradients = gradients
        self.sources = sources
        self.step_tokens = step_tokens
        self.rollbacks = rollbacks
        self.steps = StepJudge(keys)
        self.validations = ValidationJudge(keys)
        self.in_a_row = 0
        self.first: Place | None = None
        self.best_at: dict[str, Place] = {}
        self._losses: list[torch.Tensor] = []
        self._validation: dict[str, float] = {}

    def before_train_batch(self, state: State, logger: Logger) -> None:
        self._losses = []

    def after_loss(self, state: State, logger: Logger) -> None:
        if self.keys.enabled:
            assert isinstance(state.loss, torch.Tensor)
            self._losses.append(state.loss.detach().mean())  # still on the device: no wait for it here

    def after_train_batch(self, state: State, logger: Logger) -> None:
        if not self.keys.enabled:
            return
        losses = torch.stack(self._losses).double()
        norm = torch.full_like(losses[0], self.gradients.norm)
        # torch's max passes a NaN on, whichever micro-batch has it.
        ranks = gather_numbers(torch.stack([losses.mean(), losses.max(), norm]))
        step = Measures([rank[0] for rank in ranks], [rank[1] for rank in ranks], max(rank[2] for rank in ranks))
        findings = self.steps.findings(step)
        if not findings:
            self.in_a_row = 0
            self.first = None
            self.steps.accept(step)
            return
        self._answer(state, step, findings)

    def eval_end(self, state: State, logger: Logger) -> None:
        if self.keys.enabled:
            source = state.dataloader_label
            assert source is not None
            self._validation[source] = float(state.eval_metrics[source]["LanguageCrossEntropy"].compute())

    def eval_after_all(self, state: State, logger: Logger) -> None:
        if not self._validation:
            return
        sources = sorted(self._validation)
        own = torch.tensor([self._validation[source] for source in sources], dtype=torch.float64)
        ranks = gather_numbers(state.device.tensor_to_device(own))
        losses = {source: max(rank[at] for rank in ranks) for at, source in enumerate(sources)}
        self._validation = {}
        here = _place(state)
        last = Place(here.steps - 1, here.tokens - self.step_tokens, here.epoch, here.batch - 1)
        self.best_at |= dict.fromkeys(self.validations.improved(losses), here)
        for source, finding in self.validations.findings(losses).items():
            action = self._escalated(self.keys.rising_perplexity)
            self._record(finding, action, here.steps, here.tokens, {"validation_losses": losses})
            self._end(action, finding, self.best_at.get(source, last), last)

    def state_dict(self) -> dict[str, Any]:
        state = {
            "steps": self.steps.state_dict(),
            "validations": self.validations.state_dict(),
            "in_a_row": self.in_a_row,
            "first": self.first and asdict(self.first),
            "best_at": {source: asdict(place) for source, place in self.best_at.items()},
        }
        # One text: a sharded checkpoint is loaded into a template, whose lists have other lengths.
        return {"json": json.dumps(state)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        kept = json.loads(state["json"])
        self.steps.load_state_dict(kept["steps"])
        self.validations.load_state_dict(kept["validations"])
        self.in_a_row = kept["in_a_row"]
        self.first = kept["first"] and Place(**kept["first"])
        self.best_at = {source: Place(**place) for source, place in kept["best_at"].items()}

    def _answer(self, state: State, step: Measures, findings: list[Finding]) -> None:
        """The strongest of the policies that a bad step's findings ask for; the same on every rank."""
        wanted = {finding.kind: getattr(self.keys, finding.kind) for finding in findings}
        finding = max(findings, key=lambda one: POLICIES.index(wanted[one.kind]))
        self.in_a_row += 1
        here = _place(state)
        self.first = self.first or here
        action = self._escalated(wanted[finding.kind])
        facts: dict[str, Any] = {
            "loss_mean": step.losses,
            "loss_max": step.worst,
            "gradient_norm": step.gradient_norm,
            "in_a_row": self.in_a_row,
        }
        if self.in_a_row <= _MOST_ROWS_WITH_SAMPLES:
            facts["samples"] = dist.all_gather_object([self._name(sample) for sample in state.batch["sample"].tolist()])
        self._record(finding, action, here.steps + 1, here.tokens + self.step_tokens, facts)
        if action == "warn":
            self.steps.accept(step)  # its update is taken, so it is part of where the run stands now
            return
        for optimizer in state.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self._end(action, finding, self.first, here)

    def _escalated(self, policy: str) -> str:
        if policy == "skip_update" and self.in_a_row >= self.keys.patience:
            policy = "rollback"
        if policy == "rollback" and self.rollbacks >= self.keys.max_rollbacks:
            policy = "stop"
        return policy

    def _end(self, action: str, finding: Finding, first: Place, last: Place) -> None:
        """Leave training where the answer asks for it."""
        if action == "rollback":
            raise RollbackNeeded(finding, first, last)
        if action == "stop":
            raise RecipeError(
                f"{self.run}: the divergence guard stopped training at step {last.steps + 1:,}: {finding.kind}, "
                f"{finding.what}; rollbacks so far: {self.rollbacks} of guard.max_rollbacks {self.keys.max_rollbacks}. "
                f"Nothing was saved. {self.run}/events.jsonl names the samples. Launch again, which goes on from the "
                f"newest checkpoint, with another answer (guard.{finding.kind}=warn, a higher guard.max_rollbacks) or "
                "with the cause mended; or start a new run with a lower optimizer.lr"
            )

    def _record(self, finding: Finding, action: str, step: int, tokens: int, facts: dict[str, Any]) -> None:
        if dist.get_global_rank() != 0:
            return
        row = {"step": step, "tokens": tokens, "kind": finding.kind, "policy": action, "what": finding.what}
        append_event(self.run, row | {"threshold": finding.threshold} | facts)
        print(f"guard: step {step:,}: {finding.kind}, {finding.what}: {action}", flush=True)

    def _name(self, sample: int) -> str:
        """`source:number`, the number counting the samples of that source's train stream from 0."""
        for source, samples in self.sources.items():
            if sample < samples:
                return f"{source}:{sample}"
            sample -= samples
        raise AssertionError(f"sample {sample} beyond the last source")


def _place(state: State) -> Place:
    now = state.timestamp
    return Place(int(now.batch), int(now.token), int(now.epoch), int(now.batch_in_epoch))
