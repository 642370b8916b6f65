"""Keys of how training is laid over ranks."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, one_of, within
from medlm_recipes.config.model import ModelKeys

# How the work is laid out, which changes what is computed by rounding alone, as the number of ranks does: a run may go
# on, or a branch begin, under others.
LAYOUT = ("fsdp_version", "replicas", "tensor_parallel", "micro_batch", "activation_checkpointing")


@dataclass
class ParallelKeys:
    fsdp: bool = key("shard parameters, gradients and optimizer over the ranks (a unit a block); false: replicas", True)
    fsdp_version: int = key("2, or 1: PyTorch's older FSDP, on GPUs only", 2, check=within(1, 2))
    replicas: int = key(
        "replicas of the sharded model; above 1 (hybrid sharding) each is sharded over ranks / replicas consecutive "
        "ranks only, which keeps the gathering of parameters on a host when those are one host's",
        1,
        check=at_least(1),
    )
    tensor_parallel: int = key(
        "llama: consecutive ranks, of one host, that share every matrix of a block and read the same data; every rank "
        "holds the whole model in host memory while it starts",
        1,
        check=at_least(1),
    )
    micro_batch: int = key("sequences a rank takes through the model at once", check=at_least(1))
    activation_checkpointing: bool = key("recompute the blocks' activations in the backward pass", False)
    precision: str = key(
        "auto: bf16 on a GPU, fp32 on CPU; amp_bf16; fp32", "auto", check=one_of("auto", "amp_bf16", "fp32")
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        for name in ("replicas", "tensor_parallel"):
            if getattr(self, name) > 1 and not self.fsdp:
                yield name, f"{getattr(self, name)} needs fsdp: true"
        if self.activation_checkpointing and not self.fsdp:
            yield "activation_checkpointing", "true has no effect without fsdp; set fsdp: true, on a single GPU too"
        if self.tensor_parallel > 1 and self.fsdp_version == 1:
            yield "tensor_parallel", f"{self.tensor_parallel} needs fsdp_version: 2"
        if self.tensor_parallel > 1 and self.replicas > 1:
            yield (
                "tensor_parallel",
                f"{self.tensor_parallel} together with replicas {self.replicas}: Composer would save only a part of "
                "such a model; set one of them to 1",
            )

    def problems_with_model(self, model: ModelKeys) -> Iterator[tuple[str, str]]:
        degree = self.tensor_parallel
        if model.lora and self.fsdp and self.fsdp_version == 1:
            yield "fsdp_version", "1 cannot shard frozen and trained weights together; model.lora needs 2"
        if degree == 1:
            return
        if model.lora:
            yield "tensor_parallel", f"{degree}: model.lora's adapters cannot be divided; set it to 1"
            return
        if model.name != "llama":
            yield "tensor_parallel", f"{degree}: only model.name llama can be divided, not {model.name}; set it to 1"
            return
        for name, count in (("n_head", model.n_head), ("n_kv_head", model.n_kv_head), ("n_ffn", model.n_ffn)):
            if count is not None and count % degree:
                yield "tensor_parallel", f"{degree} does not divide model.{name} {count}; choose a divisor"

    @property
    def spreads_weights(self) -> bool:
        """Whether Composer spreads rank 0's initial weights over the ranks, which then need none of their own."""
        return self.fsdp and self.fsdp_version == 2 and self.tensor_parallel == 1

    def data_ranks(self, ranks: int) -> int:
        """Ranks that read different data; their number divides `ranks` in a checked plan."""
        return ranks // self.tensor_parallel
