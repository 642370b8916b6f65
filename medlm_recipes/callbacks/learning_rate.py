"""Learning rates that belong to the step that takes them."""

from composer.core import Callback, State
from composer.loggers import Logger


class LearningRateOfStep(Callback):
    """Evaluates the schedule as a step begins, at the tokens seen so far.

    Composer itself does so at the end of a step and before it counts that step's tokens: each step
    would take the rate of the step before it, and the first two of a warm-up the rate 0. It also
    leaves a run that goes on from another schedule's checkpoint one step at that one's rate. The
    Trainer therefore gets `step_schedulers_every_batch=False` beside this callback.
    """

    def batch_start(self, state: State, logger: Logger) -> None:
        for scheduler in state.schedulers:
            scheduler.step()
