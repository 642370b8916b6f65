import pytest
import torch

from medlm_recipes.config.train import OptimizerKeys
from medlm_recipes.optim.adamw import build_optimizer, decoupled_weight_decay


@pytest.mark.parametrize(
    ("lr", "coupled", "decoupled"),
    [(3e-4, 0.1, 3e-5), (1.6e-4, 0.1, 1.6e-5)],  # Meditron's, and BioMedLM's in the form its card gives
)
def test_a_coupled_weight_decay_is_converted_once(lr: float, coupled: float, decoupled: float) -> None:
    keys = OptimizerKeys(lr=lr, coupled_weight_decay=coupled)
    assert decoupled_weight_decay(keys) == pytest.approx(decoupled)
    assert decoupled_weight_decay(OptimizerKeys(lr=lr, decoupled_weight_decay=decoupled)) == decoupled


def test_the_converted_step_equals_pytorchs_adamw() -> None:
    keys = OptimizerKeys(lr=1e-2, coupled_weight_decay=0.1, eps=1e-8)
    ours, theirs = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    optimizer = build_optimizer(ours, keys)
    reference = torch.optim.AdamW(
        [{"params": [theirs.weight], "weight_decay": 0.1}, {"params": [theirs.bias], "weight_decay": 0.0}],
        lr=1e-2,
        betas=(0.9, 0.95),
        eps=1e-8,
    )
    for step in range(5):
        inputs = torch.full((4, 3), 1.0 + step)
        for model, stepper in ((ours, optimizer), (theirs, reference)):
            stepper.zero_grad()
            model(inputs).square().sum().backward()
            stepper.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6) and torch.allclose(ours.bias, theirs.bias, atol=1e-6)


def test_only_matrices_decay() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    decaying, still = build_optimizer(model, OptimizerKeys(lr=1e-3, decoupled_weight_decay=1e-5)).param_groups
    assert [parameter.ndim for parameter in decaying["params"]] == [2] and decaying["weight_decay"] == 1e-5
    assert {parameter.ndim for parameter in still["params"]} == {1} and still["weight_decay"] == 0
