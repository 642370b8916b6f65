import pytest

from medlm_recipes.token_math import (
    bf16_peak,
    gpt2_parameters,
    in_words,
    llama_parameters,
    model_flops_utilization,
    padded_vocabulary,
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
    peak = bf16_peak("NVIDIA A100-SXM4-40GB")
    assert peak is not None
    assert model_flops_utilization(4_340, flops, peak) == pytest.approx(0.23, abs=0.005)


def test_llama_parameters_are_those_of_the_released_models() -> None:
    assert llama_parameters(32, 4096, 32, 32, 11_008, 32_000) == 6_738_415_616  # Llama-2 7B
    assert llama_parameters(80, 8192, 64, 8, 28_672, 32_000) == 68_976_648_192  # Llama-2 70B


def test_a_published_table_row_gives_its_utilization() -> None:
    """llm-foundry's MPT-70b, 128 x A100-40GB, sequence 2048: 376 tokens/s a GPU, 48.9 % MFU."""
    flops = training_flops_per_token(64_862_437_376, n_layer=80, n_embd=8192, sequence_length=2048)
    assert model_flops_utilization(376, flops, 312e12) == pytest.approx(0.489, abs=0.003)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA GH200 480GB", 989e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA A10", 125e12),
        ("Tesla V100-SXM2-16GB", None),  # has no bf16
        ("NVIDIA A10G", None),
    ],
)
def test_the_peak_of_a_gpu_is_found_by_torchs_name(name: str, peak: float | None) -> None:
    assert bf16_peak(name) == peak


def test_vocabularies_are_padded_up() -> None:
    assert [padded_vocabulary(vocab, 64) for vocab in (1, 64, 32_012)] == [64, 64, 32_064]


@pytest.mark.parametrize(("text", "tokens"), [("5tok", 5), ("300_000_000_000tok", 300 * 10**9), (" 7tok ", 7)])
def test_tokens_are_read_with_their_unit(text: str, tokens: int) -> None:
    assert parse_tokens(text) == tokens


@pytest.mark.parametrize("text", ["5", "5ba", "tok", "1e9tok", "-5tok", "0tok", "5 tok x"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1_000_000tok"):
        parse_tokens(text)


def test_in_words() -> None:
    assert [in_words(n) for n in (7, 1_050, 1_048_576, 300 * 10**9)] == ["7", "1.05k", "1.05M", "300B"]
