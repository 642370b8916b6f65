"""The one place for arithmetic on tokens, steps, parameters and FLOPs.

Units: budgets and durations are tokens (as `300_000_000_000tok` in YAML, plain ints in Python);
a batch is counted in sequences; a step is one optimizer update.
"""

import re

_TOKENS = re.compile(r"([0-9][0-9_]*)tok")


def parse_tokens(text: str) -> int:
    """The number of tokens in a string such as ``"300_000_000_000tok"``.

    Raises ValueError when the unit is missing or the number is not a positive integer.
    """
    found = _TOKENS.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise ValueError("write a positive number of tokens with its unit, like 1_000_000tok")
    return int(found[1])


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


def training_flops_per_token(parameters: int, n_layer: int, n_embd: int, sequence_length: int) -> int:
    """FLOPs of one training step per token: 6·N for the matrices and 12·L·h·s for attention.

    The form of Chowdhery et al. 2022 (PaLM, appendix B) and of llm-foundry's benchmark table,
    which count neither the causal half nor recomputation; MFU figures quoted in this package
    use it.
    """
    return 6 * parameters + 12 * n_layer * n_embd * sequence_length


def in_words(tokens: int) -> str:
    """A short form for people: 300B, 1.05M, 512."""
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return str(tokens)
