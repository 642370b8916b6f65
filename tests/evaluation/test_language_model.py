from typing import Any

import pytest
import torch
from evaluation.sure_models import END, generated, make, questions, scored, text
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import BloomConfig, BloomForCausalLM, MistralConfig, MistralForCausalLM

from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.language_model import SharedPrefixLM


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return make(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return make("gpt2", tmp_path_factory.mktemp("gpt2_alone"))


def ours(pair: tuple[Any, Any], batch_tokens: int = 512, batch_size: int = 8, seed: int = 0) -> SharedPrefixLM:
    return SharedPrefixLM(*pair, batch_tokens, batch_size, seed)


def theirs(pair: tuple[Any, Any], batch_size: int = 8) -> HFLM:
    return HFLM(pretrained=pair[0], tokenizer=pair[1], batch_size=batch_size)


def agree(found: list[tuple[float, bool]], expected: list[tuple[float, bool]]) -> None:
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


def test_log_likelihoods_are_those_of_lm_eval_at_every_batch_size(pair: tuple[Any, Any]) -> None:
    contexts = [text(5, seed) for seed in range(8)]
    likely = theirs(pair).generate_until([generated(one, max_gen_toks=1) for one in contexts], disable_tqdm=True)
    begun = pair[1].bos_token
    requests = [
        *questions(),
        *questions(2),  # asked twice
        *(scored(context, space + one) for context, one in zip(contexts, likely, strict=True) for space in ("", " ")),
        scored("ends in spaces  ", "the patient"),
        scored("", "without a context"),
        scored("", f"{begun} begins with it"),
        scored(f"{begun} the patient", " has fever"),
        scored(text(400, 1), " aspirin"),  # longer than the context: cut from the left
    ]
    expected = theirs(pair).loglikelihood(requests, disable_tqdm=True)
    assert any(greedy for _, greedy in expected) and not all(greedy for _, greedy in expected)
    for batch_tokens in (1, 64, 100_000):
        backend = ours(pair, batch_tokens)
        agree(backend.loglikelihood(requests), expected)
        assert backend.too_long == {requests[-1].args}
    assert backend.is_too_long(*requests[-1].args) and not backend.is_too_long(*requests[0].args)
    for batch_size in (1, 64):
        agree(theirs(pair, batch_size).loglikelihood(requests, disable_tqdm=True), expected)


def test_tokens_are_counted_as_the_model_is_given_them(pair: tuple[Any, Any]) -> None:
    backend = ours(pair)
    whole = text(300, 3)
    assert backend.token_count(whole) == len(theirs(pair).tok_encode(whole))
    words = whole.split()
    for continuation, most in (("", backend.max_length - 20), (" fever", backend.max_length + 1)):
        fits = [not backend.is_too_long(" ".join(words[:n]), continuation, max_gen_toks=20) for n in range(1, 300)]
        count = fits.index(False)  # words of the longest context that fits
        assert not any(fits[count:])
        longest, longer = (" ".join(words[:n]) + continuation for n in (count, count + 1))
        assert len(theirs(pair).tok_encode(longest)) <= most < len(theirs(pair).tok_encode(longer))


def test_perplexity_windows_are_those_of_lm_eval(pair: tuple[Any, Any]) -> None:
    requests = [Instance("loglikelihood_rolling", {}, (text(words, words),), 0) for words in (3, 100, 500)]
    found = ours(pair, 64).loglikelihood_rolling(requests)
    assert found == pytest.approx(theirs(pair).loglikelihood_rolling(requests, disable_tqdm=True), abs=1e-2, rel=1e-6)


def test_a_task_of_lm_eval_gets_the_same_predictions_and_accuracy(gpt2: tuple[Any, Any]) -> None:
    from datasets import Dataset

    rows = [
        {"question": text(9, seed), "options": [text(2, seed + option) for option in range(4)], "gold": seed % 4}
        for seed in range(24)
    ]
    task = {
        "task": "asked",
        "custom_dataset": lambda **_: {"test": Dataset.from_list(rows[:16]), "train": Dataset.from_list(rows[16:])},
        "test_split": "test",
        "fewshot_split": "train",
        "num_fewshot": 3,
        "output_type": "multiple_choice",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "{{options}}",
        "doc_to_target": "gold",
    }
    found = [
        simple_evaluate(model=model, tasks=[task], task_manager=TaskManager(include_defaults=False), bootstrap_iters=0)
        for model in (ours(gpt2), theirs(gpt2))
    ]
    assert found[0]["results"]["asked"] == found[1]["results"]["asked"]
    for mine, other in zip(*(one["samples"]["asked"] for one in found), strict=True):
        assert mine["prompt_hash"] == other["prompt_hash"]
        agree(mine["filtered_resps"], other["filtered_resps"])


def test_greedy_answers_are_those_of_lm_eval(pair: tuple[Any, Any]) -> None:
    contexts = [request.args[0] for request in questions()[::8]]
    whole = theirs(pair).generate_until([generated(context, max_gen_toks=30) for context in contexts])
    # A stop string from the middle of a token to the middle of another.
    stop = whole[0][len(whole[0]) // 2 :][:7]
    for arguments in ({"max_gen_toks": 30}, {"max_gen_toks": 20, "until": [stop, "zz"], "do_sample": False}):
        requests = [generated(context, **arguments) for context in contexts]
        expected = theirs(pair).generate_until(requests, disable_tqdm=True)
        for batch_tokens, batch_size in ((512, 8), (1, 3)):
            assert ours(pair, batch_tokens, batch_size).generate_until(requests) == expected
    assert stop in whole[0] and stop not in expected[0] and len(expected[0]) < len(whole[0])


def test_a_sample_depends_on_its_question_repeat_and_seed_alone(pair: tuple[Any, Any]) -> None:
    asked = [generated(request.args[0], max_gen_toks=12, temperature=0.8, top_p=0.95) for request in questions()[::8]]
    repeated = [request for request in asked for _ in range(3)]
    found = ours(pair).generate_until(repeated)
    assert len(set(found)) > len(asked)
    assert ours(pair, 16, 1).generate_until(repeated) == found
    assert ours(pair, 100_000, 64).generate_until(repeated[6:9]) == found[6:9]
    other_order = ours(pair).generate_until([asked[1], *asked, *asked])
    assert other_order == [found[3], found[0], found[4], *found[6::3], found[1], found[5], *found[7::3]]
    assert ours(pair, seed=1).generate_until(repeated) != found


def test_what_cannot_be_asked_is_refused_with_a_reason(gpt2: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match="max_gen_toks 256 leaves no room"):
        ours(gpt2).generate_until([generated("The patient", max_gen_toks=256)])
    with pytest.raises(DataError, match="adds no token"):
        ours(gpt2).loglikelihood([scored("The patient", "")])
    backend = ours(gpt2)
    [answer] = backend.generate_until([generated(text(400, 2), max_gen_toks=10)])
    assert answer and backend.too_long == {(text(400, 2), "")}
    assert backend.is_too_long(text(400, 2), "", max_gen_toks=10)


def test_end_of_text_ends_an_answer(gpt2: tuple[Any, Any]) -> None:
    model, tokenizer = gpt2
    with torch.no_grad():
        row = model.lm_head.weight[0].clone()
        model.lm_head.weight[0] *= 40  # the token is now either sure or impossible
    try:
        requests = [generated(text(10, seed), max_gen_toks=40) for seed in range(12)]
        found = ours(gpt2).generate_until(requests)
        assert found == theirs(gpt2).generate_until(requests, disable_tqdm=True)
        assert len({tokenizer(answer)["input_ids"].__len__() for answer in found}) > 2 and END not in "".join(found)
    finally:
        with torch.no_grad():
            model.lm_head.weight[0] = row


SMALL = {"vocab_size": 400, "hidden_size": 32, "initializer_range": 0.3}


@pytest.mark.parametrize(
    "model",
    [
        BloomForCausalLM(BloomConfig(n_layer=2, n_head=4, **SMALL)),
        MistralForCausalLM(
            MistralConfig(
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                intermediate_size=64,
                sliding_window=48,
                max_position_embeddings=256,
                **SMALL,
            )
        ),
    ],
    ids=["positions in the attention", "a sliding window"],
)
def test_models_that_cannot_share_are_scored_as_well(model: Any, gpt2: tuple[Any, Any]) -> None:
    pair = model.eval(), gpt2[1]
    agree(ours(pair).loglikelihood(questions(3)), theirs(pair).loglikelihood(questions(3), disable_tqdm=True))
    short = [scored(text(6, 1), " fever"), scored(text(6, 1), " aspirin for")]
    agree(ours(pair).loglikelihood(short), theirs(pair).loglikelihood(short, disable_tqdm=True))
    with pytest.raises(ConfigError, match="set backend: vllm"):
        ours(pair).generate_until([generated(questions(1)[0].args[0], max_gen_toks=8)])
