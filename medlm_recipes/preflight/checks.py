"""Sanity checks of a recipe that need no accelerator and no shards."""

import importlib.util
import math
from collections.abc import Iterator

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.config.train import OptimizerKeys, TrainConfig
from medlm_recipes.preflight.check import FAIL, NOT_CHECKED, PASS, WARN, Check
from medlm_recipes.preflight.facts import Facts
from medlm_recipes.preflight.memory import MemoryReport
from medlm_recipes.preflight.memory_verdict import FITS, TIGHT, TOO_LARGE, UNKNOWN
from medlm_recipes.token_math import (
    INITIAL_LOSS_TOLERANCE,
    in_words,
    initial_loss,
    padded_vocabulary,
    parse_tokens,
    steps_to,
)

USUAL_DECAY = (0.01, 0.3)
"""Coupled weight decays of published decoder recipes: 0.1 of GPT-3, Llama, Meditron; 0.01 is AdamW's default."""

_COMPUTED_PARAMETERS = 150_000_000  # of models whose first loss is computed rather than reckoned: 0.6 GB of weights


def checks_of(config: TrainConfig, facts: Facts, parameters: int | None) -> Iterator[Check]:
    """parameters: of the model, None when they are not known."""
    yield _vocabulary(config.model, facts)
    yield _warm_up(config, facts)
    yield weight_decay(config.optimizer)
    yield _attention(config.model)
    yield _first_loss(config, facts, parameters)
    yield _canonical_nodes(config)


def check_memory(memory: MemoryReport | None, missing: str) -> Check:
    """missing: why there is no report."""
    if memory is None:
        return Check("memory", NOT_CHECKED, missing)
    outcome = {FITS: PASS, TIGHT: WARN, TOO_LARGE: FAIL, UNKNOWN: NOT_CHECKED}[memory.verdict.word]
    return Check("memory", outcome, f"{memory.verdict.word}: {memory.verdict.reason}")


def _vocabulary(keys: ModelKeys, facts: Facts) -> Check:
    tokens = facts.plan.vocab_size
    rows = padded_vocabulary(tokens, keys.pad_vocab_to_multiple_of)
    found = f"{rows:,} embedding rows for {tokens:,} tokens"
    if rows % 64:
        found += "; no multiple of 64, which tensor cores like better (model.pad_vocab_to_multiple_of)"
    return Check("vocabulary", PASS, found)


def _warm_up(config: TrainConfig, facts: Facts) -> Check:
    plan, keys = facts.plan, config.scheduler
    if keys.warmup is None:
        return Check("schedule", WARN, "no warm-up: the first steps are taken at the peak learning rate")
    warmup = parse_tokens(keys.warmup)
    steps, share = steps_to(warmup, plan.step_tokens), warmup / plan.end
    found = f"warm-up of {in_words(warmup)} tokens, {steps:,} steps, {share:.1%} of the run"
    if steps < 10 or share > 0.25:
        return Check("schedule", WARN, f"{found}: unusual, steps were meant perhaps (scheduler.warmup)")
    return Check("schedule", PASS, found)


def weight_decay(keys: OptimizerKeys) -> Check:
    """Whether the decay is of the usual size in the form that it is given in: papers mix up the two."""
    if keys.decoupled_weight_decay is not None:
        coupled = keys.decoupled_weight_decay / keys.lr
    else:
        assert keys.coupled_weight_decay is not None
        coupled = keys.coupled_weight_decay
    found = f"decoupled {coupled * keys.lr:.3g} a step at the peak lr, which PyTorch's AdamW calls {coupled:.3g}"
    low, high = USUAL_DECAY
    if coupled and not low <= coupled <= high:
        return Check("weight decay", WARN, f"{found}: published recipes lie in {low} to {high}; is it the other form?")
    return Check("weight decay", PASS, found)


def _attention(keys: ModelKeys) -> Check:
    installed = importlib.util.find_spec("flash_attn") is not None
    if keys.attention == "flash_attention_2" and not installed:
        return Check("attention", NOT_CHECKED, "flash_attention_2 is not installed here; train needs the extra [gpu]")
    if keys.attention == "eager":
        return Check("attention", WARN, "eager keeps every score in memory; model.attention=auto does not")
    if keys.mask_documents and not installed:
        return Check("attention", PASS, "SDPA with a mask of documents, which computes all scores")
    return Check("attention", PASS, "flash-attn" if installed and keys.attention != "sdpa" else "SDPA, part of PyTorch")


def _first_loss(config: TrainConfig, facts: Facts, parameters: int | None) -> Check:
    keys = config.model
    if keys.pretrained or parameters is None:
        return Check("initial loss", NOT_CHECKED, f"weights of {keys.pretrained}: theirs on this data")
    assert keys.n_embd
    rows = padded_vocabulary(facts.plan.vocab_size, keys.pad_vocab_to_multiple_of)
    expected = initial_loss(rows, keys.n_embd)
    reckoned = f"{expected:.2f} nats: ln({rows:,}) = {math.log(rows):.2f}, and the spread of random logits"
    if parameters > _COMPUTED_PARAMETERS:
        return Check("initial loss", PASS, f"{reckoned} (reckoned; train looks at the real one)")
    found = _computed_loss(keys, facts, config.seed)
    outcome = PASS if abs(found - expected) <= INITIAL_LOSS_TOLERANCE else FAIL
    return Check("initial loss", outcome, f"{found:.2f} nats on random tokens; expected {reckoned}")


def _computed_loss(keys: ModelKeys, facts: Facts, seed: int) -> float:
    """Of the model itself, with its random weights, on two rows of random tokens."""
    import torch

    from medlm_recipes.models.building import build_model
    from medlm_recipes.models.loss import next_token_loss

    plan = facts.plan
    torch.manual_seed(seed)
    model = build_model(keys, plan.vocab_size, plan.sequence_length, plan.shards.facts["end_of_text"]).eval()
    ids = torch.randint(plan.vocab_size, (2, min(plan.sequence_length, 256)))
    head = model.get_output_embeddings()
    with torch.no_grad():
        states = model.base_model(input_ids=ids, use_cache=False)[0]
        return float(next_token_loss(states, head.weight, head.bias, ids))


def _canonical_nodes(config: TrainConfig) -> Check:
    canonical, nodes = config.data.num_canonical_nodes, config.hardware.nodes
    if canonical % nodes and nodes % canonical:
        return Check(
            "order of samples",
            WARN,
            f"data.num_canonical_nodes {canonical} neither divides the {nodes} hosts nor is divided by them: another "
            "number of hosts would take the samples in another order",
        )
    return Check("order of samples", PASS, f"the same on any number of hosts that divides {canonical}")
