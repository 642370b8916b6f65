"""What a rank does in one micro-batch: FLOPs, bytes through its memory, bytes to other ranks. Closed form, no torch.

Operators are counted as PyTorch runs them, one by one. FLOPs are those of torch's flop counter, but that
causal attention leaves out half of its scores; `Code` holds what the other operators move, counted on the
models themselves over fake CUDA tensors, as benchmarks/preflight.py does again.
"""

from dataclasses import dataclass

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.token_math import padded_vocabulary

BF16, FP32 = 2, 4

_CHUNK_LOGITS = 1 << 26  # logits that the fused loss makes at once (models.loss)

# Composer's DecoupledAdamW is a loop of fp32 operators over the rank's shard: 8 bytes a parameter for the decay, 20
# for each moment, 12 + 16 for root and eps, 16 for the update; clipping before it reads 4 and rewrites 8.
_OPTIMIZER_BYTES = 104


@dataclass(frozen=True)
class Blocks:
    """The sizes of a decoder. kv_width: heads of keys and values times head size. gated: three feed-forward matrices.

    positions: rows of learned positions. tied: input and output embedding are one matrix.
    """

    layers: int
    width: int
    kv_width: int
    ffn: int
    gated: bool
    vocab: int
    positions: int
    tied: bool

    @property
    def matrices(self) -> int:
        """Parameters of the matrices of one block."""
        return 2 * self.width * (self.width + self.kv_width) + (3 if self.gated else 2) * self.width * self.ffn

    @property
    def operands(self) -> int:
        """Units that the matrices of one block read and write for a token."""
        attention = (self.width + self.width + 2 * self.kv_width) + 2 * self.width
        up = 2 if self.gated else 1
        return attention + (self.width + up * self.ffn) + (self.ffn + self.width)

    @property
    def parameters(self) -> int:
        """All but biases and norms, which are a thousandth."""
        embeddings = self.vocab * (1 if self.tied else 2) + self.positions
        return self.layers * self.matrices + embeddings * self.width


@dataclass(frozen=True)
class Code:
    """Bytes that the operators besides matrices and attention move for a token, forward and back.

    width, kv, ffn: in a block, for each hidden unit, unit of keys and feed-forward unit; again_*: the part of it
    that activation checkpointing repeats. logits: for each logit. chunked: the loss sums the output layer's
    gradient chunk by chunk.
    """

    width: float
    kv: float
    ffn: float
    again_width: float
    again_kv: float
    again_ffn: float
    logits: float
    chunked: bool


MPT = Code(130, 0, 0, 46, 0, 0, logits=10, chunked=False)
"""llm-foundry's, which the reference table measured: norms in bf16, fused attention and cross-entropy."""

GPT2 = Code(210, 0, 0, 78, 0, 0, logits=40, chunked=True)
"""Ours: Hugging Face's with the fused GELU under CUDA autocast (norms in fp32), fused loss."""

GPT2_DROPOUT = Code(230, 0, 0, 88, 0, 0, logits=40, chunked=True)
"""The same with dropout, whose own kernels are two of a block; attention's is part of its kernel."""

LLAMA = Code(382, 79, 28, 113, 20, 10, logits=40, chunked=True)
"""Ours: Hugging Face's under CUDA autocast (unfused RMSNorm, rotation and SwiGLU), fused loss."""


@dataclass(frozen=True)
class Layout:
    """How a step is laid over ranks.

    shards: consecutive ranks that a copy of the model is spread over; 1: each has its own. tensor_parallel:
    consecutive ranks that share matrices and data. gathers: how often a micro-batch gathers the parameters
    (twice when they are freed between forward and backward). reduced_bytes: of a gradient on its way.
    masked: a mask keeps the attention kernel from leaving out what causality rules out.
    """

    sequence: int
    micro_batch: int
    accumulation: int
    ranks: int
    shards: int
    devices_per_node: int
    tensor_parallel: int = 1
    checkpointing: bool = False
    gathers: int = 2
    reduced_bytes: int = FP32
    masked: bool = False

    @property
    def tokens(self) -> int:
        """Of a micro-batch."""
        return self.sequence * self.micro_batch


@dataclass(frozen=True)
class Work:
    """What one rank does in a micro-batch, with its part of the optimizer step.

    matmul, attention: FLOPs. traffic: bytes through device memory. link: bytes between the accelerators of a
    host. network: bytes through the network of a host. sums: bytes between accelerators for the sums of tensor
    parallelism, which the next operator waits for.
    """

    matmul: float
    attention: float
    traffic: float
    link: float
    network: float
    sums: float


def blocks_of(keys: ModelKeys, vocab_size: int, sequence_length: int) -> Blocks | None:
    """The sizes that a recipe states; None for `name: hf`, whose own config states them."""
    if keys.name == "hf":
        return None
    assert keys.n_layer and keys.n_head and keys.n_embd
    vocab = padded_vocabulary(vocab_size, keys.pad_vocab_to_multiple_of)
    if keys.name == "gpt2":
        ffn = 4 * keys.n_embd
        return Blocks(keys.n_layer, keys.n_embd, keys.n_embd, ffn, False, vocab, sequence_length, tied=True)
    assert keys.n_ffn
    kv_width = (keys.n_kv_head or keys.n_head) * keys.n_embd // keys.n_head
    return Blocks(keys.n_layer, keys.n_embd, kv_width, keys.n_ffn, True, vocab, 0, tied=False)


def code_of(keys: ModelKeys) -> Code:
    """What our model of a recipe runs; any base of `name: hf` is taken for a Llama."""
    if keys.name == "gpt2":
        return GPT2_DROPOUT if keys.dropout else GPT2
    return LLAMA


def work_of(blocks: Blocks, code: Code, layout: Layout) -> Work:
    """What a rank does in a micro-batch of `layout.tokens` tokens."""
    again = 1 if layout.checkpointing else 0
    share, tokens = 1 / layout.tensor_parallel, layout.tokens
    head = blocks.vocab * blocks.width
    # A checkpointed block is run again but for its last matrix, whose output nothing needs.
    repeated = 2 * (blocks.matrices - blocks.width * blocks.ffn) * again
    matmul = share * blocks.layers * (6 * blocks.matrices + repeated) + 6 * head
    scores = (4 + 10 + 4 * again) * blocks.layers * blocks.width * layout.sequence * share
    link, network = _communication(blocks, layout)
    return Work(
        matmul=matmul * tokens,
        attention=scores * (1 if layout.masked else 0.5) * tokens,
        traffic=_traffic(blocks, code, layout),
        link=link,
        network=network,
        sums=_sums(blocks, layout),
    )


def _traffic(blocks: Blocks, code: Code, layout: Layout) -> float:
    again = 1 if layout.checkpointing else 0
    share, tokens = 1 / layout.tensor_parallel, layout.tokens
    # Tensor parallelism divides the units inside a block, not the hidden units between its halves.
    others = (code.width + again * code.again_width) * blocks.width + share * (
        (code.kv + again * code.again_kv) * blocks.kv_width + (code.ffn + again * code.again_ffn) * blocks.ffn
    )
    # Each matrix is multiplied three times (four when checkpointed), and its weights are read each time.
    inner = blocks.operands - 4 * blocks.width
    operands = BF16 * (3 + again) * (4 * blocks.width + inner * share)
    weights = BF16 * (3 + again) * blocks.matrices * share
    block = (others + operands) * tokens + weights
    head = (code.logits * blocks.vocab + BF16 * 3 * (blocks.width + blocks.vocab)) * tokens
    if code.chunked:
        chunks = max(1.0, tokens * blocks.vocab / _CHUNK_LOGITS)
        head += (20 + 16 * chunks) * blocks.vocab * blocks.width
    return blocks.layers * block + head + optimizer_traffic(blocks, layout)


def optimizer_traffic(blocks: Blocks, layout: Layout) -> float:
    """A micro-batch's part of the bytes that a step's optimizer moves on a rank."""
    held = blocks.parameters / (layout.tensor_parallel * layout.shards)
    return _OPTIMIZER_BYTES * held / layout.accumulation


def _communication(blocks: Blocks, layout: Layout) -> tuple[float, float]:
    """Bytes over the links inside a host and through its network, as rings move them."""
    shards, per_node, share = layout.shards, layout.devices_per_node, 1 / layout.tensor_parallel
    held = blocks.parameters * share
    link = network = 0.0
    if shards > 1:
        moved = held * (BF16 * layout.gathers + layout.reduced_bytes) * (shards - 1) / shards
        if shards * layout.tensor_parallel > per_node:
            # The hosts' ranks that hold different parts of matrices have a ring each through the same network.
            network += moved * layout.tensor_parallel
        else:
            link += moved
    copies = layout.ranks // (shards * layout.tensor_parallel)
    if copies > 1:
        # Every rank sums its part over the copies: sharded models in each micro-batch, whole ones once a step.
        summed = 2 * layout.reduced_bytes * held / shards * (copies - 1) / copies
        summed /= layout.accumulation if shards == 1 else 1
        if layout.ranks > per_node:
            network += summed * min(per_node, shards * layout.tensor_parallel)
        else:
            link += summed
    return link, network


def _sums(blocks: Blocks, layout: Layout) -> float:
    """Bytes of the sum after attention and that after the feed-forward layer, forward and back (and again)."""
    times = 6 if layout.checkpointing else 4
    moved = 2 * BF16 * (layout.tensor_parallel - 1) / layout.tensor_parallel
    return blocks.layers * times * moved * blocks.width * layout.tokens
