"""Models of random weights that are sure of something, tokenizers of both kinds, and questions to ask them."""

import random
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from tokenization.llama_form import save_llama_form
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizerFast,
    PreTrainedTokenizerFast,
)

WORDS = ["the", "patient", "has", "fever", "and", "cough", "blood", "pressure", "of", "an", "old", "woman", "was"]
WORDS += ["treated", "with", "aspirin", "for", "pain"]
END = "<|endoftext|>"


def text(words: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def make(shape: str, folder: Path) -> tuple[Any, Any]:
    """The model and tokenizer of a `shape`: gpt2, or llama with two heads to each of keys."""
    torch.manual_seed(0)
    texts = [text(60, seed) for seed in range(40)]
    if shape == "llama":
        tokenizer = LlamaTokenizerFast.from_pretrained(save_llama_form(folder, texts, 400))
        llama = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
        llama |= {"num_hidden_layers": 2, "max_position_embeddings": 256, "initializer_range": 0.3}
        return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **llama)).eval(), tokenizer
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=[END], show_progress=False)
    bare.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bare, eos_token=END, bos_token=END)
    gpt2 = GPT2Config(vocab_size=400, n_layer=2, n_head=4, n_embd=32, n_positions=256, eos_token_id=0, bos_token_id=0)
    gpt2.initializer_range = 0.3
    return GPT2LMHeadModel(gpt2).eval(), tokenizer


def scored(context: str, continuation: str) -> Instance:
    return Instance("loglikelihood", {}, (context, continuation), 0)


def generated(context: str, **arguments: Any) -> Instance:
    return Instance("generate_until", {}, (context, arguments), 0)


def questions(count: int = 8) -> list[Instance]:
    """Four letters and four texts for each of `count` questions behind the same demonstrations."""
    shots = "\n\n".join(f"Question: {text(12, seed)}\nAnswer: {'ABCD'[seed % 4]}" for seed in range(3))
    asked = []
    for number in range(count):
        context = f"{shots}\n\nQuestion: {text(4 + 3 * number, 100 + number)}\nAnswer:"
        options = [*"ABCD", *(text(1 + option, 1000 + 4 * number + option) for option in range(4))]
        asked += [scored(context, f" {option}") for option in options]
    return asked
