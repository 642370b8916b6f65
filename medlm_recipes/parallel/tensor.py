"""Tensor parallelism of Llama: the matrices of a block divided over a few ranks that read the same data."""

from composer.core import Algorithm, Event, State
from composer.distributed.fsdp2_utils import sync_optimizer_and_model_params
from composer.loggers import Logger
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

_BLOCK = "model.model.layers.*"  # from the ComposerModel down to the blocks of a LlamaForCausalLM

# As Megatron-LM divides a block (Shoeybi et al. 2019, arXiv 1909.08053, section 3): heads and feed-forward units
# over ranks, one sum over ranks after attention and one after the feed-forward layer.
_PLAN: dict[str, type[ColwiseParallel | RowwiseParallel]] = {
    **dict.fromkeys((f"{_BLOCK}.self_attn.{name}_proj" for name in "qkv"), ColwiseParallel),
    **dict.fromkeys((f"{_BLOCK}.mlp.{name}_proj" for name in ("gate", "up")), ColwiseParallel),
    f"{_BLOCK}.self_attn.o_proj": RowwiseParallel,
    f"{_BLOCK}.mlp.down_proj": RowwiseParallel,
}


class TensorParallel(Algorithm):
    """Divides the model over the mesh of Composer's TPConfig before FSDP2 shards it.

    In place of Composer 0.32's own `prepare_tp_module`, which refuses an optimizer with more than one
    group of parameters and leaves it holding those that are no longer the model's. Embeddings, norms
    and output layer stay whole; their gradients come out alike on the ranks that share a block.
    """

    def match(self, event: Event, state: State) -> bool:
        return event == Event.INIT and state.tp_config is not None

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        with sync_optimizer_and_model_params(state.optimizers[0], state.model):
            parallelize_module(
                state.model, state.tp_config.device_mesh, {path: style() for path, style in _PLAN.items()}
            )
        state.tp_config = None  # so that Composer does not do it again
