import pytest

from medlm_recipes.token_math import (
    gpt2_parameters,
    in_words,
    parse_tokens,
    steps_to,
    tokens_at_budget,
    tokens_per_step,
    training_flops_per_token,
)


def test_biomedlm_arithmetic() -> None:
    assert gpt2_parameters(n_layer=32, n_embd=2560, vocab=28_896, n_positions=1024) == 2_594_247_680
    step = tokens_per_step(1024, 1024)
    assert step == 1_048_576
    assert steps_to(300_000_000_000, step) == 286_103  # 286,102.3 steps: the last one crosses the budget
    assert tokens_at_budget(300_000_000_000, step) == 286_103 * step


def test_biomedlm_published_throughput_is_23_percent_mfu() -> None:
    flops = training_flops_per_token(2_594_247_680, n_layer=32, n_embd=2560, sequence_length=1024)
    assert 4_340 * flops / 312e12 == pytest.approx(0.23, abs=0.005)


@pytest.mark.parametrize(("text", "tokens"), [("5tok", 5), ("300_000_000_000tok", 300 * 10**9), (" 7tok ", 7)])
def test_tokens_are_read_with_their_unit(text: str, tokens: int) -> None:
    assert parse_tokens(text) == tokens


@pytest.mark.parametrize("text", ["5", "5ba", "tok", "1e9tok", "-5tok", "0tok", "5 tok x"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1_000_000tok"):
        parse_tokens(text)


def test_in_words() -> None:
    assert [in_words(n) for n in (7, 1_050, 1_048_576, 300 * 10**9)] == ["7", "1.05k", "1.05M", "300B"]
