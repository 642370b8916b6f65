"""The generate verb: what a model writes to prompts of the command line, for research only."""

import sys
from contextlib import redirect_stdout
from typing import Any

from lm_eval.api.instance import Instance

from medlm_recipes.config.generate import GenerateConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.head_model import has_head
from medlm_recipes.evaluation.language_model import SharedPrefixLM
from medlm_recipes.evaluation.subject import load, locate

_PROMPT_TOKENS, _ANSWERS = 512, 32  # at once


def generate(config: GenerateConfig, dry_run: bool) -> None:
    """Print `config.samples` answers to every prompt.

    Raises DataError for what is no language model, ConfigError for a chat without a template and for prompts
    that leave no room for an answer.
    """
    folder = locate(config.checkpoint, config.revision)
    if dry_run:
        return
    model, tokenizer = load(folder, config.dtype)
    if has_head(model):
        raise DataError(f"{folder}: has a head in place of a language model's output, and cannot write text")
    subject = SharedPrefixLM(model.eval(), tokenizer, _PROMPT_TOKENS, _ANSWERS, config.seed)
    texts = [_in_template(subject, config, prompt) for prompt in config.prompts]
    for prompt, text in zip(config.prompts, texts, strict=True):
        if subject.is_too_long(text, "", config.max_new_tokens):
            raise ConfigError(
                f"prompts: {prompt[:60]!r} has {subject.token_count(text):,} tokens, which with max_new_tokens "
                f"{config.max_new_tokens} are more than the model's {subject.max_length:,}; shorten one of them"
            )
    arguments = {
        "until": list(config.until),
        "max_gen_toks": config.max_new_tokens,
        "do_sample": config.temperature > 0,
        "temperature": config.temperature,
        "top_p": config.top_p,
    }
    requests = [Instance("generate_until", {}, (text, arguments), 0) for text in texts for _ in range(config.samples)]
    with redirect_stdout(sys.stderr):  # the answers alone can be piped on
        answers = iter(subject.generate_until(requests))
    for prompt in config.prompts:
        print(f"> {prompt}")
        for _ in range(config.samples):
            print(f"{next(answers).strip()}\n", flush=True)


def _in_template(subject: Any, config: GenerateConfig, prompt: str) -> str:
    has_template = bool(subject.tokenizer.chat_template)
    if config.chat and not has_template:
        raise ConfigError(f"chat: the tokenizer of {config.checkpoint} has no chat template; set chat=false")
    if not (has_template if config.chat is None else config.chat):
        return prompt
    system = [{"role": "system", "content": config.system}] if config.system else []
    return subject.apply_chat_template([*system, {"role": "user", "content": prompt}])
