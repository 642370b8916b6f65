"""Keys of generate."""

from collections.abc import Iterable
from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, each, key, not_empty, one_of, within


@dataclass
class GenerateConfig:
    checkpoint: str = key(
        "what writes: <run>/checkpoints/tok<N> of a train run, a Hugging Face folder, or a model's id on the hub"
    )
    prompts: list[str] = key("texts to go on from, or questions in a chat", check=not_empty)
    chat: bool | None = key(
        "put prompts into the tokenizer's chat template, as a chat-tuned model expects; null: when it has one", None
    )
    system: str | None = key("chat: message of the role system before each question", None)
    max_new_tokens: int = key("tokens that an answer may have", 200, check=at_least(1))
    temperature: float = key("0: always the likeliest token; above, tokens are drawn", 0.0, check=at_least(0))
    top_p: float = key("draw among the likeliest tokens of this share in all", 1.0, check=within(0.01, 1))
    samples: int = key("answers to each prompt", 1, check=at_least(1))
    until: list[str] = key("texts that end an answer, besides the model's own end", [], check=each(not_empty))
    revision: str | None = key("commit, tag or branch of a hub id; null: its main branch", None)
    dtype: str = key(
        "of the weights; auto: fp32 on CPUs; on GPUs that of a Hugging Face model, bf16 for a checkpoint",
        "auto",
        check=one_of("auto", "fp32", "bf16"),
    )
    seed: int = key("seed of the draws", 17)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.samples > 1 and self.temperature == 0:
            yield "samples", f"{self.samples} of the likeliest text are alike; give a temperature above 0"
        if self.system is not None and self.chat is False:
            yield "system", "a message of a chat, and chat is false"
