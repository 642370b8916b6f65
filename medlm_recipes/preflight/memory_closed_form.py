"""A rank's peak memory by formulas, for GPT-2, Llama and MPT: beside the simulation, and where it cannot run.

Bytes that a block keeps for its backward pass are counted operator by operator, as Korthikanti et al. 2022
do (Reducing Activation Recomputation in Large Transformer Models, arXiv 2205.05198, section 4), for the code
that transformers 4.53 runs, with attention that keeps no matrix (Dao et al. 2022, arXiv 2205.14135). Model
states are those of ZeRO stage 3 (Rajbhandari et al. 2020, arXiv 1910.02054, section 5). What is smaller than
a block's matrices is left out.
"""

from dataclasses import dataclass
from typing import Any

from medlm_recipes.preflight.memory_extrapolation import Kinds, Peak
from medlm_recipes.preflight.memory_kinds import KINDS
from medlm_recipes.preflight.memory_setup import RankSetup
from medlm_recipes.token_math import gpt2_parameters, llama_parameters, padded_vocabulary

_BYTES = {"fp32": 4, "bf16": 2}


@dataclass(frozen=True)
class Shape:
    """A model in numbers; `kind` is gpt2, llama or mpt, `gelu_new` GPT-2's activation in elementary operators."""

    kind: str
    n_layer: int
    n_head: int
    n_kv_head: int
    n_embd: int
    n_ffn: int
    vocab: int
    parameters: int
    gelu_new: bool
    dropout: bool
    fused_loss: bool

    @property
    def root(self) -> int:
        """Parameters outside the blocks."""
        block = {
            "gpt2": 12 * self.n_embd**2 + 13 * self.n_embd,
            "mpt": 12 * self.n_embd**2 + 13 * self.n_embd,
            "llama": 2 * self.n_embd
            + 2 * self.n_embd**2
            + 2 * self.n_embd**2 * self.n_kv_head // self.n_head
            + 3 * self.n_embd * self.n_ffn,
        }[self.kind]
        return self.parameters - self.n_layer * block

    @property
    def block(self) -> float:
        """Parameters of a block."""
        return (self.parameters - self.root) / self.n_layer


def shape_of_setup(setup: RankSetup) -> Shape | None:
    """The shape that a setup's model states; None where it has to be read elsewhere."""
    ((name, given),) = setup.model.items()
    if name == "mpt":
        return _gpt_shape("mpt", given, setup.sequence, given["vocab_size"], gelu_new=False, dropout=0.0, fused=True)
    if name == "huggingface":
        return _huggingface_shape(given)
    if name == "recipe" and given["keys"]["name"] in ("gpt2", "llama"):
        return _recipe_shape(given["keys"], given["vocab_size"], given["sequence_length"])
    return None


def closed_form(setup: RankSetup) -> Peak | None:
    """Where a rank holds most, by kind; None for a model whose shape is not stated.

    Candidates are the loss, the last block but one in its backward pass, the optimizer and validation.
    """
    shape = shape_of_setup(setup)
    if shape is None:
        return None
    places = [_at_loss(shape, setup), _in_block(shape, setup), _in_optimizer(shape, setup)]
    if setup.validation:
        places.append(_in_validation(shape, setup))
    return max(places, key=lambda place: place.total)


def straight_from(setup: RankSetup) -> int:
    """The micro-batch from which on everything grows with it in a straight line.

    That which fills two chunks of the loss: the second one's logits are made beside the sum of the weight's gradient.
    """
    shape = shape_of_setup(setup)
    if shape is None or not shape.fused_loss:
        return 1
    return -(-2 * _chunk(shape.vocab) // setup.sequence)


def _chunk(vocab: int) -> int:
    """models.loss.chunk_tokens, which cannot be imported without torch; a test holds the two together."""
    return max((1 << 26) // vocab // 128 * 128, 128)


def _at_loss(shape: Shape, setup: RankSetup) -> Peak:
    tokens = setup.micro_batch * setup.sequence
    kept = 2 if setup.activation_checkpointing else _kept(shape, setup)
    kinds = _states(shape, setup) | {
        "activations": shape.n_layer * tokens * shape.n_embd * kept + _cast_weights(shape, setup),
        "logits and loss": _loss(shape, setup),
        "gathered parameters": _gathered(shape, setup, blocks=1),
    }
    return Peak("head" if shape.fused_loss and shape.kind != "mpt" else "head backward", "", _all(kinds))


def _in_block(shape: Shape, setup: RankSetup) -> Peak:
    """A block in its backward pass, at the gradient of the feed-forward layer's activation."""
    width = setup.micro_batch * setup.sequence * shape.n_embd
    inner = 2 * _whole_size(setup) * shape.n_ffn / shape.n_embd / setup.tensor_parallel
    kept = _kept(shape, setup)
    before = (shape.n_layer - 1) * (2 if setup.activation_checkpointing else kept)
    gradients = {"llama": 3 * inner}.get(shape.kind, 2 * inner)
    if shape.gelu_new:
        gradients = 3 * inner * (2 if setup.autocast else 1)
    compute = _compute_bytes(setup)
    reduced = 0 if setup.sharding == "none" else _BYTES[setup.reduce or setup.weights] * shape.block
    head = compute * shape.vocab * shape.n_embd
    outputs = (
        0 if shape.fused_loss and shape.kind != "mpt" else _bytes_of_logits(setup) * width / shape.n_embd * shape.vocab
    )
    states = _states(shape, setup)
    kinds = states | {
        "gradients": states["gradients"] + reduced / setup.tensor_parallel + head,
        "activations": width * (before + kept - inner) + _cast_weights(shape, setup),
        "logits and loss": outputs,
        "gathered parameters": _gathered(shape, setup, blocks=2),
        "temporary": width * (gradients + 2),
    }
    return Peak("backward", "a block", _all(kinds))


def _in_optimizer(shape: Shape, setup: RankSetup) -> Peak:
    own = _own(shape, setup)
    size = _BYTES[setup.weights]
    temporary = {"adamw": size * own, "adamw_fused": 0.0}.get(setup.optimizer, 2.0 * size * shape.vocab * shape.n_embd)
    ours = _states(shape, setup) | {"gradients": _gradients(shape, setup), "temporary": min(temporary, size * own)}
    return Peak("optimizer", "", _all(ours))


def _in_validation(shape: Shape, setup: RankSetup) -> Peak:
    kinds = _states(shape, setup) | {
        "gradients": _gradients(shape, setup),
        "logits and loss": _logits(shape, setup),
        "gathered parameters": _gathered(shape, setup, blocks=1),
    }
    return Peak("validation head", "", _all(kinds))


def _kept(shape: Shape, setup: RankSetup) -> float:
    """Bytes a token and hidden unit that a block keeps for its backward pass.

    In units of 2 bytes (bf16). GPT-2: each LayerNorm's input (twice that under autocast, which makes it
    fp32) and its output, queries, keys and values, what attention gives and a copy in another order, the
    activation's input and output; elementary gelu_new adds three inner results, in fp32 under autocast.
    Dropout adds a byte for each of two masks. Llama: each norm's input in fp32, its normalised states and
    its output, queries, keys and values, what attention gives and a copy, gate, its SiLU, up and product.
    MPT as GPT-2.
    """
    inner = shape.n_ffn / shape.n_embd
    ways = setup.tensor_parallel
    if shape.kind == "llama":
        kept = 2 * (2 * (2 + 1) + 2 + (3 + 2 + 4 * inner) / ways)
    else:
        kept = 2 * (2 * 2 + 3 + 2 + 2 * inner)
        if shape.gelu_new:
            kept += 2 * 3 * inner * (2 if setup.autocast else 1)
        kept += (4 if setup.autocast else 0) + (2 if shape.dropout else 0)
    return kept * _whole_size(setup)


def _loss(shape: Shape, setup: RankSetup) -> float:
    """The output layer and the loss.

    What `_logits` counts and, fused, the fp32 sum of the weight's gradient, states, normed and their gradient;
    plain, the gradient of the log-probabilities. MPT's fused kernel: logits and their gradient.
    """
    tokens = setup.micro_batch * setup.sequence
    states = {"llama": 8}.get(shape.kind, 6 if setup.autocast else 2) * tokens * shape.n_embd
    if shape.kind == "mpt":
        return 2 * _bytes_of_logits(setup) * tokens * shape.vocab + states
    if not shape.fused_loss:
        return _logits(shape, setup) + 4 * tokens * shape.vocab + states
    return _logits(shape, setup) + 4 * shape.vocab * shape.n_embd + 2 * states


def _logits(shape: Shape, setup: RankSetup) -> float:
    """Logits, their fp32 copy and log-probabilities; fused, of a chunk the latter two."""
    tokens = setup.micro_batch * setup.sequence
    if shape.fused_loss:
        return 8 * min(_chunk(shape.vocab), tokens) * shape.vocab
    return (8 + _bytes_of_logits(setup)) * tokens * shape.vocab


def _states(shape: Shape, setup: RankSetup) -> Kinds:
    """What lasts from step to step."""
    size, own = _BYTES[setup.weights], _own(shape, setup)
    buckets = size * own if setup.sharding == "none" and setup.ranks > 1 else 0.0
    gradients = (_gradients(shape, setup) - buckets if setup.accumulation else 0.0) + buckets
    return {"parameters": size * own, "optimizer": 2 * size * own, "gradients": gradients}


def _gradients(shape: Shape, setup: RankSetup) -> float:
    """All gradients of the rank; DDP has them a second time in its buckets."""
    copies = 2 if setup.sharding == "none" and setup.ranks > 1 else 1
    return copies * _BYTES[setup.weights] * _own(shape, setup)


def _own(shape: Shape, setup: RankSetup) -> float:
    """Parameters that a rank holds."""
    divided = shape.root + shape.n_layer * shape.block / setup.tensor_parallel
    return divided if setup.sharding == "none" else divided * setup.replicas * setup.tensor_parallel / setup.ranks


def _gathered(shape: Shape, setup: RankSetup, blocks: int) -> float:
    if setup.sharding == "none":
        return 0.0
    whole = shape.root + shape.n_layer * shape.block / setup.tensor_parallel
    some = shape.root + blocks * shape.block / setup.tensor_parallel
    return _compute_bytes(setup) * (whole if setup.sharding == "grad_op" else some)


def _cast_weights(shape: Shape, setup: RankSetup) -> float:
    """Autocast's bf16 copies of fp32 weights, which the backward pass needs; FSDP2 gathers bf16 itself."""
    return 2.0 * shape.parameters if setup.autocast and _compute_bytes(setup) == 4 else 0.0


def _compute_bytes(setup: RankSetup) -> int:
    return _BYTES[(setup.compute if setup.sharding != "none" else None) or setup.weights]


def _whole_size(setup: RankSetup) -> float:
    """1 where activations are bf16, 2 where they are fp32."""
    return 1.0 if setup.autocast or _compute_bytes(setup) == 2 else 2.0


def _bytes_of_logits(setup: RankSetup) -> int:
    return int(2 * _whole_size(setup))


def _all(kinds: Kinds) -> Kinds:
    return {kind: float(kinds.get(kind, 0.0)) for kind in KINDS}


def _recipe_shape(keys: dict[str, Any], vocab_size: int, sequence: int) -> Shape:
    vocab = padded_vocabulary(vocab_size, keys["pad_vocab_to_multiple_of"])
    if keys["name"] == "gpt2":
        fused = keys["loss"] == "fused"
        return _gpt_shape("gpt2", keys, sequence, vocab, gelu_new=False, dropout=keys["dropout"], fused=fused)
    return _llama_shape(keys, vocab, fused=keys["loss"] == "fused")


def _gpt_shape(
    kind: str, keys: dict[str, Any], sequence: int, vocab: int, *, gelu_new: bool, dropout: float, fused: bool
) -> Shape:
    depth, heads, width = keys["n_layer"], keys["n_head"], keys["n_embd"]
    parameters = gpt2_parameters(depth, width, vocab, sequence)
    return Shape(kind, depth, heads, heads, width, 4 * width, vocab, parameters, gelu_new, dropout > 0, fused)


def _llama_shape(keys: dict[str, Any], vocab: int, *, fused: bool) -> Shape:
    depth, heads, width, inner = keys["n_layer"], keys["n_head"], keys["n_embd"], keys["n_ffn"]
    shared = keys["n_kv_head"] or heads
    parameters = llama_parameters(depth, width, heads, shared, inner, vocab)
    return Shape("llama", depth, heads, shared, width, inner, vocab, parameters, False, False, fused)


def _huggingface_shape(config: dict[str, Any]) -> Shape | None:
    """Of a transformers config whose sizes are all stated, GPT-2's or Llama's."""
    fused = config.get("loss") == "fused"
    try:
        if config["model_type"] == "gpt2":
            gelu_new = config.get("activation_function", "gelu_new") == "gelu_new"
            positions, vocab = config["n_positions"], config["vocab_size"]
            dropout = config.get("resid_pdrop", 0.1)
            return _gpt_shape("gpt2", config, positions, vocab, gelu_new=gelu_new, dropout=dropout, fused=fused)
        if config["model_type"] == "llama":
            keys = {
                "n_layer": config["num_hidden_layers"],
                "n_head": config["num_attention_heads"],
                "n_kv_head": config.get("num_key_value_heads"),
                "n_embd": config["hidden_size"],
                "n_ffn": config["intermediate_size"],
            }
            return _llama_shape(keys, config["vocab_size"], fused=fused)
    except KeyError:
        return None
    return None
