"""Keys of the learning-rate schedule."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, one_of, tokens_or_share, within
from medlm_recipes.token_math import parse_tokens


@dataclass
class SchedulerKeys:
    """Learning rate against tokens: a linear warm-up from 0 to optimizer.lr, then what `name` says."""

    name: str = key(
        "cosine: half a cosine to the end of the run; linear: a straight line to it; constant; "
        "wsd: constant, then a cooldown that ends with the run (Hu et al. 2024, MiniCPM, arXiv 2404.06395)",
        "cosine",
        check=one_of("cosine", "linear", "constant", "wsd"),
    )
    warmup: str | None = key(
        "tokens of warm-up, null for none; what a paper gives in steps is steps x global_batch x sequence length "
        "(2000 steps of 1024 x 1024 tokens: 2_097_152_000tok); 0.1dur: a tenth of the run",
        check=tokens_or_share,
    )
    final_lr_ratio: float | None = key(
        "learning rate at the end as a share of the peak; give this or final_lr", None, check=within(0, 1)
    )
    final_lr: float | None = key(
        "learning rate at the end as such (Meditron: 1e-6); give this or final_lr_ratio", None, check=at_least(0)
    )
    cooldown: str | None = key(
        "wsd only: tokens of the decay before the end, or 0.2dur: a fifth of the run", None, check=tokens_or_share
    )
    cooldown_shape: str = key(
        "wsd only: linear, or 1-sqrt, one minus the square root of the share of the cooldown that is past "
        "(both Hägele et al. 2024, arXiv 2405.18392)",
        "linear",
        check=one_of("linear", "1-sqrt"),
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        floors = [name for name in ("final_lr_ratio", "final_lr") if getattr(self, name) is not None]
        if self.name == "constant":
            for name in floors:
                yield name, f"{getattr(self, name)} has no meaning for name constant; leave it out, or name another"
        elif len(floors) != 1:
            yield "final_lr_ratio", f"name {self.name} needs exactly one of final_lr_ratio and final_lr"
        if self.name == "wsd" and self.cooldown is None:
            yield "cooldown", "missing; name wsd needs the tokens of the decay before the end, like 1_000_000tok"
        if self.name != "wsd":
            for name, default in (("cooldown", None), ("cooldown_shape", "linear")):
                if getattr(self, name) != default:
                    yield name, f"{getattr(self, name)} has a meaning for name wsd only, not for {self.name}"

    def problems_in_run(self, optimizer_lr: float, max_duration: str) -> Iterator[tuple[str, str]]:
        """What does not go together with the peak learning rate and the end of the run."""
        end = parse_tokens(max_duration)
        warmup = parse_tokens(self.warmup) if self.warmup else 0
        if warmup >= end:
            yield "warmup", f"{self.warmup} does not end before max_duration {max_duration}"
        elif self.name == "wsd" and self.cooldown and warmup + parse_tokens(self.cooldown) > end:
            yield (
                "cooldown",
                f"{self.cooldown} after a warmup of {self.warmup or 'null'} is more than max_duration {max_duration}",
            )
        if self.final_lr is not None and self.final_lr > optimizer_lr:
            yield "final_lr", f"{self.final_lr} is above the peak, optimizer.lr {optimizer_lr}"
