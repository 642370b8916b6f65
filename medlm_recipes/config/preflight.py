"""Keys of preflight, which train leaves alone but for `override`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medlm_recipes.config.fields import at_least, each_value, key, positive, tokens


@dataclass
class PreflightKeys:
    out: str = key(
        "folder to write: preflight.json, preflight.html, manifest.json; an earlier report there is replaced",
        "preflight",
    )
    price_per_gpu_hour: float | None = key(
        "price of one accelerator for an hour, in whatever currency it is billed; null: the cost is left out",
        None,
        check=positive,
    )
    power_usage_effectiveness: float = key(
        "power of the data centre over that of its machines (BLOOM's: 1.2; Luccioni et al. 2022, arXiv 2211.02001)",
        1.2,
        check=at_least(1),
    )
    vocab_size: int | None = key("tokens of the tokenizer, until the shards are there to tell", None, check=at_least(1))
    sequence_length: int | None = key("tokens of a row, until the shards are there to tell", None, check=at_least(2))
    train_tokens: dict[str, Any] | None = key(
        "source -> train tokens that its shards will hold, until they are there to tell",
        None,
        check=each_value(tokens),
    )
    rehearse: bool = key(
        "also run train for two steps of a tiny model on CPU ranks, with the recipe's architecture and keys: save, "
        "resume, evaluate",
        False,
    )
    override: bool = key("train: start even if the closed form of preflight says that memory cannot suffice", False)

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.train_tokens is not None and not self.train_tokens:
            yield "train_tokens", "is empty; name the sources, or leave it out"
