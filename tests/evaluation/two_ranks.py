"""What each of two ranks does in test_ranks.py: a model of their own, and one that is sharded over them in training."""

import os
import random
from pathlib import Path
from typing import Any

import torch
from evaluation.sure_models import generated, make, questions, scored, text
from torch import distributed

from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.language_model import SharedPrefixLM

ANSWERS = {"max_gen_toks": 8, "temperature": 0.9}


def requests() -> tuple[list[Any], list[Any]]:
    answers = [generated(text(6, seed), **ANSWERS) for seed in range(5) for _ in range(2)]
    return questions(7), [*answers, generated(text(30, 9), max_gen_toks=20)]


def asked(backend: SharedPrefixLM) -> tuple[list[tuple[float, bool]], list[str]]:
    to_score, to_answer = requests()
    return backend.loglikelihood(to_score), backend.generate_until(to_answer)


def run(rank: int, port: int, folder: str) -> None:
    """Ask both models on this rank, and save what they answer to `folder`."""
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "RANK": str(rank)}
    os.environ |= group | {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2", "NODE_RANK": "0"}
    from medlm_recipes.parallel.agreement import join_ranks

    join_ranks()
    pair = make("gpt2", Path(folder))
    found: dict[str, Any] = {"replicas": asked(SharedPrefixLM(*pair, 64, 4))}
    alone = [distributed.new_group([one]) for one in range(2)][rank]
    found["alone"] = asked(SharedPrefixLM(*pair, 64, 4, group=alone))
    try:
        SharedPrefixLM(*pair, 64, 4).loglikelihood([scored("The patient", f" {rank}")])
    except DataError as error:
        found["refused"] = str(error)
    found |= _while_training(pair)
    torch.save(found, Path(folder) / f"{rank}.pt")


def _while_training(pair: Any) -> dict[str, Any]:
    """Two steps under Composer and FSDP2 with the fused loss, asked after the first; and the weights then."""
    from composer import Callback, Trainer
    from composer.utils import dist, reproducibility
    from composer.utils.parallelism import FSDP2Config
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    from medlm_recipes.config.model import ModelKeys
    from medlm_recipes.models.causal_lm import TrainedCausalLM
    from medlm_recipes.parallel.gloo import mend_gloo

    found: dict[str, Any] = {}

    def weights(model: Any) -> dict[str, torch.Tensor]:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        return {name.removeprefix("model."): one for name, one in get_model_state_dict(model, options=options).items()}

    class Asks(Callback):
        def batch_end(self, state: Any, logger: Any) -> None:
            if state.timestamp.batch == 1:
                before = torch.get_rng_state(), random.getstate()
                found["live"] = asked(SharedPrefixLM(state.model.model, pair[1], 64, 4, lockstep=True))
                assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
                assert all(module.training for module in state.model.modules())
                found["weights"] = weights(state.model)

    mend_gloo()
    reproducibility.seed_all(1)
    model, _ = pair
    model.config.use_cache = False
    wrapped = TrainedCausalLM(model, ModelKeys(name="gpt2", n_layer=2, n_head=4, n_embd=32), 0)
    rows = torch.randint(0, 300, (16, 32), generator=torch.Generator().manual_seed(0))
    data = [{"input_ids": row, "labels": row} for row in rows]
    trainer = Trainer(
        model=wrapped,
        train_dataloader=torch.utils.data.DataLoader(data, batch_size=4, sampler=dist.get_sampler(data, shuffle=False)),
        max_duration="2ba",
        callbacks=[Asks()],
        optimizers=torch.optim.AdamW(wrapped.parameters(), lr=1e-2),
        parallelism_config={"fsdp": FSDP2Config()},
        precision="fp32",
        progress_bar=False,
    )
    trainer.fit()
    return found
