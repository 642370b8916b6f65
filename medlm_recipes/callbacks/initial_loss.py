"""A look at the first loss: random weights can only guess."""

from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from medlm_recipes.token_math import INITIAL_LOSS_TOLERANCE


class InitialLossCheck(Callback):
    """Prints a notice when the first loss of random weights is far from `expected` (token_math.initial_loss).

    Much above: weights too large, or labels that do not belong to the inputs; much below: the labels
    leak into the inputs. The loss is the mean over all ranks, so all judge alike.
    """

    def __init__(self, expected: float) -> None:
        self.expected = expected

    def batch_end(self, state: State, logger: Logger) -> None:
        if int(state.timestamp.batch) != 1 or dist.get_global_rank() != 0:
            return
        assert isinstance(state.total_loss_dict, dict)
        loss = float(state.total_loss_dict["loss/train/total"])
        if not abs(loss - self.expected) <= INITIAL_LOSS_TOLERANCE:
            print(
                f"notice: the first loss is {loss:.2f} nats, but random weights of this size cost "
                f"{self.expected:.2f}; look at the initial weights and at the labels before going on",
                flush=True,
            )
