import numpy as np
import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from medlm_recipes.errors import ConfigError
from medlm_recipes.evaluation.sampling import Sampling, choose, seed_of

END = "<|end|>"


@pytest.mark.parametrize(
    "arguments",
    [
        {"do_sample": True, "temperature": 0.7},
        {"temperature": 1.5, "top_p": 0.8},
        {"temperature": 1.0, "top_k": 5},
        {"temperature": 1.0, "top_k": 12, "top_p": 0.6},
    ],
)
def test_tokens_come_as_often_as_transformers_would_draw_them(arguments: dict[str, float]) -> None:
    logits = torch.randn(1, 40, generator=torch.Generator().manual_seed(0)) * 2
    expected = TemperatureLogitsWarper(arguments["temperature"])(None, logits)
    if "top_k" in arguments:
        expected = TopKLogitsWarper(int(arguments["top_k"]))(None, expected)
    if "top_p" in arguments:
        expected = TopPLogitsWarper(arguments["top_p"])(None, expected)
    count = 4_000
    draws = [np.random.default_rng(seed) for seed in range(count)]
    drawn = choose(logits.expand(count, -1), Sampling.of(arguments, END), draws)
    rates = torch.bincount(torch.tensor(drawn), minlength=40) / count
    wanted = expected.softmax(-1)[0]
    assert (rates[wanted == 0] == 0).all()
    assert (rates - wanted).abs().max() < 4 * 0.5 / count**0.5


def test_the_likeliest_is_taken_without_sampling() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    for arguments in ({}, {"do_sample": False, "temperature": 0.9}, {"temperature": 0.0}):
        assert choose(logits, Sampling.of(arguments, END), [np.random.default_rng(0)]) == [1]


def test_seeds_are_of_what_is_asked_alone() -> None:
    arguments = {"temperature": 0.8, "until": ["a"]}
    seeds = {seed_of(1, "q", arguments, 0), seed_of(1, "q", arguments, 1), seed_of(2, "q", arguments, 0)}
    seeds |= {seed_of(1, "r", arguments, 0), seed_of(1, "q", {}, 0)}
    assert len(seeds) == 5 and seed_of(1, "q", dict(reversed(arguments.items())), 0) in seeds


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_beams": 4}, "num_beams: not known here"),
        ({"temperature": 0.5, "top_p": 0}, "top_p above 0"),
        ({"max_gen_toks": 0}, "max_gen_toks must be 1 or more"),
    ],
)
def test_arguments_that_cannot_be_kept_are_refused(arguments: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Sampling.of(arguments, END)
