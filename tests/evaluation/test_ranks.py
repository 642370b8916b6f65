import socket
from typing import Any

import pytest
import torch
from evaluation.sure_models import make
from evaluation.two_ranks import asked, run
from torch import multiprocessing

from medlm_recipes.evaluation.language_model import SharedPrefixLM


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(run, (port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return make("gpt2", tmp_path_factory.mktemp("one"))


def agree(found: Any, expected: Any) -> None:
    assert [value for value, _ in found[0]] == pytest.approx([value for value, _ in expected[0]], abs=1e-4)
    assert [greedy for _, greedy in found[0]] == [greedy for _, greedy in expected[0]]
    assert found[1] == expected[1]


def test_two_ranks_answer_as_one_does(ranks: list[dict[str, Any]], pair: tuple[Any, Any]) -> None:
    expected = asked(SharedPrefixLM(*pair, 512, 32))
    for rank in ranks:
        agree(rank["replicas"], expected)
        agree(rank["alone"], expected)


def test_ranks_that_were_given_different_questions_are_refused(ranks: list[dict[str, Any]]) -> None:
    assert all("different questions" in rank["refused"] for rank in ranks)


def test_a_sharded_model_in_training_answers_as_its_weights_do(
    ranks: list[dict[str, Any]], pair: tuple[Any, Any]
) -> None:
    model, tokenizer = pair
    model.load_state_dict(ranks[0]["weights"])
    expected = asked(SharedPrefixLM(model, tokenizer, 512, 32))
    for rank in ranks:
        agree(rank["live"], expected)
