"""What train asks before its first step on GPUs: whether the run can fit at all. Formulas alone, no simulation."""

from medlm_recipes.config.train import HEADED, TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.preflight.memory_closed_form import closed_form
from medlm_recipes.preflight.memory_setup import setup_of

SURE = 0.9
"""Share of the closed form that a rank needs for certain."""


def is_simulated(config: TrainConfig) -> bool:
    """Whether a step is that of a language model all of whose weights are trained: no adapters, no head."""
    return config.model.lora is None and config.task not in HEADED


def refuse_what_cannot_fit(
    config: TrainConfig, vocab_size: int, sequence_length: int, ranks: int, device_bytes: int
) -> None:
    """Raise ConfigError where even SURE of the closed form is more than a GPU of `device_bytes` has.

    Nothing is refused of an hf model, whose shape the recipe does not state, of what is_simulated says no to,
    or under preflight.override.
    """
    if config.preflight.override or not is_simulated(config):
        return
    peak = closed_form(setup_of(config, vocab_size, sequence_length, 0, ranks))
    if peak is None or SURE * peak.total <= device_bytes:
        return
    largest = sorted(peak.kinds.items(), key=lambda kind: -kind[1])[:3]
    told = ", ".join(f"{size / 2**30:.1f} {kind}" for kind, size in largest)
    raise ConfigError(
        f"parallel.micro_batch: {config.parallel.micro_batch} on {ranks} ranks needs about "
        f"{peak.total / 2**30:.1f} GiB a GPU ({told}), but there are {device_bytes / 2**30:.1f}; lower it, set "
        "parallel.activation_checkpointing=true or take more ranks (recipes/preflight.py tells what fits); "
        "preflight.override=true starts it anyway"
    )
