"""The one place for arithmetic on tokens, steps, parameters and FLOPs.

Units: budgets and durations are tokens (as `300_000_000_000tok` in YAML, plain ints in Python);
a batch is counted in sequences; a step is one optimizer update.
"""

import math
import re

_TOKENS = re.compile(r"([0-9][0-9_]*)tok")
_SHARE = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ep|dur)")


def parse_tokens(text: str) -> int:
    """The number of tokens in a string such as ``"300_000_000_000tok"``.

    Raises ValueError when the unit is missing or the number is not a positive integer.
    """
    found = _TOKENS.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise ValueError("write a positive number of tokens with its unit, like 1_000_000tok")
    return int(found[1])


def in_units(text: str, *units: str) -> str:
    """The unit of a duration: tok for tokens, or one of `units`, ep for epochs and dur for a share of the run.

    Raises ValueError when it is none of them or the number is not positive.
    """
    found = _SHARE.fullmatch(text.strip())
    if found is None or found[2] not in units:
        try:
            parse_tokens(text)
        except ValueError as error:
            examples = {"ep": "3ep for epochs", "dur": "0.1dur for a share of the run"}
            other = "".join(f", or {examples[unit]}" for unit in units)
            raise ValueError(f"{error}{other}") from None
        return "tok"
    if float(found[1]) == 0 or (found[2] == "dur" and float(found[1]) >= 1):
        raise ValueError("must be above 0" + (" and below 1" if found[2] == "dur" else ""))
    return found[2]


def duration_in_tokens(text: str, epoch: int, whole: int | None = None) -> int:
    """Tokens of a duration such as ``"1_000_000tok"``, ``"3ep"`` or, of a run of `whole` tokens, ``"0.1dur"``.

    epoch: tokens of the whole steps that one pass over the data gives.
    """
    found = _SHARE.fullmatch(text.strip())
    if found is None:
        return parse_tokens(text)
    unit = {"ep": epoch, "dur": whole}[found[2]]
    assert unit is not None, text
    return max(1, round(float(found[1]) * unit))


def tokens_per_step(global_batch: int, sequence_length: int) -> int:
    """Tokens that one optimizer update consumes over all ranks."""
    return global_batch * sequence_length


def steps_to(tokens: int, step_tokens: int) -> int:
    """Optimizer updates until a budget of `tokens` is reached or first exceeded."""
    return -(-tokens // step_tokens)


def tokens_at_budget(tokens: int, step_tokens: int) -> int:
    """Tokens seen at the end of the step that reaches a budget: where its checkpoint stands."""
    return steps_to(tokens, step_tokens) * step_tokens


def gpt2_parameters(n_layer: int, n_embd: int, vocab: int, n_positions: int) -> int:
    """Parameters of a GPT-2 with tied embeddings, learned positions and biases.

    Per block: two LayerNorms (4h), attention (4h² + 4h), MLP (8h² + 5h). BioMedLM 2.7B's shape
    (32 layers, 2560 wide, vocabulary 28,896, 1024 positions) gives 2,594,247,680.
    """
    h = n_embd
    return n_layer * (12 * h * h + 13 * h) + (vocab + n_positions) * h + 2 * h


def llama_parameters(n_layer: int, n_embd: int, n_head: int, n_kv_head: int, n_ffn: int, vocab: int) -> int:
    """Parameters of a Llama: untied embeddings, no biases, grouped-query attention, SwiGLU.

    Per block: two RMSNorms (2h), queries and output (2h²), keys and values (2h · n_kv_head · h/n_head),
    three feed-forward matrices (3hf). Llama-2 7B (32 layers, 4096 wide, 32 heads, feed-forward 11,008,
    vocabulary 32,000) gives 6,738,415,616; 70B (80, 8192, 64 with 8 of keys and values, 28,672)
    68,976,648,192.
    """
    h = n_embd
    block = 2 * h + 2 * h * h + 2 * h * n_kv_head * (h // n_head) + 3 * h * n_ffn
    return n_layer * block + 2 * vocab * h + h


def padded_vocabulary(vocab: int, multiple: int) -> int:
    """Embedding rows for `vocab` tokens: rounded up to a multiple."""
    return -(-vocab // multiple) * multiple


INITIALIZER_RANGE = 0.02
"""Standard deviation of random weights, GPT-2's and Llama's embeddings included."""


def initial_loss(rows: int, width: int) -> float:
    """Nats that a model of random weights loses a token at first: ln(rows) + width · 0.02² / 2.

    The last norm hands states of unit variance to an output layer of `rows` tokens, so that logits are
    Gaussian with variance width · 0.02², which adds half of it to the logarithm of the sum over tokens.
    Measured: 0.05, 0.18 and 0.47 above ln(28,896) at widths 256, 1024 and 2560 (0.05, 0.20, 0.51 here).
    """
    return math.log(rows) + width * INITIALIZER_RANGE**2 / 2


INITIAL_LOSS_TOLERANCE = 0.5
"""Nats around `initial_loss` that the first batch can explain."""


def training_flops_per_token(parameters: int, n_layer: int, n_embd: int, sequence_length: int) -> int:
    """FLOPs of one training step per token: 6·N for the matrices and 12·L·h·s for attention.

    The form of Chowdhery et al. 2022 (PaLM, appendix B) and of llm-foundry's benchmark table,
    which count neither the causal half nor recomputation, but every parameter (an untied input
    embedding too, 2 % of Llama-2 7B); MFU figures quoted in this package use it for GPT-2 and Llama
    alike. `n_embd` is heads times head size; sharing keys and values saves no attention FLOPs.
    """
    return 6 * parameters + 12 * n_layer * n_embd * sequence_length


# Words of torch's device name -> dense bf16 FLOP/s with fp32 accumulation, from NVIDIA's data sheets (which
# quote H100, H200, L4, L40S and B200 with 2:4 sparsity: halved here). The first line whose words all occur counts.
_BF16_PEAKS = (
    ("B200", 2250e12),  # Blackwell architecture brief 2024: 4.5 PFLOP/s sparse
    ("H200 NVL", 835e12),  # H200 data sheet: 1,671 sparse
    ("H200", 989e12),  # H200 data sheet: 1,979 sparse
    ("GH200", 989e12),  # GH200 data sheet: 1,979 sparse
    ("H100 NVL", 835e12),  # H100 data sheet: 1,671 sparse
    ("H100 PCIE", 756e12),  # H100 data sheet: 1,513 sparse
    ("H100", 989e12),  # H100 data sheet, SXM: 1,979 sparse
    ("H800", 989e12),
    ("A100", 312e12),  # A100 data sheet, SXM and PCIe
    ("A800", 312e12),
    ("A30", 165e12),  # A30 data sheet
    ("A10", 125e12),  # A10 data sheet
    ("L40S", 362e12),  # L40S data sheet: 733 sparse
    ("L4", 121e12),  # L4 data sheet: 242 sparse
)


def bf16_peak(device_name: str) -> float | None:
    """Dense bf16 FLOP/s of a GPU by torch's name for it ("NVIDIA A100-SXM4-40GB"); None when unknown."""
    words = set(re.split(r"[^A-Z0-9]+", device_name.upper()))
    return next((peak for name, peak in _BF16_PEAKS if words.issuperset(name.split())), None)


def model_flops_utilization(tokens_per_second: float, flops_per_token: float, peak: float) -> float:
    """Share of `peak` FLOP/s that training at `tokens_per_second` on one device, or on all, amounts to."""
    return tokens_per_second * flops_per_token / peak


def in_words(tokens: int) -> str:
    """A short form for people: 300B, 1.05M, 512."""
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return str(tokens)
