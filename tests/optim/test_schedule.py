"""Schedules in tokens: the pure function that plans print against what Composer's Trainer would take."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from composer.core import Time, Timestamp

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.schedule import SchedulerKeys
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.optim.learning_rate import learning_rate
from medlm_recipes.optim.schedule import build_schedule

END = 300_000_000_000
STEP = 1024 * 1024
WARMUP = "2_097_152_000tok"  # 2000 steps
SCHEDULES = {
    "cosine": SchedulerKeys(name="cosine", warmup=WARMUP, final_lr=1e-6),
    "cosine without warm-up": SchedulerKeys(name="cosine", warmup=None, final_lr_ratio=0.1),
    "linear": SchedulerKeys(name="linear", warmup=WARMUP, final_lr_ratio=0.0),
    "linear without warm-up": SchedulerKeys(name="linear", warmup=None, final_lr=1e-5),
    "constant": SchedulerKeys(name="constant", warmup=WARMUP),
    "constant without warm-up": SchedulerKeys(name="constant", warmup=None),
    "wsd": SchedulerKeys(name="wsd", warmup=WARMUP, final_lr_ratio=0.1, cooldown="60_000_000_000tok"),
    "wsd 1-sqrt": SchedulerKeys(
        name="wsd", warmup=None, final_lr=1e-6, cooldown="60_000_000_001tok", cooldown_shape="1-sqrt"
    ),
}
POSITIONS = [*range(0, 40 * STEP, STEP), *range(0, END + 5 * STEP, 997 * STEP), 2_097_152_000, END - 1, END, END + STEP]


@pytest.mark.parametrize("keys", SCHEDULES.values(), ids=SCHEDULES.keys())
@pytest.mark.parametrize("lr", [1.6e-4, 3e-4])
@pytest.mark.filterwarnings("error")
def test_the_function_equals_what_composer_gives_an_optimizer_to_the_last_digit(keys: SchedulerKeys, lr: float) -> None:
    from composer.optim import compile_composer_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    state = SimpleNamespace(
        timestamp=Timestamp(), max_duration=Time(END, "tok"), dataloader_len=None, optimizers=[optimizer]
    )
    compiled = compile_composer_scheduler(build_schedule(keys, lr, END), state)
    optimizer.step()
    for tokens in POSITIONS:
        state.timestamp = Timestamp(token=tokens)
        compiled.step()
        assert optimizer.param_groups[0]["lr"] == learning_rate(keys, lr, tokens, END), tokens


def test_a_run_that_is_stopped_early_keeps_its_rate() -> None:
    keys = SCHEDULES["cosine"]
    stopped = SimpleNamespace(timestamp=Timestamp(token=END // 2), max_duration=Time(END // 2, "tok"))
    assert 3e-4 * build_schedule(keys, 3e-4, END)(stopped) == learning_rate(keys, 3e-4, END // 2, END)


def test_meditron_ends_at_the_floor_that_its_card_gives() -> None:
    keys, end = SCHEDULES["cosine"], 48_100_000_000
    at = [learning_rate(keys, 3e-4, tokens, end) for tokens in (0, 2_097_152_000 // 2, 2_097_152_000, end, 2 * end)]
    assert at == pytest.approx([0, 1.5e-4, 3e-4, 1e-6, 1e-6], rel=1e-12)


def test_cosine_and_linear_are_halfway_in_the_middle_and_a_floor_of_the_peak_is_flat() -> None:
    for name in ("cosine", "linear"):
        half = SchedulerKeys(name=name, warmup="100tok", final_lr_ratio=0.1)
        assert learning_rate(half, 2.0, 600, 1100) == pytest.approx(1.1)
        assert learning_rate(SchedulerKeys(name=name, warmup=None, final_lr=2.0), 2.0, 600, 1100) == 2.0


def test_wsd_is_flat_until_its_cooldown_and_follows_its_shape() -> None:
    linear = SchedulerKeys(name="wsd", warmup="10tok", final_lr_ratio=0.0, cooldown="400tok")
    root = SchedulerKeys(name="wsd", warmup="10tok", final_lr_ratio=0.2, cooldown="400tok", cooldown_shape="1-sqrt")
    assert [learning_rate(linear, 1.0, at, 1000) for at in (5, 10, 600, 700, 800, 1000)] == [0.5, 1, 1, 0.75, 0.5, 0]
    assert [learning_rate(root, 1.0, at, 1000) for at in (600, 700, 1000)] == pytest.approx([1, 0.2 + 0.8 * 0.5, 0.2])
    falling = [learning_rate(root, 1.0, at, 1000) for at in range(600, 1001)]
    assert all(rate > after for rate, after in pairwise(falling))


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        ("{warmup: 10tok}", "scheduler.final_lr_ratio: name cosine needs exactly one of final_lr_ratio and final_lr"),
        ("{warmup: 10tok, final_lr: 1e-6, final_lr_ratio: 0.1}", "needs exactly one of"),
        ("{warmup: 10tok, final_lr: 0.01}", "scheduler.final_lr: 0.01 is above the peak, optimizer.lr 0.001"),
        ("{warmup: 10, final_lr: 0}", "scheduler.warmup: 10: write a positive number of tokens with its unit"),
        ("{warmup: 1_000tok, final_lr: 0}", "scheduler.warmup: 1_000tok does not end before max_duration 1_000tok"),
        ("{final_lr: 0}", "scheduler.warmup: missing; tokens of warm-up, null for none"),
        ("{name: constant, warmup: null, final_lr: 1e-6}", "scheduler.final_lr: 1e-06 has no meaning for name const"),
        ("{name: wsd, warmup: null, final_lr: 0}", "scheduler.cooldown: missing; name wsd needs"),
        (
            "{name: wsd, warmup: 500tok, final_lr: 0, cooldown: 501tok}",
            "scheduler.cooldown: 501tok after a warmup of 500tok is more than max_duration 1_000tok",
        ),
        ("{name: linear, warmup: null, final_lr: 0, cooldown: 5tok}", "cooldown: 5tok has a meaning for name wsd only"),
        ("{warmup: null, final_lr: 0, cooldown_shape: 1-sqrt}", "1-sqrt has a meaning for name wsd only"),
        ("{name: wsd, warmup: null, final_lr: 0, cooldown: 5tok, cooldown_shape: sqrt}", "did you mean 1-sqrt?"),
    ],
)
def test_impossible_schedules_are_refused(tmp_path: Path, scheduler: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_train(tmp_path, scheduler)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "scheduler",
    [
        "{warmup: null, final_lr: 0}",
        "{name: constant, warmup: 10tok}",
        "{name: wsd, warmup: 500tok, final_lr: 1e-6, cooldown: 500tok, cooldown_shape: 1-sqrt}",
    ],
)
def test_possible_schedules_load(tmp_path: Path, scheduler: str) -> None:
    assert load_train(tmp_path, scheduler).scheduler.cooldown_shape


def load_train(folder: Path, scheduler: str) -> TrainConfig:
    path = folder / "train.yaml"
    path.write_text(
        f"""
run: r
shards: s
tokenizer: t
model: {{name: gpt2, n_layer: 2, n_head: 2, n_embd: 8}}
optimizer: {{lr: 1e-3, decoupled_weight_decay: 1e-5}}
scheduler: {scheduler}
parallel: {{micro_batch: 2}}
global_batch: 4
max_duration: 1_000tok
"""
    )
    return load_config(TrainConfig, path)
